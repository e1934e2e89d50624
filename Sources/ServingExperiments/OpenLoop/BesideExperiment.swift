import BatonClient
import ClusterCore
import Foundation
import Generation

/// What a batch job does to the latency of requests that come beside it: windows with and without a job in turn, the same requests at
/// the same times in both windows of a pair.
public struct BesideExperiment: Sendable {
    /// A job that has more lines than a window can answer.
    public protocol Job: Sendable {
        func start() async throws
        /// None of its lines is begun any more.
        func stop() async throws
    }

    public struct Settings: Sendable {
        public var rpc: String
        public var url: String
        /// Requests of a window; its seed is that of the first pair.
        public var online: ServeBenchmark
        public var pairs: Int
        /// From the job's start until the window: its lines fill the batch.
        public var settling: Duration

        public init(rpc: String, url: String, online: ServeBenchmark, pairs: Int, settling: Duration) {
            self.rpc = rpc
            self.url = url
            self.online = online
            self.pairs = pairs
            self.settling = settling
        }
    }

    private let settings: Settings
    private let control: BatonClient

    /// How long a cluster may take to finish what it has.
    private static let patience = Duration.seconds(60)

    public init(_ settings: Settings) async throws {
        self.settings = settings
        control = try await BatonClient.connect(to: settings.rpc, name: "beside bench", timeout: .seconds(20))
    }

    public func close() async { await control.close() }

    /// - Parameters:
    ///   - client: one that shares no cached prefix with those of other salts: the requests of a pair are the same twice.
    ///   - observe: called with the share that is done.
    /// - Throws: ``ServeFailure`` if a request has no answer, or the cluster does not come to rest.
    public func run<Client: ServeClient>(
        _ client: (_ salt: String) -> Client, beside job: some Job, observe: (Double) -> Void
    ) async throws -> BesideReport {
        var report = BesideReport()
        // Connections, pages that are touched for the first time and cold caches are no part of it.
        _ = try await window(0, client("warm-up"))
        for pair in 0..<settings.pairs {
            // Which comes first takes turns.
            for isBeside in pair.isMultiple(of: 2) ? [false, true] : [true, false] {
                if isBeside {
                    try await job.start()
                    try await Task.sleep(for: settings.settling)
                }
                let window = try await window(pair, client("\(pair)-\(isBeside)"))
                if isBeside { try await job.stop() }
                try await rest()
                if isBeside { report.beside.append(window) } else { report.alone.append(window) }
            }
            observe(Double(pair + 1) / Double(settings.pairs))
        }
        return report
    }

    private func window(_ pair: Int, _ client: some ServeClient) async throws -> BesideReport.Window {
        var online = settings.online
        online.seed += UInt64(pair)
        let before = try await MetricsPage.fetch(settings.url)
        let outcome = await online.run(on: client, decode: nil) { _ in }
        let tokens = try await MetricsPage.fetch(settings.url)["generation_tokens_total"] - before["generation_tokens_total"]
        if let failure = outcome.measurements.lazy.compactMap(\.failure).first { throw ServeFailure(failure) }
        let own = outcome.measurements.reduce(0) { $0 + $1.outputTokens }
        return try BesideReport.Window(outcome.measurements, otherTokensPerSecond: max(0, tokens - Double(own)) / outcome.duration)
    }

    /// Until the cluster holds nothing.
    private func rest() async throws {
        let deadline = ContinuousClock.now + Self.patience
        while ContinuousClock.now < deadline {
            let status = try await control.status()
            if status.running == 0, status.waiting == 0 { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw ServeFailure("the cluster is not at rest after \(Self.patience)")
    }
}

/// What ``BesideExperiment`` found; times in seconds.
public struct BesideReport: Sendable {
    public struct Window: Sendable, Hashable {
        var firstTokenMedian: Double
        var firstTokenP99: Double
        var interTokenMedian: Double
        var interTokenP99: Double
        /// Of whoever else was served.
        var otherTokensPerSecond: Double
        var requests: Int

        init(_ measurements: [ServeMeasurement], otherTokensPerSecond: Double) throws {
            let first = measurements.map(\.timeToFirstToken), between = measurements.flatMap(\.interTokenLatencies)
            guard let firstMedian = first.median, let firstP99 = first.quantile(0.99), let median = between.median,
                let p99 = between.quantile(0.99)
            else { throw ServeFailure("a window without answers of two tokens") }
            (firstTokenMedian, firstTokenP99, interTokenMedian, interTokenP99) = (firstMedian, firstP99, median, p99)
            self.otherTokensPerSecond = otherTokensPerSecond
            requests = measurements.count
        }
    }

    public struct Row: Sendable, Encodable {
        public var measure: String
        /// Medians of the windows, in milliseconds.
        public var alone: Double
        public var beside: Double
        /// Beside a job over alone, and its 95 % interval.
        public var ratio: Double
        public var low: Double?
        public var high: Double?
        public var pairs: Int
        public var requests: Int
        /// Tokens that the job was given in a second beside them, median of the windows.
        public var jobTokensPerSecond: Double

        enum CodingKeys: String, CodingKey {
            case measure, alone, beside, ratio, low, high, pairs, requests
            case jobTokensPerSecond = "job_tokens_per_second"
        }
    }

    /// Pair by pair.
    var alone: [Window] = []
    var beside: [Window] = []

    public var rows: [Row] {
        let measures: [(String, KeyPath<Window, Double>)] = [
            ("TTFT p50", \.firstTokenMedian), ("TTFT p99", \.firstTokenP99), ("ITL p50", \.interTokenMedian), ("ITL p99", \.interTokenP99),
        ]
        return measures.compactMap { name, value in
            let pairs = Array(zip(beside, alone)).map { (a: $0[keyPath: value], b: $1[keyPath: value]) }
            guard let ratio = PairedRatio(pairs), let usual = alone.map({ $0[keyPath: value] }).median,
                let own = beside.map({ $0[keyPath: value] }).median, let job = beside.map(\.otherTokensPerSecond).median
            else { return nil }
            return Row(
                measure: name, alone: usual * 1000, beside: own * 1000, ratio: ratio.ratio, low: ratio.interval?.lowerBound,
                high: ratio.interval?.upperBound, pairs: ratio.pairs, requests: beside.reduce(0) { $0 + $1.requests },
                jobTokensPerSecond: job)
        }
    }

    public var text: String {
        var table = MarkdownTable(columns: ["online requests", "alone, ms", "beside a job, ms", "ratio", "95 % interval"])
        for row in rows {
            let interval = row.low.flatMap { low in row.high.map { "\(low.plain(3)) … \($0.plain(3))" } } ?? "–"
            table.append([row.measure, row.alone.plain(2), row.beside.plain(2), row.ratio.plain(3), interval])
        }
        guard let first = rows.first else { return table.text }
        return table.text + "\n\n\(first.pairs) pairs of windows, \(first.requests) requests in each of the two; the job had "
            + "\(first.jobTokensPerSecond.plain(0)) tokens/s beside them"
    }
}
