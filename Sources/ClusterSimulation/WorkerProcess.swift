import ClusterCore
import Generation

/// One worker of the simulated cluster: the real session and role, a fake engine and a fake transport. The object
/// stays; `life` tells the processes that it has been apart.
final class WorkerProcess {
    /// Tokens whose KV comes here, and for whom.
    struct KnownSequence {
        var attempt: AttemptID
        var salt: String
        var tokens: [TokenID]
    }

    enum Step {
        case prefill(PrefillStep)
        case decode(DecodeIteration)
        case mixed(MixedStep)
    }

    let index: Int
    let id: WorkerID
    let shape: Scenario.Worker
    private let scenario: Scenario

    var life = 0
    var isUp = false
    var isStopped = false
    /// What wants to happen while the process is stopped.
    var backlog: [Simulation.Event] = []
    /// How often its control connection broke.
    var breaks = 0
    var slowness = 1

    var session: WorkerSession
    var prefill: PrefillRole?
    var decode: DecodeRole?
    var mixed: MixedRole?
    /// The role was reset, but its engine or its transport is still at work.
    var isReleasing = false
    var kv: FakeKV
    var step: Step?
    var epochs: (cluster: ClusterEpoch, worker: WorkerEpoch)?
    /// The sequences that this registration was given.
    var orders: [AttemptID: [TokenID]] = [:]
    /// What it may have KV of.
    var known: [KnownSequence] = []
    /// Attempts that have been seen to use KV.
    var begun: Set<AttemptID> = []

    var sessionWake: Instant?
    var scheduledWake: Instant?
    /// When the transport has sent what it has so far.
    var transportFree = Instant(nanoseconds: 0)
    /// What is parked: `[layers][slots]`. For look-ups only.
    var store: [ParkID: [[UInt64]]] = [:]
    /// When the parking store has done what it has to do so far.
    var storeFree = Instant(nanoseconds: 0)
    /// Somebody else has its machine's memory until then.
    var squeezeEnd = Instant(nanoseconds: 0)

    init(index: Int, shape: Scenario.Worker, scenario: Scenario) {
        self.index = index
        self.shape = shape
        self.scenario = scenario
        id = WorkerID("\(shape.role.rawValue)-\(index)")
        session = WorkerSession(Self.registration(id, shape, scenario, nonce: 0))
        kv = FakeKV(layerCount: 1, blockCount: 1, blockSize: 1, seed: 0)
    }

    private static func registration(
        _ id: WorkerID, _ shape: Scenario.Worker, _ scenario: Scenario, nonce: UInt64
    ) -> Registration {
        Registration(
            worker: id, role: shape.role, bootNonce: nonce, endpoint: "sim://\(id)", numerics: Simulation.numerics,
            geometry: scenario.geometry, blockCount: shape.blockCount, maxSequences: shape.maxSequences,
            maxModelLength: scenario.maxModelLength)
    }

    /// A new process, with nothing but rubbish in its memory.
    func start(nonce: UInt64) {
        life += 1
        isUp = true
        isStopped = false
        backlog = []
        slowness = 1
        session = WorkerSession(Self.registration(id, shape, scenario, nonce: nonce))
        (prefill, decode, mixed, step, epochs, isReleasing, orders, known) = (nil, nil, nil, nil, nil, false, [:], [])
        kv = FakeKV(
            layerCount: scenario.geometry.layerCount, blockCount: shape.blockCount,
            blockSize: scenario.geometry.blockSize, seed: nonce)
        (sessionWake, scheduledWake, store) = (nil, nil, [:])
    }

    func makeRole(_ cluster: ClusterEpoch, _ worker: WorkerEpoch, plant: PlantedBug?) {
        let decodeConfiguration = DecodeRole.Configuration(
            clusterEpoch: cluster, workerEpoch: worker, modelHash: Simulation.numerics.modelHash,
            geometry: scenario.geometry,
            blockCount: shape.blockCount * (plant == .promptBlocksUncounted && shape.role == .mixed ? 2 : 1),
            maxSequences: shape.maxSequences, maxModelLength: scenario.maxModelLength,
            creditWindow: scenario.creditWindow, parking: scenario.parking, scaling: scenario.scaling,
            layout: shape.scheduling == .batonDense ? .dense : .blockTables, backgroundShare: scenario.backgroundShare,
            cachesPrefixes: scenario.cachesPrefixes)
        switch shape.role {
        case .prefill:
            prefill = PrefillRole(
                PrefillRole.Configuration(
                    clusterEpoch: cluster, workerEpoch: worker, modelHash: Simulation.numerics.modelHash,
                    geometry: scenario.geometry, blockCount: shape.blockCount, maxSequences: shape.maxSequences,
                    maxBatchedTokens: tokenBudget, maxModelLength: scenario.maxModelLength,
                    cachesPrefixes: scenario.cachesPrefixes))
        case .decode: decode = DecodeRole(decodeConfiguration)
        case .mixed:
            let forgotten = plant == .budgetForgetsRows ? shape.maxSequences : 0
            mixed = MixedRole(
                MixedRole.Configuration(
                    decode: decodeConfiguration, maxBatchedTokens: tokenBudget + forgotten,
                    scheduling: shape.scheduling ?? .mixed))
        }
    }

    /// Tokens that one step may have, in a policy that heeds it.
    var tokenBudget: Int {
        shape.role == .mixed ? max(scenario.maxBatchedTokens, shape.maxSequences) : scenario.maxBatchedTokens
    }

    func dropRole() { (prefill, decode, mixed, store) = (nil, nil, nil, [:]) }

    var hasRole: Bool { prefill != nil || decode != nil || mixed != nil }
    var load: WorkerLoad { prefill?.load ?? decode?.load ?? mixed?.load ?? WorkerLoad() }
    /// Neither engine nor transport touches a block.
    var isQuiescent: Bool {
        step == nil && prefill?.isQuiescent ?? true && decode?.isQuiescent ?? true && mixed?.isQuiescent ?? true
    }
    var nextWake: Instant? {
        let roleWake = isReleasing ? nil : prefill?.timeOfNextWakeUp ?? decode?.timeOfNextWakeUp ?? mixed?.timeOfNextWakeUp
        return [sessionWake, roleWake].compactMap { $0 }.min()
    }

    func checkInvariants() {
        session.checkInvariants()
        prefill?.checkInvariants()
        decode?.checkInvariants()
        mixed?.checkInvariants()
    }
}

/// The coordinator of the simulated cluster; `life` as for workers.
final class CoordinatorProcess {
    var life = 0
    /// `nil` while it is down.
    var scheduler: Scheduler?
    var epoch = ClusterEpoch(0)
    var isStopped = false
    var backlog: [Simulation.Event] = []
    var scheduledWake: Instant?
}
