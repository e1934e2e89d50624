import Foundation
@testable import Kernels
import Testing

@Suite struct ElementaryTests {
    /// Error of `value` in units in the last place of the exact result.
    private func ulps(_ value: Float, _ exact: Double) -> Double {
        abs(Double(value) - exact) / Double(Float(exact).ulp)
    }

    @Test func expIsWithinOneUlp() {
        var worst = 0.0
        for step in -870_000...880_000 where step % 7 == 0 {
            let x = Float(step) * 1e-4
            worst = max(worst, ulps(Elementary.exp(x), Foundation.exp(Double(x))))
        }
        #expect(worst < 1, "\(worst) ulp")
    }

    @Test func expHasItsEdges() {
        #expect(Elementary.exp(0) == 1)
        #expect(Elementary.exp(-0.0) == 1)
        #expect(Elementary.exp(-.infinity) == 0)
        #expect(Elementary.exp(-200) == 0)
        #expect(Elementary.exp(.infinity) == .infinity)
        #expect(Elementary.exp(89) == .infinity)
        #expect(Elementary.exp(.nan).isNaN)
        #expect(Elementary.exp(88.7).isFinite)
        #expect(Elementary.exp(-87.3) > 0)
    }

    @Test func vectorExpHasTheBitsOfTheScalarOne() {
        var random = TestRandom(1)
        var values = (0..<40_003).map { _ in random.float() * 100 }
        values += [0, -0.0, -.infinity, 88.7, -87.3, -87.4, -103, 1e-30]
        let expected = bits(values.map(Elementary.exp))
        for kernels in KernelSet.all {
            var weights: [Float] = [], sums: [Double] = []
            values.withUnsafeBufferPointer {
                kernels.softmaxWeights($0, largest: 0, temperature: 1, least: 0, into: &weights, sums: &sums)
            }
            #expect(bits(weights) == expected, "\(kernels)")
        }
    }

    @Test func sineAndCosineAreExactToDoublePrecision() {
        var random = TestRandom(2), worst = 0.0
        for i in 0..<200_000 {
            let scale = [1.0, 100, 1e4, 1e6, 6e7][i % 5]
            let x = Double(random.float()) * scale
            let (s, c) = Elementary.sineAndCosine(x)
            worst = max(worst, abs(s - sin(x)), abs(c - cos(x)))
        }
        #expect(worst < 1e-15, "\(worst)")
    }

    @Test func logarithmAndPowerAreExactToDoublePrecision() {
        var worstLog = 0.0, worstExp = 0.0
        for i in 1...100_000 {
            let x = Double(i) * 12.34567, y = Double(i) * 0.0007 - 35
            worstLog = max(worstLog, abs(Elementary.log2(x) - log2(x)) / max(1, abs(log2(x))))
            worstExp = max(worstExp, abs(Elementary.exp2(y) / exp2(y) - 1))
        }
        #expect(worstLog < 5e-16, "\(worstLog)")
        #expect(worstExp < 1e-15, "\(worstExp)")
        #expect(Elementary.log2(10_000).bitPattern == Elementary.log2(10_000).bitPattern)
        #expect(Elementary.exp2(-3) == 0.125)
        #expect(Elementary.log2(1024) == 10)
    }
}
