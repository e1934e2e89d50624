@testable import Kernels
import Testing

@Suite struct ProductCutTests {
    /// Of tiles.
    private static let heights = [6, 16]
    private static let sizes = [1, 2, 5, 6, 23, 24, 25, 32, 47, 64, 95, 96, 97, 128, 192, 193, 385, 512, 1921, 2048]

    /// Every output is computed once, and no item outgrows the scratch of a gated product.
    @Test(arguments: 1...5, heights)
    func everyOutputIsComputedOnce(threads: Int, height: Int) {
        for rows in Self.sizes {
            for units in [1, 2, 3, 9, 15, 24, 77] {
                let cut = ProductCut(rows: rows, units: units, threads: threads, tileHeight: height)
                var times = [Int](repeating: 0, count: rows * units)
                for index in 0..<cut.count {
                    let item = cut[index]
                    #expect(!item.rows.isEmpty && item.rows.count <= ProductCut.mostRows)
                    for row in item.rows { times[item.unit * rows + row] += 1 }
                }
                #expect(times.allSatisfy { $0 == 1 }, "\(rows) rows, \(units) units, \(threads) threads")
            }
        }
    }

    /// Nine panels on two threads that take turns: neither multiplies a tenth more than the other.
    @Test(arguments: [24, 32, 64, 96, 128, 512], [9, 15, 24])
    func threadsShareEvenly(rows: Int, units: Int) {
        for height in Self.heights {
            let cut = ProductCut(rows: rows, units: units, threads: 2, tileHeight: height)
            var loads = [0, 0]
            for index in 0..<cut.count { loads[loads[0] <= loads[1] ? 0 : 1] += cut[index].rows.count }
            #expect(abs(loads[0] - loads[1]) * 10 <= loads[0], "\(loads)")
        }
    }

    /// A thread that takes every second item goes on where it stopped, so that what it fetched ahead is its own.
    @Test(arguments: [1, 8, 32], heights)
    func threadsWalkThroughNeighbours(rows: Int, height: Int) {
        let cut = ProductCut(rows: rows, units: 40, threads: 2, tileHeight: height)
        for thread in 0..<2 {
            let units = stride(from: thread, to: 36, by: 2).map { cut[$0].unit }
            #expect(zip(units, units.dropFirst()).allSatisfy { $1 == $0 + 1 }, "\(units)")
        }
    }
}
