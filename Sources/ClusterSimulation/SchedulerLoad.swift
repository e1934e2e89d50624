import ClusterCore
import Generation

/// How many events a scheduler handles in a second, with a large cluster that is full and a long queue before it.
public enum SchedulerLoad {
    public struct Measurement: Sendable {
        public var events: Int
        public var eventsPerSecond: Double
    }

    /// Half the workers prefill, half decode. Answers never end before they are replaced: each round sends one token
    /// of every running request, as decode workers do, and now and then ends one, so that the next is placed.
    public static func measure(workers: Int, queued: Int, events: Int) -> Measurement {
        var cluster = LoadedCluster(workers: workers, queued: queued)
        let clock = ContinuousClock()
        let start = clock.now
        var count = 0
        while count < events { count += cluster.round() }
        let seconds = (clock.now - start) / .seconds(1)
        cluster.scheduler.checkInvariants()
        return Measurement(events: count, eventsPerSecond: Double(count) / seconds)
    }
}

private struct LoadedCluster {
    private struct Running {
        var attempt: AttemptID
        var index: Int32
    }

    var scheduler: Scheduler
    private var now = Instant(nanoseconds: 0)
    private var links: [ConnectionID: ControlLink] = [:]
    /// Running requests of each decode worker.
    private var running: [[Running]]
    private let decodeCount: Int
    private var key: UInt64 = 0

    init(workers: Int, queued: Int) {
        decodeCount = workers / 2
        running = Array(repeating: [], count: workers)
        scheduler = Scheduler(
            configuration: Scheduler.Configuration(
                modelName: "load", maxModelLength: 4096, maxQueuedRequests: queued * 2,
                placement: .leastLoaded),
            clusterEpoch: ClusterEpoch(1))
        for index in 0..<workers { register(index) }
        for _ in 0..<queued + decodeCount * 10 { submit() }
    }

    private mutating func register(_ index: Int) {
        let registration = Registration(
            worker: WorkerID("w\(index)"), role: index < decodeCount ? .decode : .prefill, bootNonce: 1,
            endpoint: "e\(index)", numerics: Simulation.numerics,
            geometry: KVGeometry(
                layerCount: 1, blockSize: 16, keyValueHeads: 1, headDimension: 1, bytesPerElement: 4),
            blockCount: 1024, maxSequences: 8, maxModelLength: 4096)
        handle(.workerMessage(ConnectionID(UInt64(index)), .registration(ordinal: 1), .register(registration)))
    }

    private mutating func submit() {
        key += 1
        handle(
            .submitted(ClientRequest(
                key: ClientRequestKey(client: ClientID(1), key: key), prompt: Array(repeating: 1, count: 64),
                sampling: .greedy, stop: StopConditions(maxTokens: 24))))
    }

    private mutating func say(_ worker: Int, _ message: WorkerMessage) {
        let connection = ConnectionID(UInt64(worker))
        guard let envelope = links[connection]?.stamp() else { return }
        handle(.workerMessage(connection, envelope, message))
    }

    private mutating func handle(_ event: Scheduler.Event) {
        for action in scheduler.handle(event, at: now) {
            switch action {
            case .send(let connection, _, .registered(let cluster, let worker)):
                links[connection] = ControlLink(clusterEpoch: cluster, workerEpoch: worker)
            case .send(let connection, _, .prefill(let order)): waiting.append((Int(connection.rawValue), order))
            case .ping(let worker, let ping): pings.append((worker, ping))
            case .finish: finished += 1
            default: break
            }
        }
    }

    private var finished = 0
    private var waiting: [(worker: Int, order: PrefillOrder)] = []
    private var pings: [(worker: WorkerID, ping: Ping)] = []

    private mutating func answer(_ ping: Ping, _ worker: WorkerID) {
        handle(
            .pong(Pong(
                worker: worker, clusterEpoch: ping.clusterEpoch, workerEpoch: ping.workerEpoch,
                sequence: ping.sequence, controlSent: 0, load: WorkerLoad())))
    }

    /// One iteration of every decode worker. Returns the number of events.
    mutating func round() -> Int {
        var count = 0
        now = now + .milliseconds(10)
        let orders = waiting
        waiting = []
        for (worker, order) in orders {
            let attempt = order.sequence.attempt
            guard let name = order.destination?.worker.name, let decode = Int(name.dropFirst()) else { continue }
            say(worker, .prefillStarted(attempt))
            say(worker, .prefillFinished(attempt, TokenEvent(attempt: attempt, index: 0, token: 7)))
            say(decode, .kvWhole(attempt))
            say(worker, .transferFinished(attempt))
            running[decode].append(Running(attempt: attempt, index: 1))
            count += 4
        }
        for worker in 0..<decodeCount where !running[worker].isEmpty {
            let events = running[worker].map { TokenEvent(attempt: $0.attempt, index: $0.index, token: 7) }
            for row in running[worker].indices { running[worker][row].index += 1 }
            running[worker].removeAll { $0.index == 24 }
            say(worker, .tokens(events))
            count += 1
        }
        for (worker, ping) in pings { answer(ping, worker) }
        count += pings.count
        pings = []
        while finished > 0 {
            finished -= 1
            submit()
            count += 1
        }
        return count
    }
}
