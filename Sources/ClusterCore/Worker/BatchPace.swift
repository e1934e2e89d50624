/// What rows cost: a model of the batch as a semi-Markov decision process, with all its figures measured as it runs.
///
/// Decision epochs are the boundaries; between two of them, with b rows, passes t(b) = a + c·b (fitted by least squares with
/// forgetting). The state is the number n of queries in the system, of which min(n, b) are rows; queries arrive as a
/// Poisson stream of rate λ, and a row ends at a boundary with probability 1/L, L being the mean number of tokens. The
/// policies compared are those of one limit b. The stationary distribution of each is that of the birth-death process with
/// death rates min(n, b) / (L·t(min(n, b))), truncated far above the limit. A policy costs, for each query,
///
///     latencyWeight × (expected wait + expected decode time) + costWeight × L × (engine time per token)
///
/// in seconds, where the wait is scaled by (1 + v)/2, v being the squared coefficient of variation of the lengths
/// (Allen and Cunneen's correction): where lengths vary, it is best to share the engine among all; where they are alike,
/// it is not worth while to slow everybody down once another row hardly adds throughput.
///
/// The formulation follows the SMDP treatment of dynamic batching (Xu et al., arXiv 2301.12865), with iterations in place
/// of whole batches, so that nobody waits for a batch to fill; memory is left to the watermarks.
public struct BatchPace: Sendable {
    public struct Weights: Sendable, Hashable {
        /// Of a second that a query takes.
        public var latency: Double
        /// Of a second that the engine computes.
        public var cost: Double

        public init(latency: Double = 1, cost: Double = 1) {
            self.latency = latency
            self.cost = cost
        }
    }

    /// Share of what was known that remains with each iteration.
    private static let memory = 0.995
    /// Weight of a new arrival, or of a query that has ended.
    private static let gain = 0.05

    // Sums over iterations: 1, rows, rows², seconds, rows·seconds.
    private var weight = 0.0
    private var rows = 0.0
    private var rowsSquared = 0.0
    private var seconds = 0.0
    private var rowSeconds = 0.0

    private var lastArrival: Instant?
    /// Seconds.
    private var meanInterval: Double?
    /// Tokens.
    private var meanLength: Double?
    private var meanSquaredLength = 0.0

    mutating func noteIteration(rows count: Int, time: Duration) {
        let (x, y) = (Double(count), time / .seconds(1))
        weight = weight * Self.memory + 1
        rows = rows * Self.memory + x
        rowsSquared = rowsSquared * Self.memory + x * x
        seconds = seconds * Self.memory + y
        rowSeconds = rowSeconds * Self.memory + x * y
    }

    mutating func noteArrival(at now: Instant) {
        if let lastArrival {
            let interval = (now - lastArrival) / .seconds(1)
            meanInterval = meanInterval.map { $0 + (interval - $0) * Self.gain } ?? interval
        }
        lastArrival = now
    }

    mutating func noteEnd(tokens: Int) {
        let length = Double(tokens)
        meanSquaredLength += (length * length - meanSquaredLength) * (meanLength == nil ? 1 : Self.gain)
        meanLength = meanLength.map { $0 + (length - $0) * Self.gain } ?? length
    }

    /// Seconds that an iteration over `count` rows takes; `nil` before anything is known. Where all iterations had about
    /// as many rows, a row is taken to cost half of its share.
    func iterationTime(rows count: Int) -> Double? {
        guard weight > 0, seconds > 0, rows > 0 else { return nil }
        let (meanRows, meanSeconds) = (rows / weight, seconds / weight)
        let variance = rowsSquared / weight - meanRows * meanRows
        let covariance = rowSeconds / weight - meanRows * meanSeconds
        let slope = variance > 0.25 ? covariance / variance : meanSeconds / meanRows / 2
        // Neither a row nor an iteration is free, whatever noise says.
        let cost = min(max(slope, 0.001 * meanSeconds / meanRows), 0.999 * meanSeconds / meanRows)
        return meanSeconds + cost * (Double(count) - meanRows)
    }

    /// The limit that costs least; `nil` as long as too little is known.
    func cheapestRowCount(upTo limit: Int, _ weights: Weights) -> Int? {
        guard let meanInterval, let meanLength, meanLength >= 1, iterationTime(rows: 1) != nil else { return nil }
        let arrivals = 1 / max(meanInterval, 1e-6)
        var best: (count: Int, cost: Double)?
        for count in Self.candidates(upTo: limit) {
            let cost = cost(limit: count, arrivals: arrivals, length: meanLength, weights)
            // More rows for nothing are welcome: they take a burst.
            if cost <= best?.cost ?? .infinity { best = (count, cost) }
        }
        return best?.count
    }

    /// All small numbers, and of the large ones enough that a neighbour is within an eighth.
    private static func candidates(upTo limit: Int) -> [Int] {
        var counts: [Int] = []
        var count = 1
        while count < limit {
            counts.append(count)
            count += max(1, count / 8)
        }
        return counts + [limit]
    }

    /// Of one query, in weighted seconds.
    private func cost(limit: Int, arrivals: Double, length: Double, _ weights: Weights) -> Double {
        // Probabilities up to a factor; scaled down on the way, as only their ratios matter.
        var (idle, total, inRows, inLine, ended) = (1.0, 1.0, 0.0, 0.0, 0.0)
        var (probability, endRate) = (1.0, 0.0)
        for count in 1...limit + 256 {
            let active = min(count, limit)
            if count <= limit { endRate = Double(active) / (length * (iterationTime(rows: active) ?? 1)) }
            probability *= arrivals / endRate
            total += probability
            inRows += probability * Double(active)
            inLine += probability * Double(count - active)
            ended += probability * endRate
            if total > 1e100 {
                (idle, total, probability) = (idle * 1e-100, total * 1e-100, probability * 1e-100)
                (inRows, inLine, ended) = (inRows * 1e-100, inLine * 1e-100, ended * 1e-100)
            }
        }
        let (throughput, busy) = (ended / total, 1 - idle / total)
        guard throughput > 0 else { return .infinity }
        let wait = inLine / total / throughput * (1 + variation) / 2
        let decode = inRows / total / throughput
        return weights.latency * (wait + decode) + weights.cost * busy / throughput
    }

    /// Squared coefficient of variation of the lengths.
    private var variation: Double {
        guard let meanLength, meanLength > 0 else { return 1 }
        return max(0, meanSquaredLength / (meanLength * meanLength) - 1)
    }
}
