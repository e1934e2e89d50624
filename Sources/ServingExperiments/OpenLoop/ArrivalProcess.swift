import Foundation

/// When requests are sent, whatever becomes of those before them.
public struct ArrivalProcess: Sendable, Hashable {
    /// Requests per second; `nil`: all at once.
    public var rate: Double?
    /// Shape of the Gamma distribution of the gaps, 1 / CV²: 1 is Poisson, less is burstier, more is steadier.
    public var burstiness: Double

    public init(rate: Double?, burstiness: Double = 1) {
        self.rate = rate
        self.burstiness = burstiness
    }

    /// Seconds from the start to each of `count` requests, ascending.
    ///
    /// The gaps are stretched so that the last request comes when it should: a short run then has the rate that was asked for.
    func times(_ count: Int, _ random: inout SeededRandom) -> [Double] {
        guard let rate, count > 0 else { return Array(repeating: 0, count: count) }
        var times: [Double] = []
        var time = 0.0
        for _ in 0..<count {
            times.append(time)
            time += random.gamma(shape: burstiness) / (burstiness * rate)
        }
        guard time > 0 else { return times }
        let stretch = Double(count) / rate / time
        return times.map { $0 * stretch }
    }
}

extension SeededRandom {
    /// Mean and variance are both `shape` (Marsaglia and Tsang, "A simple method for generating gamma variables", 2000).
    mutating func gamma(shape: Double) -> Double {
        guard shape >= 1 else {
            // A draw of a greater shape, bent back.
            let factor = pow(1 - unit(), 1 / shape)
            return gamma(shape: shape + 1) * factor
        }
        let d = shape - 1.0 / 3, c = 1 / (9 * d).squareRoot()
        while true {
            let normal = normal()
            let root = 1 + c * normal
            guard root > 0 else { continue }
            let cube = root * root * root
            if log(1 - unit()) < normal * normal / 2 + d - d * cube + d * log(cube) { return d * cube }
        }
    }

    /// Standard normal (Box and Muller).
    private mutating func normal() -> Double {
        (-2 * log(1 - unit())).squareRoot() * cos(2 * .pi * unit())
    }
}
