import BatonClient
import ClusterCore
import Generation

/// Clients that go away while their requests are queued, prefilled, transferred, ready, decoded and parked, all at once, again and again;
/// and how long it takes until no worker holds a block.
///
/// Phases are certain: workers are stopped while a request is in a phase that would pass by, and go on as soon as its client is gone.
/// The cluster has one prefill worker with small chunks and one decode worker with one row,
/// which a second request takes from the first.
public struct CancellationExperiment: Sendable {
    /// Stops a worker as a debugger would, or lets it go on.
    public typealias Suspend = @Sendable (_ worker: String, _ isSuspended: Bool) async -> Void

    /// What became of one round.
    public struct Round: Codable, Sendable, Hashable {
        /// Where each client's request was when it went.
        public var drops: [Drop]
        /// From the first client's going until every worker has told that it holds nothing.
        public var seconds: Double
    }

    public struct Drop: Codable, Sendable, Hashable {
        public var phase: DropPhase
        public var door: FrontDoor
    }

    private struct Victim {
        var phase: DropPhase
        var priority: Priority
        var promptCount: Int
        var maxTokens: Int
    }

    private let rpc: String
    private let port: Int
    private let vocabulary: Int
    private let suspend: Suspend
    private let control: BatonClient
    private let book = RequestBook()

    /// - Parameters:
    ///   - rpc: the coordinator's endpoint for clients.
    ///   - port: its HTTP port on this machine.
    ///   - vocabulary: ids below it are drawn for prompts.
    public init(rpc: String, port: Int, vocabulary: Int, suspend: @escaping Suspend) async throws {
        self.rpc = rpc
        self.port = port
        self.vocabulary = vocabulary
        self.suspend = suspend
        control = try await BatonClient.connect(to: rpc, name: "cancellations", timeout: .seconds(20))
    }

    /// A round in which a request passed through its phase too fast is played again.
    ///
    /// - Parameter observe: called after each round.
    /// - Returns: the rounds, and how many had to be played again.
    /// - Throws: ``ServeFailure`` if a request does not come into its phase, too many pass it too fast, or blocks stay referenced.
    public func run(rounds: Int, seed: UInt64, observe: (Round) -> Void) async throws -> (rounds: [Round], repeated: Int) {
        let events = try await control.watch()
        let reading = Task { [book] in for try await event in events { book.take(event) } }
        defer { reading.cancel() }
        var random = SeededRandom(seed: seed)
        var all: [Round] = []
        var repeated = 0
        while all.count < rounds {
            book.clear()
            guard let round = try await round(all.count, &random) else {
                repeated += 1
                guard repeated <= rounds + 10 else { throw ServeFailure("requests pass their phases too fast, \(repeated) times") }
                continue
            }
            all.append(round)
            observe(round)
        }
        return (all, repeated)
    }

    public func close() async { await control.close() }

    // MARK: A round

    private static let prefill = "prefill-0", decode = "decode-0"
    /// In the order of their coming.
    private static let victims = [
        Victim(phase: .parked, priority: .low, promptCount: 33, maxTokens: 900),
        // As many as may wait for a row: whoever is parked has to stay so.
        Victim(phase: .ready, priority: .low, promptCount: 40, maxTokens: 100),
        Victim(phase: .ready, priority: .low, promptCount: 41, maxTokens: 100),
        Victim(phase: .decoding, priority: .normal, promptCount: 49, maxTokens: 900),
        Victim(phase: .transferring, priority: .high, promptCount: 600, maxTokens: 200),
        Victim(phase: .prefilling, priority: .high, promptCount: 900, maxTokens: 100),
        Victim(phase: .queued, priority: .low, promptCount: 81, maxTokens: 100),
    ]
    /// What is under way between processes has arrived.
    private static let settling = Duration.milliseconds(10)

    /// - Returns: `nil` if a request was not where it was meant to be.
    private func round(_ number: Int, _ random: inout SeededRandom) async throws -> Round? {
        var clients: [(victim: Victim, door: FrontDoor, client: DroppingClient)] = []
        for (index, victim) in Self.victims.enumerated() {
            let door: FrontDoor = (number + index).isMultiple(of: 2) ? .http : .rpc
            let client = door == .http
                ? try DroppingClient.overHTTP(port: port, streams: (number / 2).isMultiple(of: 2)) : try await DroppingClient.overRPC(rpc)
            clients.append((victim, door, client))
        }
        do {
            for (victim, _, client) in clients {
                try client.send(prompt: prompt(victim.promptCount, &random), maxTokens: victim.maxTokens, victim.priority)
                guard try await bring(victim) else { break }
            }
            try await Task.sleep(for: Self.settling)
        } catch {
            await release()
            throw error
        }
        let drops = clients.compactMap { victim, door, _ in
            book.phase(ofPromptOf: victim.promptCount) == victim.phase ? Drop(phase: victim.phase, door: door) : nil
        }
        let before = try await reports()
        let start = ContinuousClock.now
        for (_, _, client) in clients { await client.drop() }
        await release()
        let seconds = try await timeUntilIdle(since: start, reportedBefore: before)
        return drops.count == clients.count ? Round(drops: drops, seconds: seconds) : nil
    }

    private func prompt(_ count: Int, _ random: inout SeededRandom) -> [TokenID] {
        (0..<count).map { _ in TokenID(random.below(vocabulary)) }
    }

    /// Waits until the request is where it is to be, and keeps it there.
    /// - Returns: whether it is.
    private func bring(_ victim: Victim) async throws -> Bool {
        let count = victim.promptCount
        switch victim.phase {
        // One that comes later is more urgent and takes its row.
        case .parked, .decoding: return try await book.wait(for: .decoding, ofPromptOf: count)
        case .transferring:
            guard try await book.wait(for: .prefilling, ofPromptOf: count) else { return false }
            await suspend(Self.decode, true)
            return try await book.wait(for: .transferring, ofPromptOf: count)
        case .prefilling:
            guard try await book.wait(for: .prefilling, ofPromptOf: count) else { return false }
            await suspend(Self.prefill, true)
            return true
        case .queued, .ready: return try await book.wait(for: victim.phase, ofPromptOf: count)
        }
    }

    private func release() async {
        await suspend(Self.prefill, false)
        await suspend(Self.decode, false)
    }

    // MARK: Afterwards

    private static let patience = Duration.seconds(15)

    private func reports() async throws -> [WorkerID: UInt64] {
        Dictionary(uniqueKeysWithValues: try await control.status().workers.map { ($0.worker, $0.reports) })
    }

    /// Workers tell what they hold four times a second. One report may have been under way, so that the second is news.
    private func timeUntilIdle(since start: ContinuousClock.Instant, reportedBefore: [WorkerID: UInt64]) async throws -> Double {
        while true {
            let status = try await control.status()
            let isIdle = status.running == 0 && status.waiting == 0 && status.workers.allSatisfy { worker in
                worker.reports >= (reportedBefore[worker.worker] ?? 0) + 2 && worker.load.referencedBlocks == 0 && worker.load.rows == 0
                    && worker.load.waiting == 0 && worker.load.parking.queries == 0
            }
            let passed = ContinuousClock.now - start
            if isIdle { return passed / .seconds(1) }
            guard passed < Self.patience else { throw ServeFailure("something is still held \(passed) after the clients went: \(status)") }
            try await Task.sleep(for: .milliseconds(4))
        }
    }
}

/// A run of ``CancellationExperiment`` by phase and door.
public struct CancellationReport: Codable, Sendable, Hashable {
    public struct Line: Codable, Sendable, Hashable {
        public var phase: DropPhase
        public var http: Int
        public var rpc: Int
    }

    public var lines: [Line]
    public var drops: Int
    /// Rounds that were played again, because a request was not where it was meant to be.
    public var repeated: Int
    /// Seconds until nothing was held, over rounds.
    public var median: Double
    public var p99: Double
    public var longest: Double
    /// Rounds that took more than a second.
    public var late: Int

    public init(_ rounds: [CancellationExperiment.Round], repeated: Int) {
        let drops = rounds.flatMap(\.drops), times = rounds.map(\.seconds)
        lines = DropPhase.allCases.map { phase in
            func count(_ door: FrontDoor) -> Int { drops.count { $0.phase == phase && $0.door == door } }
            return Line(phase: phase, http: count(.http), rpc: count(.rpc))
        }
        self.drops = drops.count
        self.repeated = repeated
        (median, p99, longest) = (times.median ?? 0, times.quantile(0.99) ?? 0, times.max() ?? 0)
        late = times.count { $0 > 1 }
    }

    public var text: String {
        var table = MarkdownTable(columns: ["phase", "over HTTP", "over RPC"])
        for line in lines { table.append([line.phase.rawValue, "\(line.http)", "\(line.rpc)"]) }
        return table.text + """


            \(drops) clients dropped, each in its phase; \(repeated) rounds were played again. Nothing held after \(median.plain(2)) s (median), \(p99.plain(2)) s (p99), \
            \(longest.plain(2)) s (longest); more than a second: \(late) times.
            """
    }
}
