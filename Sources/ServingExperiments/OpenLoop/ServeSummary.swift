import Foundation

/// The result of a benchmark, as vLLM's prints and saves it.
public struct ServeSummary: Codable, Sendable, Hashable {
    public var model: String
    public var completed: Int
    public var failed: Int
    /// Seconds from the first request to the end of the last.
    public var duration: Double
    public var totalInputTokens: Int
    public var totalOutputTokens: Int
    public var requestThroughput: Double
    /// Requests per second that met the goal; `nil` without one.
    public var requestGoodput: Double?
    public var outputThroughput: Double
    public var totalTokenThroughput: Double
    public var maxConcurrentRequests: Int
    /// Milliseconds.
    public var ttft: ServeTimes
    public var tpot: ServeTimes
    public var itl: ServeTimes
    public var e2el: ServeTimes
    /// What went wrong, by how often.
    public var failures: [String: Int]

    /// - Parameters:
    ///   - percentiles: above 0, at most 100.
    ///   - goal: `nil`: none.
    public init(
        model: String, measurements: [ServeMeasurement], duration: Double, maxConcurrent: Int, percentiles: [Double], goal: ServeGoal?
    ) {
        self.model = model
        let good = measurements.filter { $0.failure == nil }
        completed = good.count
        failed = measurements.count - good.count
        self.duration = duration
        totalInputTokens = good.reduce(0) { $0 + $1.inputTokens }
        totalOutputTokens = good.reduce(0) { $0 + $1.outputTokens }
        let seconds = max(duration, .leastNonzeroMagnitude)
        requestThroughput = Double(good.count) / seconds
        requestGoodput = goal.map { goal in Double(good.count { goal.isMet(by: $0) }) / seconds }
        outputThroughput = Double(totalOutputTokens) / seconds
        totalTokenThroughput = Double(totalInputTokens + totalOutputTokens) / seconds
        maxConcurrentRequests = maxConcurrent
        ttft = ServeTimes(good.map(\.timeToFirstToken), percentiles: percentiles)
        tpot = ServeTimes(good.compactMap(\.timePerOutputToken), percentiles: percentiles)
        itl = ServeTimes(good.flatMap(\.interTokenLatencies), percentiles: percentiles)
        e2el = ServeTimes(good.map(\.latency), percentiles: percentiles)
        failures = measurements.compactMap(\.failure).reduce(into: [:]) { $0[$1, default: 0] += 1 }
    }

    /// - Parameter metrics: of `ttft`, `tpot`, `itl`, `e2el`, those to show.
    public func text(metrics: [String], percentiles: [Double]) -> String {
        var lines = [Self.title("Serving Benchmark Result", "=")]
        func add(_ name: String, _ value: String) {
            lines.append(name.padding(toLength: 40, withPad: " ", startingAt: 0) + value)
        }
        func number(_ value: Double) -> String { String(format: "%-10.2f", value).trimmingCharacters(in: .whitespaces) }
        add("Successful requests:", "\(completed)")
        add("Failed requests:", "\(failed)")
        add("Benchmark duration (s):", number(duration))
        add("Total input tokens:", "\(totalInputTokens)")
        add("Total generated tokens:", "\(totalOutputTokens)")
        add("Request throughput (req/s):", number(requestThroughput))
        if let requestGoodput { add("Request goodput (req/s):", number(requestGoodput)) }
        add("Output token throughput (tok/s):", number(outputThroughput))
        add("Total token throughput (tok/s):", number(totalTokenThroughput))
        add("Peak concurrent requests:", "\(maxConcurrentRequests)")
        let families: [(String, String, String, ServeTimes)] = [
            ("ttft", "Time to First Token", "TTFT", ttft), ("tpot", "Time per Output Token (excl. 1st token)", "TPOT", tpot),
            ("itl", "Inter-token Latency", "ITL", itl), ("e2el", "End-to-end Latency", "E2EL", e2el),
        ]
        for (key, title, short, times) in families where metrics.contains(key) {
            lines.append(Self.title(title, "-"))
            add("Mean \(short) (ms):", number(times.mean))
            add("Median \(short) (ms):", number(times.median))
            for percentile in percentiles {
                let name = ServeTimes.name(percentile)
                add("P\(name) \(short) (ms):", number(times.percentiles[name] ?? 0))
            }
        }
        lines.append(String(repeating: "=", count: Self.width))
        for (failure, count) in failures.sorted(by: { $0.value > $1.value }).prefix(5) { lines.append("\(count) × \(failure)") }
        return lines.joined(separator: "\n")
    }

    private static let width = 50

    private static func title(_ text: String, _ fill: String) -> String {
        let left = max(0, (width - text.count - 2) / 2)
        return String(repeating: fill, count: left) + " \(text) " + String(repeating: fill, count: max(0, width - text.count - 2 - left))
    }
}
