import AsyncHTTPClient
import BatonClient
import ClusterCore
import Foundation
import NIOCore

/// What HTTP costs in front of a cluster: the way of a token through the coordinator, processor time, and what idle connections do to
/// others.
public struct GatewayExperiment: Sendable {
    public struct Settings: Sendable {
        public var rpc: String
        public var url: String
        public var port: Int
        public var coordinator: Int32
        public var vocabulary: Int
        public var streams: Int
        /// Of HTTP, and as long of RPC, in turn.
        public var duration: Duration
        public var slice: Duration
        public var idleConnections: Int
        /// Stretches of the same streams with idle connections, each beside one without.
        public var pairs: Int
        public var pairSlice: Duration

        public init(
            rpc: String, url: String, port: Int, coordinator: Int32, vocabulary: Int, streams: Int, duration: Duration, slice: Duration,
            idleConnections: Int, pairs: Int, pairSlice: Duration
        ) {
            self.rpc = rpc
            self.url = url
            self.port = port
            self.coordinator = coordinator
            self.vocabulary = vocabulary
            self.streams = streams
            self.duration = duration
            self.slice = slice
            self.idleConnections = idleConnections
            self.pairs = pairs
            self.pairSlice = pairSlice
        }
    }

    /// Until thousands of connections that have come, or gone at the end of the stretch before, are dealt with.
    private static let settling = Duration.milliseconds(1500)

    /// Connections that are opened at once, and the pause after them. What does not fit the server's backlog would try again only after
    /// a second, and hold up a thread that reads streams meanwhile.
    private static let burst = 500
    private static let pause = Duration.milliseconds(50)

    private let settings: Settings
    private let control: BatonClient
    private let http: HTTPClient

    public init(_ settings: Settings) async throws {
        self.settings = settings
        control = try await BatonClient.connect(to: settings.rpc, name: "gateway bench", timeout: .seconds(20))
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = max(8, settings.streams)
        configuration.httpVersion = .http1Only
        http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    public func close() async throws {
        await control.close()
        try await http.shutdown()
    }

    /// - Parameter observe: called with the share that is done.
    public func run(observe: (Double) -> Void) async throws -> GatewayReport {
        var report = GatewayReport(streams: settings.streams, idleConnections: settings.idleConnections)
        let slices = max(1, Int((settings.duration / settings.slice).rounded())), steps = Double(slices + settings.pairs)
        // Connections and prefills of the beginning are no part of it.
        _ = try await load(.seconds(1)).overHTTP(settings.url, http)
        for slice in 0..<slices {
            report.http += try await measure { try await load(settings.slice).overHTTP(settings.url, http) }
            report.rpc += try await measure { try await load(settings.slice).overRPC(control) }
            observe(Double(slice + 1) / steps)
        }
        if settings.pairs > 0 {
            try await measureIdle(&report) { pair in observe((Double(slices) + Double(pair)) / steps) }
        }
        return report
    }

    private func load(_ duration: Duration, until stop: StopSignal = StopSignal()) -> StreamLoad {
        StreamLoad(
            streams: settings.streams, promptCount: 32, maxTokens: 900, vocabulary: settings.vocabulary, duration: duration, stop: stop)
    }

    private func measure(_ body: () async throws -> StreamLoad.Outcome) async throws -> GatewayReport.Side {
        let page = try await MetricsPage.fetch(settings.url), before = ThreadTimes(processID: settings.coordinator), start = ContinuousClock.now
        _ = try await body()
        let seconds = (ContinuousClock.now - start) / .seconds(1), after = ThreadTimes(processID: settings.coordinator)
        let last = try await MetricsPage.fetch(settings.url)
        let scheduling = ["scheduler", "ZMQ"]
        return GatewayReport.Side(
            seconds: seconds, tokens: last["generation_tokens_total"] - page["generation_tokens_total"],
            processorSeconds: after.total() - before.total(),
            gatewaySeconds: after.total(without: scheduling) - before.total(without: scheduling),
            ways: [last.distribution(of: "token_delivery_seconds", since: page)])
    }

    /// The streams go on all the time, while idle connections come and go: streams that begin together would have their prefills together,
    /// and those are the longest gaps of all.
    private func measureIdle(_ report: inout GatewayReport, observe: (Int) -> Void) async throws {
        let stop = StopSignal(), load = load(.seconds(86_400), until: stop)
        async let outcome = load.overHTTP(settings.url, http)
        try await Task.sleep(for: .seconds(1))
        var spans: [(isIdle: Bool, start: ContinuousClock.Instant, end: ContinuousClock.Instant)] = []
        for pair in 0..<settings.pairs {
            // Which comes first takes turns.
            for isIdle in pair.isMultiple(of: 2) ? [false, true] : [true, false] {
                let start = try await stretch(isIdle)
                spans.append((isIdle, start, start + settings.pairSlice))
            }
            observe(pair + 1)
        }
        stop.give()
        let streamed = try await outcome
        for span in spans {
            guard let p99 = streamed.gaps(from: span.start, until: span.end).quantile(0.99) else {
                throw ServeFailure("nothing was streamed within \(settings.pairSlice)")
            }
            if span.isIdle { report.idleP99.append(p99) } else { report.usualP99.append(p99) }
        }
    }

    /// - Returns: when it began to count.
    private func stretch(_ isIdle: Bool) async throws -> ContinuousClock.Instant {
        var connections: [LoopbackConnection] = []
        // No word of farewell: ten thousand closed ports would have to wait before they are used again.
        defer { for connection in connections { connection.reset() } }
        if isIdle {
            for count in 1...settings.idleConnections {
                connections.append(try LoopbackConnection(port: settings.port))
                if count.isMultiple(of: Self.burst) { try await Task.sleep(for: Self.pause) }
            }
        }
        try await Task.sleep(for: Self.settling)
        let start = ContinuousClock.now
        try await Task.sleep(for: settings.pairSlice)
        return start
    }
}

/// What ``GatewayExperiment`` found.
public struct GatewayReport: Sendable {
    /// The coordinator while all streams came by one door.
    struct Side: Sendable {
        var seconds = 0.0
        /// Delivered, of all streams.
        var tokens = 0.0
        /// Of all threads of the coordinator.
        var processorSeconds = 0.0
        /// Of those that neither schedule nor serve ZeroMQ's sockets.
        var gatewaySeconds = 0.0
        /// From the arrival of a token to its client's socket, slice by slice.
        var ways: [MetricsPage.Distribution] = []

        static func += (side: inout Side, other: Side) {
            side.seconds += other.seconds
            side.tokens += other.tokens
            side.processorSeconds += other.processorSeconds
            side.gatewaySeconds += other.gatewaySeconds
            side.ways += other.ways
        }

        /// Of all slices together.
        var way: MetricsPage.Distribution {
            guard var all = ways.first else { return MetricsPage.Distribution(buckets: []) }
            for slice in ways.dropFirst() where slice.buckets.count == all.buckets.count {
                for index in all.buckets.indices { all.buckets[index].count += slice.buckets[index].count }
            }
            return all
        }
    }

    var streams: Int
    var idleConnections: Int
    var http = Side()
    var rpc = Side()
    /// Seconds between two pieces of an answer at the 99th percentile, run by run, without and with idle connections.
    var usualP99: [Double] = []
    var idleP99: [Double] = []

    init(streams: Int, idleConnections: Int) {
        self.streams = streams
        self.idleConnections = idleConnections
    }

    public var text: String {
        func percent(_ seconds: Double, _ side: Side) -> String { (100 * seconds / max(side.seconds, 1e-9)).plain(1) + " %" }
        func micros(_ seconds: Double, _ side: Side) -> String { (1e6 * seconds / max(side.tokens, 1)).plain(1) }
        func way(_ share: Double) -> String { http.way.quantile(share).map { ($0 * 1000).plain(3) + " ms" } ?? "–" }
        var table = MarkdownTable(columns: ["\(streams) streams", "over HTTP", "over RPC"])
        table.append(["seconds", http.seconds.plain(1), rpc.seconds.plain(1)])
        table.append(["tokens/s", (http.tokens / max(http.seconds, 1e-9)).plain(0), (rpc.tokens / max(rpc.seconds, 1e-9)).plain(0)])
        table.append(["coordinator, of a core", percent(http.processorSeconds, http), percent(rpc.processorSeconds, rpc)])
        table.append(["of that outside scheduler and ZeroMQ", percent(http.gatewaySeconds, http), percent(rpc.gatewaySeconds, rpc)])
        table.append(["the same, µs a token", micros(http.gatewaySeconds, http), micros(rpc.gatewaySeconds, rpc)])
        table.append(["a token's way to the socket, median", way(0.5), "–"])
        table.append(["… p99", way(0.99), "–"])
        return table.text + "\n\n" + idleText
    }

    private var idleText: String {
        let pairs = Array(zip(idleP99, usualP99)).map { (a: $0, b: $1) }
        guard let ratio = PairedRatio(pairs), let idle = idleP99.median, let usual = usualP99.median else { return "" }
        let interval = ratio.interval.map { " [\($0.lowerBound.plain(3)), \($0.upperBound.plain(3))]" } ?? ""
        return """
            p99 between two pieces of \(streams) streams: \((usual * 1000).plain(2)) ms, with \(idleConnections) idle connections \
            \((idle * 1000).plain(2)) ms (medians); ratio \(ratio.ratio.plain(3))\(interval) over \(ratio.pairs) pairs
            """
    }
}
