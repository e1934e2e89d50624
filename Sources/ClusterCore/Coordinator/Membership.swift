import OrderedCollections

/// Who belongs to the cluster, under which epoch, and whether they are alive.
public struct Membership: Sendable {
    public struct Configuration: Sendable, Hashable {
        public var pingInterval: Duration
        /// Unanswered pings after which a worker gets no new work.
        public var suspectAfterMisses: Int
        /// Silence after which a worker is given up.
        public var lostAfter: Duration
        /// Time that a control message may be under way after a heartbeat told of it.
        public var linkPatience: Duration
        /// How long a lost worker is remembered for ``ClusterStatus``.
        public var rememberLost: Duration
        /// `nil`: as the first worker that registers.
        public var numerics: NumericsClass?
        public var geometry: KVGeometry?

        public init(
            pingInterval: Duration = .milliseconds(250), suspectAfterMisses: Int = 2, lostAfter: Duration = .seconds(3),
            linkPatience: Duration = .seconds(1), rememberLost: Duration = .seconds(60),
            numerics: NumericsClass? = nil, geometry: KVGeometry? = nil
        ) {
            self.pingInterval = pingInterval
            self.suspectAfterMisses = suspectAfterMisses
            self.lostAfter = lostAfter
            self.linkPatience = linkPatience
            self.rememberLost = rememberLost
            self.numerics = numerics
            self.geometry = geometry
        }
    }

    let configuration: Configuration
    let clusterEpoch: ClusterEpoch
    private(set) var numerics: NumericsClass?
    private(set) var geometry: KVGeometry?
    private(set) var members = SlotTable<WorkerID, Member>()
    private var slotOfConnection: [ConnectionID: Int] = [:]
    private var lastEpoch: UInt64 = 0
    private var nextPing: Instant?
    /// Of the worker that was measured last: good enough for one that was not.
    private(set) var typicalPace = Duration.milliseconds(1)
    /// For the status only, in order of loss.
    private(set) var departed: OrderedDictionary<WorkerID, Departed> = [:]

    struct Departed: Sendable {
        var registration: Registration
        var load: WorkerLoad
        var time: Instant
    }

    init(_ configuration: Configuration, clusterEpoch: ClusterEpoch) {
        self.configuration = configuration
        self.clusterEpoch = clusterEpoch
        numerics = configuration.numerics
        geometry = configuration.geometry
    }

    // MARK: Registration

    enum Verdict: Sendable {
        /// Differs from the cluster; the text names both values.
        case refused(String)
        /// A question that was answered before: the same answer.
        case repeated(slot: Int)
        /// Overtaken by a newer registration of the same process.
        case outdated
        /// Welcome, once the registration in `replacing` has been removed.
        case welcome(replacing: Int?)
    }

    func judge(_ registration: Registration, ordinal: UInt64) -> Verdict {
        if let flaw = flaw(of: registration) { return .refused(flaw) }
        guard let slot = members.slot(of: registration.worker) else { return .welcome(replacing: nil) }
        let member = members[slot]
        guard member.registration.bootNonce == registration.bootNonce else { return .welcome(replacing: slot) }
        if ordinal < member.ordinal { return .outdated }
        return ordinal == member.ordinal ? .repeated(slot: slot) : .welcome(replacing: slot)
    }

    private func flaw(of registration: Registration) -> String? {
        if let numerics, numerics != registration.numerics {
            return "numerics class \(registration.numerics) differs from the cluster's \(numerics)"
        }
        if let geometry, geometry != registration.geometry {
            return "KV geometry \(registration.geometry) differs from the cluster's \(geometry)"
        }
        let sizes = [
            registration.blockCount, registration.maxSequences, registration.maxModelLength,
            registration.geometry.blockSize, registration.geometry.layerCount,
        ]
        if sizes.contains(where: { $0 <= 0 || $0 > Int(Int32.max) }) {
            return "blocks, sequences, model length, block size and layers must be positive: \(sizes)"
        }
        return nil
    }

    mutating func add(_ registration: Registration, ordinal: UInt64, connection: ConnectionID, at now: Instant) -> Int {
        numerics = numerics ?? registration.numerics
        geometry = geometry ?? registration.geometry
        departed[registration.worker] = nil
        lastEpoch += 1
        let link = ControlLink(clusterEpoch: clusterEpoch, workerEpoch: WorkerEpoch(lastEpoch))
        let member = Member(
            registration: registration, ordinal: ordinal, connection: connection, link: link, lastHeard: now)
        let slot = members.insert(member, for: registration.worker)
        slotOfConnection[connection] = slot
        nextPing = nextPing ?? now
        return slot
    }

    mutating func remove(_ slot: Int, at now: Instant) -> Member {
        let member = members.remove(slot)
        if slotOfConnection[member.connection] == slot { slotOfConnection[member.connection] = nil }
        departed[member.worker] = Departed(registration: member.registration, load: member.load, time: now)
        return member
    }

    // MARK: Links

    /// Who speaks on a connection.
    func slot(on connection: ConnectionID) -> Int? { slotOfConnection[connection] }

    /// A process may come back on another connection while it waits for the answer to its registration.
    mutating func move(_ slot: Int, to connection: ConnectionID) {
        let former = members[slot].connection
        guard former != connection else { return }
        if slotOfConnection[former] == slot { slotOfConnection[former] = nil }
        slotOfConnection[connection] = slot
        members[slot].connection = connection
    }

    mutating func receive(_ envelope: Envelope, from slot: Int) -> ControlLink.Arrival {
        members[slot].link.receive(envelope)
    }

    /// `nil` if there is nobody in the slot (any more).
    mutating func send(_ message: CoordinatorMessage, to slot: Int) -> Scheduler.Action? {
        guard members.isOccupied(slot) else { return nil }
        let envelope = members[slot].link.stamp()
        return .send(members[slot].connection, envelope, message)
    }

    /// The worker finishes what it has and takes nothing new.
    mutating func noteLeaving(_ slot: Int) { members[slot].isLeaving = true }

    // MARK: Heartbeats

    var nextWakeUp: Instant? { nextPing }

    struct Round: Sendable {
        var pings: [Scheduler.Action] = []
        var newlySuspect: [Int] = []
        var lost: [(slot: Int, reason: String)] = []
    }

    /// Pings everybody and looks for the silent, once per interval.
    mutating func tick(at now: Instant) -> Round {
        var round = Round()
        guard let due = nextPing, now >= due else { return round }
        forgetDeparted(at: now)
        guard !members.isEmpty else {
            nextPing = departed.isEmpty ? nil : now + configuration.pingInterval
            return round
        }
        nextPing = now + configuration.pingInterval
        // If this process itself stood still, the answers wait in its own sockets: that time is not the workers'.
        let ownDelay = now - due > configuration.pingInterval ? now - due : .zero
        for slot in members.occupied {
            members[slot].lastHeard = min(members[slot].lastHeard + ownDelay, now)
            if let reason = members[slot].reasonToGiveUp(at: now, configuration) {
                round.lost.append((slot, reason))
                continue
            }
            if !members[slot].isSuspect, members[slot].missedPings >= configuration.suspectAfterMisses {
                members[slot].isSuspect = true
                round.newlySuspect.append(slot)
            }
            round.pings.append(.ping(members.key(at: slot), members[slot].nextPing()))
        }
        return round
    }

    /// The slot, and whether it may take more or less than before; `nil` for the answer of an old registration.
    mutating func receive(_ pong: Pong, at now: Instant) -> (slot: Int, hasChanged: Bool)? {
        guard let slot = members.slot(of: pong.worker) else { return nil }
        let link = members[slot].link
        guard pong.clusterEpoch == link.clusterEpoch, pong.workerEpoch == link.workerEpoch else { return nil }
        // An answer to a ping that was never sent says nothing.
        guard pong.sequence <= members[slot].pingsSent else { return nil }
        members[slot].link.note(peerSent: pong.controlSent, at: now)
        members[slot].lastHeard = max(members[slot].lastHeard, now)
        guard pong.sequence > members[slot].lastAnswered else { return (slot, false) }
        members[slot].lastAnswered = pong.sequence
        let hasNewOffer = members[slot].note(pong.load)
        if hasNewOffer { typicalPace = members[slot].pace ?? typicalPace }
        let recovered = members[slot].isSuspect && members[slot].missedPings < configuration.suspectAfterMisses
        if recovered { members[slot].isSuspect = false }
        return (slot, recovered || hasNewOffer)
    }

    private mutating func forgetDeparted(at now: Instant) {
        while let first = departed.values.first, now - first.time > configuration.rememberLost {
            departed.removeFirst()
        }
    }

    // MARK: For people

    var status: [WorkerStatus] {
        let present = members.occupied.map { members[$0].status }
        let lost = departed.values.map { Member.status($0.registration, .lost, $0.load) }
        return (present + lost).sorted { $0.worker < $1.worker }
    }

    public func checkInvariants() {
        members.checkInvariants()
        for slot in members.occupied {
            let member = members[slot]
            member.link.checkInvariants()
            precondition(slotOfConnection[member.connection] == slot, "\(member.worker) has lost its connection")
            precondition(member.link.clusterEpoch == clusterEpoch, "\(member.worker) is of another cluster")
            precondition(member.link.workerEpoch.rawValue <= lastEpoch, "\(member.worker) is from the future")
            precondition(departed[member.worker] == nil, "\(member.worker) is here and gone")
            precondition(member.lastAnswered <= member.pingsSent, "\(member.worker) answered too much")
        }
        precondition(slotOfConnection.count == members.count, "\(slotOfConnection.count) connections")
        precondition(members.isEmpty || nextPing != nil, "nobody pings \(members.count) workers")
    }
}
