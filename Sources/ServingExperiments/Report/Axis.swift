import Foundation

/// A scale from 0 with round steps.
struct Axis: Sendable, Hashable {
    var step: Double
    var end: Double

    /// - Parameter greatest: value that has to fit.
    init(upTo greatest: Double) {
        let wanted = max(greatest, 1e-9) / 5
        let power = pow(10, log10(wanted).rounded(.down))
        step = ([1, 2, 2.5, 5, 10].map { $0 * power }.first { $0 >= wanted * 0.999 }) ?? 10 * power
        end = (max(greatest, 1e-9) / step - 1e-9).rounded(.up) * step
    }

    var ticks: [Double] { (0...Int((end / step).rounded())).map { Double($0) * step } }

    /// A tick's value with no more digits than the steps need.
    func label(_ value: Double) -> String {
        for digits in 0...6 where abs(step - (step * pow(10, Double(digits))).rounded() / pow(10, Double(digits))) < step * 1e-6 {
            return value.plain(digits)
        }
        return value.plain(6)
    }
}
