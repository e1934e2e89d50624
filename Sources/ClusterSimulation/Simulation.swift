import ClusterCore
import Generation

/// One seed: a cluster of the real state machines, in a world that is drawn from the seed alone.
public final class Simulation {
    enum Event {
        // To the coordinator.
        case submit(Int)
        case cancel(Int)
        case clientGone(Int)
        case control(life: Int, ConnectionID, Envelope, WorkerMessage)
        case pong(life: Int, Pong)
        case connectionClosed(life: Int, ConnectionID)
        case coordinatorWake(life: Int)
        // To a worker.
        case order(Int, life: Int, Envelope, CoordinatorMessage)
        case ping(Int, life: Int, Ping)
        case connectionLost(Int, life: Int)
        case workerWake(Int, life: Int)
        case layerStored(Int, life: Int, layer: Int)
        case stepDone(Int, life: Int)
        case transport(Int, life: Int, KVSend)
        /// To whatever process has the endpoint now.
        case kv(Int, from: PeerID, KVMessage, payload: Payload?)
        case kvReply(Int, life: Int, KVReply)
        case peerUnreachable(Int, life: Int, WorkerID)
        case lateWrite(Int, life: Int, [KVWrite])
        case storeDone(Int, life: Int, StoreTask)
        case memorySample(Int, life: Int)
        case lateRelease(Int, life: Int, [BlockID])
        // From above.
        case fault
        case heal
        case workerStart(Int, life: Int)
        case workerResume(Int, life: Int)
        case workerSpeed(Int, life: Int, slowness: Int)
        case coordinatorStart
        case coordinatorResume(life: Int)
        case audit
        case finalCheck
    }

    struct KVSend {
        var message: KVMessage
        var blocks: [BlockID]
        var lease: LeaseID?
        /// Read from the parking store instead.
        var parked: ParkID?
        var destination: KVDestination
    }

    /// One token's KV of one layer.
    struct KVWrite {
        var layer: Int
        var position: Int
        var table: [BlockID]
        var slot: UInt64
    }

    struct Payload {
        var slots: [UInt64]
        var isDamaged: Bool
    }

    static let numerics = NumericsClass(
        modelHash: "simulated", weightFormat: "none", kvFormat: "hash", kernelFamily: "splitmix", canary: 42)

    /// Far beyond what any seed takes.
    static let stepLimit = 200_000

    public let seed: UInt64
    let plant: PlantedBug?
    /// Invariants are checked at every so many events.
    let checkInterval: Int
    /// Tells the story, line by line.
    let narrate: ((String) -> Void)?

    let scenario: Scenario
    var random: Random
    var queue = EventQueue<Event>()
    var now = Instant(nanoseconds: 0)
    var network: Network
    let coordinator = CoordinatorProcess()
    let workers: [WorkerProcess]
    let indexOfWorker: [WorkerID: Int]
    var checker: Checker
    var ledger = CreditLedger()
    var tampering = Tampering()

    public internal(set) var violation: Violation?
    public internal(set) var report = SimulationReport()
    var isOver = false
    var hasFinalCheck = false

    public init(
        seed: UInt64, plant: PlantedBug? = nil, checkInterval: Int = 1, narrate: ((String) -> Void)? = nil
    ) {
        precondition(checkInterval > 0, "invariants checked every \(checkInterval) events")
        self.seed = seed
        self.plant = plant
        self.checkInterval = checkInterval
        self.narrate = narrate
        random = Random(seed: seed)
        let scenario = Scenario(random: &random)
        self.scenario = scenario
        workers = scenario.workers.enumerated().map { WorkerProcess(index: $0, shape: $1, scenario: scenario) }
        indexOfWorker = Dictionary(uniqueKeysWithValues: workers.map { ($0.id, $0.index) })
        network = Network(workerCount: workers.count, scenario: scenario)
        checker = Checker(scenario)
    }

    /// Runs to the end, or to the first violation.
    public func run() -> SimulationReport {
        queue.push(.coordinatorStart, at: now)
        for worker in workers {
            queue.push(.workerStart(worker.index, life: 0), at: now + random.milliseconds(0...300))
        }
        for (index, request) in scenario.requests.enumerated() { queue.push(.submit(index), at: request.arrival) }
        queue.push(.fault, at: now + scenario.faultInterval)
        queue.push(.heal, at: scenario.healing)
        queue.push(.audit, at: calm)
        while !isOver, violation == nil, let (time, event) = queue.pop() {
            now = time
            process(event)
            report.steps += 1
            if report.steps > Self.stepLimit { violate("no end after \(report.steps) steps, the last being \(event)") }
            if report.steps % checkInterval == 0 { checkInvariants() }
        }
        return summary()
    }

    /// From here on nothing goes wrong any more, and nothing that went wrong may still show.
    var calm: Instant { scenario.healing + Scenario.settling }

    private func summary() -> SimulationReport {
        report.requests = checker.tracked.count
        report.finished = checker.count { $0 == .finished }
        report.failed = checker.count { if case .failed = $0 { true } else { false } }
        report.refused = checker.count { if case .refused = $0 { true } else { false } }
        report.broken = checker.count { $0 == .broken }
        report.messagesLost = network.lost + network.blocked
        report.messagesDuplicated = network.duplicated
        report.messagesReordered = network.reordered
        report.virtualTime = now - Instant(nanoseconds: 0)
        return report
    }

    func violate(_ text: @autoclosure () -> String) {
        guard violation == nil else { return }
        violation = Violation(time: now, text: text())
        tell("VIOLATION \(text())")
    }

    func tell(_ text: @autoclosure () -> String) {
        if let narrate { narrate("\(now) \(text())") }
    }

    /// Takes part in the digest of everything that happened.
    func digest(_ tag: UInt64, _ value: UInt64) {
        report.digest = SplitMix.mix(report.digest ^ UInt64(bitPattern: now.nanoseconds), SplitMix.mix(tag, value))
    }

    private func checkInvariants() {
        coordinator.scheduler?.checkInvariants()
        for worker in workers where worker.isUp { worker.checkInvariants() }
    }

    // MARK: Who is concerned

    private func process(_ event: Event) {
        switch event {
        case .submit, .cancel, .clientGone, .control, .pong, .connectionClosed, .coordinatorWake:
            processAtCoordinator(event)
        case .order(let worker, let life, _, _), .ping(let worker, let life, _), .connectionLost(let worker, let life),
            .workerWake(let worker, let life), .layerStored(let worker, let life, _), .stepDone(let worker, let life),
            .transport(let worker, let life, _), .kvReply(let worker, let life, _),
            .peerUnreachable(let worker, let life, _), .lateWrite(let worker, let life, _),
            .storeDone(let worker, let life, _), .memorySample(let worker, let life),
            .lateRelease(let worker, let life, _):
            if workers[worker].life == life { process(event, at: workers[worker]) }
        case .kv(let worker, _, _, _): process(event, at: workers[worker])
        case .fault: injectFault()
        case .heal: heal()
        case .workerStart(let worker, let life): if workers[worker].life == life { start(workers[worker]) }
        case .workerResume(let worker, let life): if workers[worker].life == life { resume(workers[worker]) }
        case .workerSpeed(let worker, let life, let slowness):
            if workers[worker].life == life { workers[worker].slowness = slowness }
        case .coordinatorStart: startCoordinator()
        case .coordinatorResume(let life): if coordinator.life == life { resumeCoordinator() }
        case .audit: audit()
        case .finalCheck: finalCheck()
        }
    }

    private func process(_ event: Event, at worker: WorkerProcess) {
        guard worker.isUp else { return }
        if worker.isStopped {
            worker.backlog.append(event)
        } else {
            digest(1, UInt64(worker.index))
            handle(event, at: worker)
        }
    }

    private func processAtCoordinator(_ event: Event) {
        if coordinator.isStopped {
            coordinator.backlog.append(event)
        } else {
            digest(2, 0)
            handleAtCoordinator(event)
        }
    }

    // MARK: The end

    private func audit() {
        for worker in workers where !worker.session.isRegistered {
            violate("\(worker.id) is not registered \(Scenario.settling) after the healing")
        }
        let unfinished = checker.unfinished
        if unfinished.isEmpty {
            queue.push(.finalCheck, at: now + .seconds(4))
        } else if now > scenario.healing + .seconds(300) {
            violate("not ended long after the healing: \(unfinished.map { "#\($0) \(checker.tracked[$0].state)" })")
        } else {
            queue.push(.audit, at: now + .milliseconds(500))
        }
    }

    private func finalCheck() {
        isOver = true
        if let open = coordinator.scheduler?.openRequestCount, open != 0 { violate("\(open) requests are open") }
        for worker in workers {
            let load = worker.load
            if load.referencedBlocks != 0 || load.rows != 0 || load.waiting != 0 || load.parking.queries != 0 {
                violate("\(worker.id) still has \(load)")
            }
            if load.prefixCache.pinnedBlocks != 0 { violate("\(worker.id) keeps \(load.prefixCache.pinnedBlocks) blocks for groups") }
            if !worker.store.isEmpty { violate("\(worker.id) still has KV of \(worker.store.count) queries parked") }
            if !worker.isQuiescent { violate("\(worker.id) still works") }
        }
    }
}

/// What happened under one seed, or several.
public struct SimulationReport: Sendable, Equatable {
    public var steps = 0
    public var virtualTime = Duration.zero
    public var requests = 0
    public var finished = 0
    public var failed = 0
    public var refused = 0
    public var broken = 0
    public var tokens = 0
    /// Finished choices beside the first of their requests.
    public var choices = 0
    /// Tokens of prompts with their scores.
    public var scores = 0
    public var attempts = 0
    /// By ``FaultKind``, in its order.
    public var faults = Array(repeating: 0, count: FaultKind.allCases.count)
    public var messagesLost = 0
    public var messagesDuplicated = 0
    public var messagesReordered = 0
    public var payloadsDamaged = 0
    public var registrations = 0
    public var evictions = 0
    public var retargets = 0
    public var parks = 0
    public var resumes = 0
    /// Blocks whose memory was given back.
    public var releasedBlocks = 0
    /// Parked queries that were to be sent to another worker.
    public var migrations = 0
    /// Steps of mixed workers with both rows and chunks.
    public var sharedSteps = 0
    /// Token rows that were computed for nothing.
    public var idleTokens = 0
    /// To shape dense batches.
    public var blocksCopied = 0
    /// Tokens of prompts whose KV was there, and blocks that did not have to be sent.
    public var reusedTokens = 0
    public var heldBlocks = 0
    /// Of everything that happened, in order.
    public var digest: UInt64 = 0

    public init() {}

    public mutating func add(_ other: SimulationReport) {
        steps += other.steps
        virtualTime += other.virtualTime
        requests += other.requests
        finished += other.finished
        failed += other.failed
        refused += other.refused
        broken += other.broken
        tokens += other.tokens
        choices += other.choices
        scores += other.scores
        attempts += other.attempts
        for kind in faults.indices { faults[kind] += other.faults[kind] }
        messagesLost += other.messagesLost
        messagesDuplicated += other.messagesDuplicated
        messagesReordered += other.messagesReordered
        payloadsDamaged += other.payloadsDamaged
        registrations += other.registrations
        evictions += other.evictions
        retargets += other.retargets
        parks += other.parks
        resumes += other.resumes
        releasedBlocks += other.releasedBlocks
        migrations += other.migrations
        sharedSteps += other.sharedSteps
        idleTokens += other.idleTokens
        blocksCopied += other.blocksCopied
        reusedTokens += other.reusedTokens
        heldBlocks += other.heldBlocks
        digest = SplitMix.mix(digest, other.digest)
    }
}
