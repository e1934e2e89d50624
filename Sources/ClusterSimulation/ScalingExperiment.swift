import ClusterCore
import Generation

/// How policies of batch scaling do on one decode worker: the real ``DecodeRole`` in virtual time, with an engine whose
/// iterations take a fixed time and some more for each row, a parking store that takes its time, and a coordinator that
/// hands out queries in order of arrival. The same arrivals for every policy; no measurement depends on the machine.
public struct ScalingExperiment: Sendable {
    public struct Workload: Sendable {
        public var name: String
        /// Poisson, queries in a second.
        public var arrivalRate: Double
        /// All answers of the mean length, instead of geometrically distributed.
        public var isUniform = false
        public var meanTokens = 100
        /// Drawn uniformly.
        public var promptTokens = 64...512
        public var queryCount = 2_000

        public init(name: String, arrivalRate: Double) {
            self.name = name
            self.arrivalRate = arrivalRate
        }
    }

    public struct Engine: Sendable {
        public var iteration = Duration.milliseconds(20)
        public var row = Duration.milliseconds(3)
        /// For the parking store, in either direction.
        public var blockCopy = Duration.microseconds(200)
        public var blockCount = 256
        public var maxSequences = 16

        public init() {}
    }

    public struct Outcome: Sendable {
        public var finished = 0
        public var tokens = 0
        /// From arrival to last token.
        public var latencies: [Duration] = []
        public var engineTime = Duration.zero
        public var rowIterations = 0
        public var iterations = 0
        public var parks = 0
        /// Computed again from the start: parking had no room.
        public var replays = 0
        public var heldBack = 0

        public var meanLatency: Duration { latencies.reduce(.zero, +) / max(1, latencies.count) }
        public var p99Latency: Duration {
            let sorted = latencies.sorted()
            return sorted.isEmpty ? .zero : sorted[(sorted.count * 99 + 99) / 100 - 1]
        }
        public var engineTimePerToken: Duration { engineTime / max(1, tokens) }
        /// Between two tokens of a row, while it is one.
        public var meanTokenTime: Duration { tokenTime / max(1, rowIterations) }
        public var meanRows: Double { Double(rowIterations) / Double(max(1, iterations)) }
        var tokenTime = Duration.zero
    }

    public var workload: Workload
    public var engine = Engine()
    public var scaling: BatchScale.Configuration

    public init(_ workload: Workload, engine: Engine = Engine(), scaling: BatchScale.Configuration) {
        self.workload = workload
        self.engine = engine
        self.scaling = scaling
    }

    public func run(seed: UInt64 = 1) -> Outcome {
        var worker = ScaledWorker(self, seed: seed)
        return worker.run()
    }
}

/// One run. The queries are numbered in order of arrival, which is also their rank.
private struct ScaledWorker {
    struct Query {
        var arrival: Instant
        var promptCount: Int
        var tokenCount: Int
        var emitted = 0
        var ordinal: UInt32 = 0
        /// Blocks that the coordinator counts for it; `nil` while it waits.
        var charge: Int?
        var isParked = false
    }

    enum Task {
        case park(ParkID)
        case restore(ParkID)
    }

    static let geometry = KVGeometry(
        layerCount: 1, blockSize: 16, keyValueHeads: 1, headDimension: 16, bytesPerElement: 4)
    static let epoch = ClusterEpoch(1)
    static let peer = PeerID(1)
    /// Blocks set aside for a query to grow into, and queries sent ahead of their row, as a scheduler does by default.
    static let growth = 4
    static let lookahead = 2

    let engine: ScalingExperiment.Engine
    var queries: [Query] = []
    /// Indices, in order of arrival.
    var line: [Int] = []
    var nextArrival = 0
    var running = 0
    var charged = 0
    var role: DecodeRole
    var iteration: (end: Instant, attempts: [AttemptID])?
    var tasks: [(end: Instant, task: Task)] = []
    var now = Instant(nanoseconds: 0)
    var outcome = ScalingExperiment.Outcome()

    init(_ experiment: ScalingExperiment, seed: UInt64) {
        engine = experiment.engine
        let workload = experiment.workload
        var random = Random(seed: seed)
        var time = Instant(nanoseconds: 0)
        let (mean, rate) = (workload.meanTokens, workload.arrivalRate)
        for _ in 0..<workload.queryCount {
            time = time + .seconds(random.exponential() / rate)
            let length = workload.isUniform ? mean : min(10 * mean, 2 + Int(random.exponential() * Double(mean - 2)))
            queries.append(
                Query(arrival: time, promptCount: random.draw(workload.promptTokens), tokenCount: length))
        }
        let longest = workload.promptTokens.upperBound + 10 * mean
        role = DecodeRole(DecodeRole.Configuration(
            clusterEpoch: Self.epoch, workerEpoch: WorkerEpoch(1), modelHash: "scaling", geometry: Self.geometry,
            blockCount: engine.blockCount, maxSequences: engine.maxSequences,
            maxModelLength: min(longest, engine.blockCount * Self.geometry.blockSize), creditWindow: 1 << 20,
            parking: ParkingLot.Limits(memory: 1 << 40), scaling: experiment.scaling))
    }

    mutating func run() -> ScalingExperiment.Outcome {
        while outcome.finished < queries.count {
            while nextArrival < queries.count, queries[nextArrival].arrival <= now {
                line.append(nextArrival)
                nextArrival += 1
            }
            place()
            startIteration()
            advance()
        }
        role.checkInvariants()
        outcome.heldBack = Int(role.counters.heldBack)
        return outcome
    }

    /// To the next thing that happens.
    private mutating func advance() {
        let arrival = nextArrival < queries.count ? queries[nextArrival].arrival : .distantFuture
        let stored = tasks.first?.end ?? .distantFuture
        now = min(arrival, stored, iteration?.end ?? .distantFuture)
        precondition(now < .distantFuture, "nothing happens any more: \(role.load), \(line.count) in line")
        if stored == now {
            switch tasks.removeFirst().task {
            case .park(let id): handle(.parkingFinished(id, true))
            case .restore(let id): handle(.restoringFinished(id, true))
            }
        } else if let attempts = iteration?.attempts, iteration?.end == now {
            iteration = nil
            handle(.iterationFinished(attempts.map { Sample(attempt: $0, token: .success(1)) }))
        }
    }

    private mutating func startIteration() {
        guard iteration == nil else { return }
        let (next, actions) = role.nextIteration(at: now)
        carryOut(actions)
        guard let next else { return }
        let time = engine.iteration + engine.row * next.rows.count
        iteration = (now + time, next.rows.map(\.attempt))
        outcome.engineTime += time
        outcome.tokenTime += time * next.rows.count
        outcome.rowIterations += next.rows.count
        outcome.iterations += 1
    }

    // MARK: Coordinator

    /// In order, as far as rows and blocks go.
    private mutating func place() {
        while let index = line.first, running < (role.load.rowLimit ?? engine.maxSequences) + Self.lookahead {
            let count = queries[index].promptCount + queries[index].emitted
            let budget = min(blocks(count) + Self.growth, blocks(queries[index].promptCount + queries[index].tokenCount))
            guard charged + budget <= engine.blockCount else { return }
            line.removeFirst()
            queries[index].charge = budget
            charged += budget
            running += 1
            if queries[index].isParked {
                queries[index].isParked = false
                handle(.message(.resume(attempt(index), budget: budget)))
            } else {
                grant(index, budget)
            }
        }
    }

    /// The KV is there at once: prompts are computed elsewhere, and not what is looked at.
    private mutating func grant(_ index: Int, _ budget: Int) {
        queries[index].ordinal += 1
        let (query, attempt) = (queries[index], attempt(index))
        let count = query.promptCount + query.emitted
        let order = SequenceOrder(
            attempt: attempt, tokens: Array(repeating: 1, count: count), promptCount: query.promptCount,
            sampling: .greedy, stop: StopConditions(maxTokens: Int32(query.tokenCount)), priority: .normal,
            precedence: Int64(index))
        let whole = LayerBlockRange(layer: 0, first: 0, count: blocks(count))
        let next = TokenEvent(attempt: attempt, index: Int32(query.emitted), token: 1)
        emit(next)
        guard queries[index].charge != nil else { return }
        handle(.message(.grant(Grant(sequence: order, budget: budget))))
        handle(.kv(Self.peer, .open(KVOpen(
            epoch: Self.epoch, attempt: attempt, modelHash: "scaling", geometry: Self.geometry, tokenCount: count))))
        handle(.blocksStored(Self.peer, KVBlocks(epoch: Self.epoch, attempt: attempt, tokenCount: count, range: whole)))
        handle(.kv(Self.peer, .commit(KVCommit(epoch: Self.epoch, attempt: attempt, tokenCount: count, next: next))))
    }

    private func attempt(_ index: Int) -> AttemptID {
        AttemptID(request: RequestID(UInt64(index)), ordinal: queries[index].ordinal)
    }

    private func blocks(_ tokens: Int) -> Int { Self.geometry.blockCount(forTokens: tokens) }

    private mutating func vacate(_ index: Int) {
        charged -= queries[index].charge ?? 0
        queries[index].charge = nil
        running -= 1
    }

    private mutating func lineUp(_ index: Int) {
        line.insert(index, at: line.firstIndex { $0 > index } ?? line.count)
    }

    // MARK: Worker

    private mutating func handle(_ event: DecodeRole.Event) { carryOut(role.handle(event, at: now)) }

    private mutating func carryOut(_ actions: [DecodeRole.Action]) {
        for action in actions {
            switch action {
            case .park(let kv): enqueue(.park(kv.id), kv.blocks.count)
            case .restore(let kv): enqueue(.restore(kv.id), kv.blocks.count)
            case .report(let message): receive(message)
            case .reply, .discard, .copyBlock, .releaseMemory, .load, .send, .sendParked: break
            }
        }
    }

    private mutating func enqueue(_ task: Task, _ blockCount: Int) {
        tasks.append((max(now, tasks.last?.end ?? now) + engine.blockCopy * blockCount, task))
    }

    private mutating func receive(_ message: WorkerMessage) {
        switch message {
        case .tokens(let events): for event in events { emit(event) }
        case .parked(let attempt):
            let index = Int(attempt.request.rawValue)
            outcome.parks += 1
            queries[index].isParked = true
            vacate(index)
            lineUp(index)
        case .decodeFailed(let attempt, _):
            let index = Int(attempt.request.rawValue)
            outcome.replays += 1
            vacate(index)
            lineUp(index)
        default: break
        }
    }

    private mutating func emit(_ event: TokenEvent) {
        let index = Int(event.attempt.request.rawValue)
        queries[index].emitted += 1
        outcome.tokens += 1
        if queries[index].emitted == queries[index].tokenCount {
            outcome.finished += 1
            outcome.latencies.append(now - queries[index].arrival)
            vacate(index)
        } else if let charge = queries[index].charge {
            let needed = max(charge, blocks(queries[index].promptCount + queries[index].emitted))
            charged += needed - charge
            queries[index].charge = needed
        }
    }
}

extension Random {
    /// With mean 1, by von Neumann's comparison of uniform draws: no logarithm, whose bits differ between machines.
    mutating func exponential() -> Double {
        var whole = 0.0
        while true {
            let first = Double(next() >> 11) * 0x1p-53
            var last = first
            var isOdd = true
            while true {
                let draw = Double(next() >> 11) * 0x1p-53
                guard draw < last else { break }
                last = draw
                isOdd.toggle()
            }
            if isOdd { return whole + first }
            whole += 1
        }
    }
}
