import ClusterCore
import Generation

/// A scheduler with hand-moved workers: registers them, numbers what they say and remembers what they were told.
struct SchedulerHarness {
    var scheduler: Scheduler
    var now = Instant(nanoseconds: 0)
    var links: [String: ControlLink] = [:]
    /// Everything the scheduler wanted, in order.
    var log: [Scheduler.Action] = []
    private var nonce: UInt64 = 0

    static let geometry = KVGeometry(
        layerCount: 2, blockSize: 4, keyValueHeads: 1, headDimension: 2, bytesPerElement: 4)
    static let numerics = NumericsClass(
        modelHash: "m", weightFormat: "float32", kvFormat: "float32", kernelFamily: "test", canary: 1)

    init(_ change: (inout Scheduler.Configuration) -> Void = { _ in }) {
        var configuration = Scheduler.Configuration(modelName: "test", maxModelLength: 64)
        // Most tests are about load and give everybody the same prompt.
        configuration.placement = .leastLoaded
        change(&configuration)
        scheduler = Scheduler(configuration: configuration, clusterEpoch: ClusterEpoch(7))
    }

    @discardableResult
    mutating func handle(_ event: Scheduler.Event) -> [Scheduler.Action] {
        let actions = scheduler.handle(event, at: now)
        scheduler.checkInvariants()
        log += actions
        return actions
    }

    static func connection(_ worker: String) -> ConnectionID {
        ConnectionID(worker.utf8.reduce(0) { $0 * 256 + UInt64($1) })
    }

    static func registration(
        _ worker: String, _ role: WorkerRole, nonce: UInt64 = 1, blocks: Int = 64, rows: Int = 4
    ) -> Registration {
        Registration(
            worker: WorkerID(worker), role: role, bootNonce: nonce, endpoint: "at-\(worker)", numerics: numerics,
            geometry: geometry, blockCount: blocks, maxSequences: rows, maxModelLength: 64)
    }

    @discardableResult
    mutating func join(_ worker: String, _ role: WorkerRole, blocks: Int = 64, rows: Int = 4) -> [Scheduler.Action] {
        nonce += 1
        return join(Self.registration(worker, role, nonce: nonce, blocks: blocks, rows: rows))
    }

    @discardableResult
    mutating func join(_ registration: Registration, ordinal: UInt64 = 1) -> [Scheduler.Action] {
        let name = registration.worker.name
        let actions = handle(
            .workerMessage(Self.connection(name), .registration(ordinal: ordinal), .register(registration)))
        for case .send(_, _, .registered(let cluster, let worker)) in actions {
            links[name] = ControlLink(clusterEpoch: cluster, workerEpoch: worker)
        }
        return actions
    }

    @discardableResult
    mutating func say(_ worker: String, _ message: WorkerMessage) -> [Scheduler.Action] {
        let envelope = links[worker]!.stamp()
        return handle(.workerMessage(Self.connection(worker), envelope, message))
    }

    @discardableResult
    mutating func lose(_ worker: String) -> [Scheduler.Action] {
        handle(.workerConnectionClosed(Self.connection(worker)))
    }

    @discardableResult
    mutating func submit(
        _ key: UInt64, prompt: [TokenID] = [1, 2, 3, 4, 5], maxTokens: Int32 = 4, endTokens: [TokenID] = [],
        priority: Priority = .normal, group: PrefixGroup? = nil, groupOwner: ClientID? = nil, client: UInt64 = 1,
        deadline: Instant? = nil
    ) -> [Scheduler.Action] {
        handle(
            .submitted(ClientRequest(
                key: ClientRequestKey(client: ClientID(client), key: key), prompt: prompt, sampling: .greedy,
                stop: StopConditions(maxTokens: maxTokens, endTokens: endTokens), priority: priority,
                group: group, groupOwner: groupOwner, deadline: deadline)))
    }

    /// Lets time pass in small steps; those in `alive` answer their pings.
    @discardableResult
    mutating func wait(_ duration: Duration, alive: [String] = []) -> [Scheduler.Action] {
        var actions: [Scheduler.Action] = []
        let end = now + duration
        while now < end {
            now = min(now + .milliseconds(50), end)
            let new = handle(.tick)
            actions += new
            for case .ping(let worker, let ping) in new where alive.contains(worker.name) {
                actions += handle(.pong(pong(worker.name, to: ping)))
            }
        }
        return actions
    }

    func pong(_ worker: String, to ping: Ping, controlSent: UInt64? = nil) -> Pong {
        Pong(
            worker: WorkerID(worker), clusterEpoch: ping.clusterEpoch, workerEpoch: ping.workerEpoch,
            sequence: ping.sequence, controlSent: controlSent ?? links[worker]?.sent ?? 0, load: WorkerLoad())
    }

    /// The usual start: request 1 placed on `p` and `d`, prompt computed, KV whole.
    mutating func startDecoding(maxTokens: Int32 = 4) -> AttemptID {
        join("p", .prefill)
        join("d", .decode)
        submit(1, maxTokens: maxTokens)
        let attempt = AttemptID(request: RequestID(1), ordinal: 1)
        say("p", .prefillStarted(attempt))
        say("p", .prefillFinished(attempt, TokenEvent(attempt: attempt, index: 0, token: 100)))
        say("d", .kvWhole(attempt))
        say("p", .transferFinished(attempt))
        return attempt
    }
}

extension [Scheduler.Action] {
    /// What a worker is told, in order.
    func orders(to worker: String) -> [CoordinatorMessage] {
        compactMap { action in
            guard case .send(SchedulerHarness.connection(worker), _, let message) = action else { return nil }
            return message
        }
    }

    var emitted: [TokenID] {
        flatMap { action -> [TokenID] in
            guard case .emit(_, _, _, let tokens) = action else { return [] }
            return tokens.map(\.token)
        }
    }

    var endings: [Scheduler.Action] {
        filter { action in
            switch action {
            case .finish, .fail, .refused: true
            default: false
            }
        }
    }

    var failureCode: RequestFailure.Code? {
        for action in self {
            switch action {
            case .fail(_, let failure), .refused(_, let failure): return failure.code
            default: continue
            }
        }
        return nil
    }

    var grants: [Grant] {
        compactMap { action in
            guard case .send(_, _, .grant(let grant)) = action else { return nil }
            return grant
        }
    }

    var prefills: [PrefillOrder] {
        compactMap { action in
            guard case .send(_, _, .prefill(let order)) = action else { return nil }
            return order
        }
    }
}
