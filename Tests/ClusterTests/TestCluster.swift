import BatonClient
import ClusterCore
import Foundation
import Generation
import Inference
import Kernels
import LocalCluster
import Testing

/// Real processes on loopback, and the same model alone in this one.
struct TestCluster {
    static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    static let programs = root.appendingPathComponent(".build/release")
    static let model = root.appendingPathComponent("Models/baton-tiny").path

    let processes: LocalCluster
    var plan: ClusterPlan { processes.plan }

    /// Runs `body` with a cluster of its own; every process of it is gone afterwards.
    static func run(
        model: String = model, prefillWorkers: Int = 1, decodeWorkers: Int = 1, mixedWorkers: Int = 0,
        coreLeases: Bool = false, http: Bool = false, workerArguments: [String] = [], coordinatorArguments: [String] = [],
        arm: Arm? = nil, programs: URL = programs, roleArguments: [String: [String]] = [:],
        _ body: (TestCluster) async throws -> Void
    ) async throws {
        let logs = FileManager.default.temporaryDirectory.appendingPathComponent("baton-test-\(UUID().uuidString)")
        var plan = ClusterPlan(
            programs: programs, model: model, prefillWorkers: prefillWorkers, decodeWorkers: decodeWorkers,
            mixedWorkers: mixedWorkers, rpc: try freeLoopbackEndpoint(), workers: try freeLoopbackEndpoint(), logs: logs)
        if coreLeases { plan.coreLeases = logs.appendingPathComponent("core-leases").path }
        if http { plan.http = HTTPAddress(port: try freeLoopbackPort()) }
        plan.arm = arm
        plan.workerArguments = ["--kv-cache-memory", "64MiB"] + workerArguments
        plan.roleArguments = roleArguments
        let keepsJobs = coordinatorArguments.contains("--job-store")
        plan.coordinatorArguments = coordinatorArguments + (http && !keepsJobs ? ["--jobs", "off"] : [])
        let cluster = TestCluster(processes: LocalCluster(plan: plan))
        do {
            try await cluster.processes.startAll()
            try await cluster.waitUntil("all workers are ready") { status in
                status.workers.count { $0.state == .ready } == plan.workerNames.count
            }
            try await body(cluster)
        } catch {
            await cluster.processes.stopAll(patience: .seconds(1))
            Issue.record("\(error); logs in \(logs.path)")
            return
        }
        await cluster.processes.stopAll(patience: .seconds(5))
        try? FileManager.default.removeItem(at: logs)
    }

    func connect() async throws -> BatonClient {
        try await BatonClient.connect(to: plan.rpc, name: "test", timeout: .seconds(20))
    }

    func status() async throws -> ClusterStatus {
        let client = try await connect()
        let status = try await client.status()
        await client.close()
        return status
    }

    /// Asks for the status until it is as wanted.
    func waitUntil(
        _ what: String, within patience: Duration = .seconds(60), _ isMet: (ClusterStatus) -> Bool
    ) async throws {
        let deadline = ContinuousClock.now + patience
        var last = "no status"
        while ContinuousClock.now < deadline {
            if let status = try? await status() {
                if isMet(status) { return }
                last = "\(status)"
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw NeverCame(what: what, last: last)
    }

    /// No request is open and no block is referenced anywhere.
    func waitUntilIdle(within patience: Duration = .seconds(30)) async throws {
        try await waitUntil("nothing is left behind", within: patience) { status in
            status.waiting == 0 && status.running == 0
                && status.workers.filter { $0.state != .lost }.allSatisfy {
                    $0.load.referencedBlocks == 0 && $0.load.rows == 0 && $0.load.waiting == 0
                }
        }
    }
}

struct NeverCame: Error, CustomStringConvertible {
    var what: String
    var last: String
    var description: String { "waited in vain until \(what); last: \(last)" }
}

/// Requests of every kind, and what each answers when it is alone in one process.
struct Workload {
    struct Item: Sendable {
        var submission: Submission
        var expected: [TokenID]
    }

    var items: [Item]

    /// - Parameters:
    ///   - seed: equal seeds give equal requests.
    ///   - maxTokens: greatest length of an answer.
    ///   - stems: every prompt begins with the first tokens of one of so many sequences, at least `common` of them; 0: they
    ///     have nothing in common.
    init(
        count: Int, seed: UInt64, maxTokens: Int32 = 60, kvFormat: KVFormat = .auto, stems: Int = 0,
        common: Int = 0
    ) async throws {
        items = try await Self.onThread {
            let team = try ThreadTeam(maxThreads: 1)
            let model = try Model(
                path: TestCluster.model, kernels: try KernelSet.select(environment: ProcessInfo.processInfo.environment),
                team: team, threads: 1)
            let local = LocalGeneration(engine: try Engine(model: model, team: team), threads: 1, kvFormat: kvFormat)
            var random = SplitMix(state: seed)
            let vocabulary = model.configuration.vocabularySize
            let stems = (0..<stems).map { _ in (0..<300).map { _ in TokenID(random.next() % UInt64(vocabulary)) } }
            return try (0..<count).map { number in
                var submission = Self.submission(number, vocabulary: vocabulary, maxTokens, &random)
                if let stem = stems.isEmpty ? nil : stems[Int(random.next() % UInt64(stems.count))],
                    case .tokens(let own) = submission.prompt {
                    let count = common + Int(random.next() % UInt64(stem.count - common + 1))
                    submission.prompt = .tokens(Array(stem.prefix(count) + own.prefix(40)))
                }
                return Item(submission: submission, expected: try Self.answer(submission, local))
            }
        }
    }

    /// Greedy and sampled, with and without penalties, short and long, of each priority.
    private static func submission(
        _ number: Int, vocabulary: Int, _ maxTokens: Int32, _ random: inout SplitMix
    ) -> Submission {
        let length = [1, 15, 16, 17, 40, 90, 200, 330][Int(random.next() % 8)]
        let prompt = (0..<length).map { _ in TokenID(random.next() % UInt64(vocabulary)) }
        var sampling = SamplingParameters.greedy
        switch number % 4 {
        case 1: sampling = SamplingParameters(temperature: 0.9, topP: 0.95)
        case 2: sampling = SamplingParameters(temperature: 1.2, topK: 20, minP: 0.02)
        case 3: sampling = SamplingParameters(temperature: 0.8, repetitionPenalty: 1.2, presencePenalty: 0.3, frequencyPenalty: 0.2)
        default: break
        }
        return Submission(
            prompt: .tokens(prompt), sampling: sampling, seed: random.next(),
            maxTokens: Int32(1 + random.next() % UInt64(maxTokens)), ignoreEndTokens: true,
            priority: Priority.allCases[number % 3])
    }

    private static func answer(_ submission: Submission, _ local: LocalGeneration) throws -> [TokenID] {
        guard case .tokens(let prompt) = submission.prompt, let maxTokens = submission.maxTokens else { return [] }
        var parameters = submission.sampling
        parameters.seed = submission.seed ?? 0
        return try local.generate(prompt: prompt, parameters: parameters, stop: StopConditions(maxTokens: maxTokens)).tokens
    }

    /// The engine belongs to one thread, and the cooperative pool is no place for long work.
    private static func onThread<Result: Sendable>(_ work: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await withCheckedThrowingContinuation { done in
            let thread = Thread { done.resume(with: Swift.Result { try work() }) }
            thread.stackSize = 8 << 20
            thread.start()
        }
    }

    /// Sends everything, at most `concurrency` at a time, and compares each answer with the one expected.
    /// - Returns: how many answers took more than one attempt.
    func check(on client: BatonClient, concurrency: Int) async throws -> Int {
        try await withThrowingTaskGroup(of: UInt32.self) { group in
            var retried = 0
            for (number, item) in items.enumerated() {
                if number >= concurrency, let attempts = try await group.next() { retried += attempts > 1 ? 1 : 0 }
                group.addTask {
                    let answer = try await client.answer(to: item.submission)
                    #expect(answer.tokens == item.expected, "request \(number): \(item.submission)")
                    #expect(answer.completion.reason == .length)
                    return answer.completion.attempts
                }
            }
            for try await attempts in group { retried += attempts > 1 ? 1 : 0 }
            return retried
        }
    }
}

struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}
