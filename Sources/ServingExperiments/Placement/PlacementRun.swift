import ClusterCore
import Generation

/// Prompts of a trace on a cluster in virtual time: the real ``Scheduler`` places them, real ``PrefillRole``s with their pools and prefix
/// trees compute them in steps that take a given time. Each request ends with its first token, so that prompts are all there is.
struct PlacementRun {
    struct Settings: Sendable, Hashable {
        var placement: PlacementPolicy
        var workers: Int
        /// Blocks of each worker.
        var memory: Int
        var blockSize = 16
        /// Tokens of a step at most, and prompts in flight.
        var stepTokens = 512
        var maxSequences: Int
        var cost: StepCost
        var indexCapacity: Int
    }

    struct Prompt: Sendable {
        /// Seconds after the start.
        var time: Double
        var tokens: [TokenID]
    }

    private struct Worker {
        var role: PrefillRole
        var link: ControlLink
        var step: PrefillStep?
        /// When the step ends.
        var end = Instant.distantFuture
        var busySeconds = 0.0
    }

    private let settings: Settings
    private let prompts: [Prompt]
    private var scheduler: Scheduler
    private var workers: [Worker] = []
    private var links: [ConnectionID: ControlLink] = [:]
    private var now = Instant(nanoseconds: 0)
    private var wakeUp = Instant.distantFuture
    /// Seconds from arrival to first token.
    private var waits: [Double] = []

    private static let geometry = KVGeometry(layerCount: 1, blockSize: 16, keyValueHeads: 1, headDimension: 1, bytesPerElement: 2)

    /// - Parameter prompts: in order of time.
    init(_ prompts: [Prompt], _ settings: Settings) {
        self.settings = settings
        self.prompts = prompts
        let longest = prompts.map(\.tokens.count).max() ?? 1
        scheduler = Scheduler(
            configuration: Scheduler.Configuration(
                modelName: "placement", maxModelLength: longest + 1, maxQueuedRequests: prompts.count + 1, placement: settings.placement,
                prefixIndexCapacity: settings.indexCapacity),
            clusterEpoch: ClusterEpoch(1))
        for index in 0..<settings.workers { register(index, .prefill, longest) }
        for index in 0..<settings.workers {
            guard let link = links[ConnectionID(UInt64(index))] else { preconditionFailure("worker \(index) was refused") }
            let role = PrefillRole(
                PrefillRole.Configuration(
                    clusterEpoch: link.clusterEpoch, workerEpoch: link.workerEpoch, modelHash: "placement", geometry: geometry,
                    blockCount: settings.memory, maxSequences: settings.maxSequences, maxBatchedTokens: settings.stepTokens,
                    maxModelLength: longest + 1, cachesPrefixes: true))
            workers.append(Worker(role: role, link: link))
        }
        // Nothing is placed without anybody to decode; it is never given anything.
        register(settings.workers, .decode, longest)
    }

    private var geometry: KVGeometry {
        var geometry = Self.geometry
        geometry.blockSize = settings.blockSize
        return geometry
    }

    private mutating func register(_ index: Int, _ role: WorkerRole, _ longest: Int) {
        let registration = Registration(
            worker: Self.name(index), role: role, bootNonce: 1, endpoint: "e\(index)",
            numerics: NumericsClass(modelHash: "placement", weightFormat: "float32", kvFormat: "float32", kernelFamily: "none", canary: 0),
            geometry: geometry, blockCount: settings.memory, maxSequences: settings.maxSequences, maxModelLength: longest + 1)
        handle(.workerMessage(ConnectionID(UInt64(index)), .registration(ordinal: 1), .register(registration)))
    }

    private static func name(_ index: Int) -> WorkerID { WorkerID("w\(index)") }

    mutating func run() -> PlacementOutcome {
        var next = 0
        while waits.count < prompts.count {
            let arrival = next < prompts.count ? Self.instant(prompts[next].time) : .distantFuture
            let soonest = workers.indices.min { workers[$0].end < workers[$1].end }
            let end = soonest.map { workers[$0].end } ?? .distantFuture
            now = max(now, min(arrival, end, wakeUp))
            precondition(now < .distantFuture, "nothing happens any more: \(waits.count) of \(prompts.count) are done")
            if arrival <= now {
                submit(next)
                next += 1
            } else if let soonest, end <= now {
                finishStep(of: soonest)
            } else {
                wakeUp = .distantFuture
                handle(.tick)
            }
        }
        scheduler.checkInvariants()
        return outcome
    }

    private static func instant(_ seconds: Double) -> Instant { Instant(nanoseconds: Int64(seconds * 1e9)) }

    private var outcome: PlacementOutcome {
        let caches = workers.map(\.role.load.prefixCache)
        return PlacementOutcome(
            hitTokens: caches.reduce(0) { $0 + Int($1.hitTokens) }, promptTokens: prompts.reduce(0) { $0 + $1.tokens.count },
            evictions: caches.reduce(0) { $0 + Int($1.evictions) }, seconds: Double(now.nanoseconds) / 1e9,
            busySeconds: workers.map(\.busySeconds), waits: waits)
    }

    // MARK: Coordinator

    private mutating func submit(_ index: Int) {
        handle(
            .submitted(ClientRequest(
                key: ClientRequestKey(client: ClientID(1), key: UInt64(index)), prompt: prompts[index].tokens, sampling: .greedy,
                stop: StopConditions(maxTokens: 1))))
    }

    private mutating func handle(_ event: Scheduler.Event) {
        for action in scheduler.handle(event, at: now) {
            switch action {
            case .send(let connection, _, .registered(let cluster, let worker)):
                links[connection] = ControlLink(clusterEpoch: cluster, workerEpoch: worker)
            case .send(let connection, _, let message):
                let index = Int(connection.rawValue)
                carryOut(workers[index].role.handle(.message(message), at: now), of: index)
                begin(index)
            case .ping(let worker, let ping): answer(ping, worker)
            case .finish(_, _, let summary): waits.append(summary.timings.timeToFirstToken / .seconds(1))
            case .wakeAt(let time): wakeUp = time
            case .refused(_, let failure), .fail(_, let failure): preconditionFailure("\(failure)")
            case .accepted, .emit, .emitPrompt, .observe, .drained: break
            }
        }
    }

    private mutating func answer(_ ping: Ping, _ worker: WorkerID) {
        let index = Int(worker.name.dropFirst()).flatMap { workers.indices.contains($0) ? $0 : nil }
        handle(
            .pong(Pong(
                worker: worker, clusterEpoch: ping.clusterEpoch, workerEpoch: ping.workerEpoch, sequence: ping.sequence, controlSent: 0,
                load: index.map { workers[$0].role.load } ?? WorkerLoad())))
    }

    // MARK: Workers

    private mutating func begin(_ index: Int) {
        guard workers[index].step == nil else { return }
        let (step, actions) = workers[index].role.nextStep(at: now)
        if let step {
            let context = step.chunks.reduce(0) { $0 + $1.start + $1.tokens.count }
            let seconds = settings.cost.seconds(tokens: step.tokenCount, contextTokens: context)
            workers[index].step = step
            workers[index].end = now + .seconds(seconds)
            workers[index].busySeconds += seconds
        }
        carryOut(actions, of: index)
    }

    private mutating func finishStep(of index: Int) {
        guard let step = workers[index].step else { preconditionFailure("worker \(index) computes nothing") }
        workers[index].step = nil
        workers[index].end = .distantFuture
        let samples = step.chunks.flatMap(\.samples).map { Sample(attempt: $0.attempt, token: .success(0)) }
        carryOut(workers[index].role.handle(.stepFinished(samples), at: now), of: index)
        begin(index)
    }

    private mutating func carryOut(_ actions: [PrefillRole.Action], of index: Int) {
        for case .report(let message) in actions {
            let envelope = workers[index].link.stamp()
            handle(.workerMessage(ConnectionID(UInt64(index)), envelope, message))
        }
    }
}

/// What became of the prompts of a trace.
struct PlacementOutcome: Sendable, Hashable, Codable {
    /// Prompt tokens that were found and not computed.
    var hitTokens: Int
    var promptTokens: Int
    /// Blocks.
    var evictions: Int
    /// From the first arrival to the last first token.
    var seconds: Double
    /// Of each worker, in steps.
    var busySeconds: [Double]
    /// Seconds from arrival to first token.
    var waits: [Double]

    var hitRate: Double { Double(hitTokens) / Double(max(1, promptTokens)) }
    /// How much more the busiest worker had to do than one does on average.
    var imbalance: Double {
        guard let most = busySeconds.max(), let mean = busySeconds.mean, mean > 0 else { return 0 }
        return most / mean - 1
    }

    var utilisation: Double { (busySeconds.mean ?? 0) / max(seconds, .leastNormalMagnitude) }
}
