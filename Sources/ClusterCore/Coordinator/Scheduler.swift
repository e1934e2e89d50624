import DequeModule
import Generation
import OrderedCollections

/// The coordinator's decisions: who prefills what, which decode batch it joins, and what happens when somebody fails.
///
/// The shell reports what happened to ``handle(_:at:)`` and carries the actions out in order; it decides nothing. One
/// value is one life of the coordinator: a restarted one starts empty, under another ``ClusterEpoch``.
public struct Scheduler: Sendable {
    public let configuration: Configuration
    public let clusterEpoch: ClusterEpoch

    var membership: Membership
    var requests = SlotTable<RequestID, ServingRequest>()
    var requestOfKey: [ClientRequestKey: RequestID] = [:]
    /// Requests that each client has open; none for a client without.
    var openCount: [ClientID: Int] = [:]
    var lastRequest: UInt64 = 0

    /// In phase `queued`, but for those set aside.
    var queue = RequestQueue()
    /// In phase `pausing`.
    var pausingCount = 0
    /// In phase `queued`, but longer than what any worker here could hold: they wait for one that can.
    var setAside: [RequestID] = []
    var timers = TimerQueue()

    /// By worker slot; `nil` where there is no worker of the kind. A mixed worker is of both.
    var prefillWorkers: [PrefillAssignments?] = []
    var decodeWorkers: [DecodeAssignments?] = []
    var prefillOffers = PriorityOffers()
    var decodeOffers = PriorityOffers()
    var mixedOffers = PriorityOffers()
    var greatestReach = GreatestReach()

    /// Groups that have members, or had some a moment ago.
    var groups: OrderedDictionary<GroupID, ServingGroup> = [:]
    var groupOfKey: [ServingGroup.Key: GroupID] = [:]
    var lastGroup: UInt64 = 0
    /// In order of time; those that have members again do not count.
    var idleGroups: Deque<IdleGroup> = []
    public internal(set) var groupCounters = GroupCounters()

    var index: PrefixIndex
    /// Of workers that compute prompts.
    var history = WorkHistory()
    /// Whom a prompt and a row went to last.
    var lastPrefill = -1
    var lastDecode = -1
    /// Of the event that is being handled.
    var time = Instant(nanoseconds: 0)
    /// When decode workers are compared next.
    var nextRebalance = Instant(nanoseconds: 0)
    var isWatched = false
    var isDraining = false
    var hasDrained = false
    var started: Instant?
    private var announcedWakeUp: Instant?

    public init(configuration: Configuration, clusterEpoch: ClusterEpoch) {
        precondition(
            configuration.maxModelLength > 0 && configuration.growthBlocks >= 0 && configuration.embedLookahead >= 0
                && configuration.prefillLookahead >= 0 && configuration.maxFruitlessAttempts > 0, "\(configuration)")
        self.configuration = configuration
        self.clusterEpoch = clusterEpoch
        index = PrefixIndex(capacity: configuration.prefixIndexCapacity)
        membership = Membership(configuration.membership, clusterEpoch: clusterEpoch)
    }

    public mutating func handle(_ event: Event, at now: Instant) -> [Action] {
        var actions: [Action] = []
        time = now
        switch event {
        case .submitted(let request): submit(request, at: now, into: &actions)
        case .cancelled(let key): cancel(key, into: &actions)
        case .clientGone(let client): cancelAll(of: client, into: &actions)
        case .stopMatched(let request, let choice): stop(request, choice: choice, into: &actions)
        case .workerMessage(let connection, let envelope, let message):
            receive(message, envelope, on: connection, at: now, into: &actions)
        case .pong(let pong): receive(pong, at: now)
        case .workerConnectionClosed(let connection):
            if let slot = membership.slot(on: connection) {
                lose(slot, "its connection closed", at: now, into: &actions)
            }
        case .watched(let isWatched): self.isWatched = isWatched
        case .drain: isDraining = true
        case .tick: break
        }
        tick(at: now, into: &actions)
        rebalance(at: now, into: &actions)
        dispatch(at: now, into: &actions)
        finishDraining(into: &actions)
        announceWakeUp(into: &actions)
        return actions
    }

    /// Whatever is due, so that a late `tick` of the shell delays nothing while other events come.
    private mutating func tick(at now: Instant, into actions: inout [Action]) {
        let round = membership.tick(at: now)
        actions += round.pings
        for slot in round.newlySuspect { refreshOffer(of: slot) }
        for (slot, reason) in round.lost { lose(slot, reason, at: now, into: &actions) }
        while let timer = timers.popDue(at: now) { fire(timer, into: &actions) }
        endIdleGroups(at: now, into: &actions)
    }

    private mutating func fire(_ timer: TimerQueue.Timer, into actions: inout [Action]) {
        guard let slot = requests.slot(of: timer.request) else { return }
        switch (timer.kind, requests[slot].phase) {
        case (.deadline, _): expire(slot, into: &actions)
        case (.retry, .pausing(let holder)):
            requests[slot].phase = .queued(holder: holder)
            pausingCount -= 1
            queue.insert(requests[slot].rank)
        case (.retry, _): break
        }
    }

    private mutating func finishDraining(into actions: inout [Action]) {
        guard isDraining, !hasDrained, requests.isEmpty else { return }
        hasDrained = true
        actions.append(.drained)
    }

    private mutating func announceWakeUp(into actions: inout [Action]) {
        let next = [membership.nextWakeUp, timers.nextDue, idleGroups.first?.due].compactMap { $0 }.min()
        guard let next, next != announcedWakeUp else { return }
        announcedWakeUp = next
        actions.append(.wakeAt(next))
    }

    func observe(
        _ request: RequestID?, _ kind: @autoclosure () -> ClusterEvent.Kind, into actions: inout [Action]
    ) {
        if isWatched { actions.append(.observe(request, kind())) }
    }

    // MARK: For people and tests

    /// Requests without a worker.
    public var waitingCount: Int { queue.count + pausingCount + setAside.count }
    public var openRequestCount: Int { requestOfKey.count }
    /// Groups whose prefix is kept.
    public var openGroupCount: Int { groups.count }

    /// What the workers' arithmetic has in common; `nil` before the first of them came.
    public var numerics: NumericsClass? { membership.numerics }

    public var status: ClusterStatus {
        ClusterStatus(
            epoch: clusterEpoch, modelName: configuration.modelName, waiting: waitingCount,
            running: max(0, requestOfKey.count - waitingCount), draining: isDraining, workers: membership.status,
            groups: groupCounters)
    }

    public func checkInvariants() {
        membership.checkInvariants()
        requests.checkInvariants()
        queue.checkInvariants()
        prefillOffers.checkInvariants()
        decodeOffers.checkInvariants()
        mixedOffers.checkInvariants()
        checkRequests()
        checkAssignments()
        checkGroups()
    }

    private func checkRequests() {
        var (queued, pausing, keys) = (0, 0, 0)
        for slot in requests.occupied {
            let request = requests[slot]
            keys += request.isChoice ? 0 : 1
            precondition(requestOfKey[request.key] == request.family, "\(request.id) is not under its key")
            checkFamily(request)
            precondition(
                request.promptCount + request.emittedBeforePrefill <= request.tokens.count
                    && request.emittedBeforePrefill <= request.emittedBeforeAttempt, "\(request) has lost tokens")
            precondition(request.emittedCount < max(1, request.stop.maxTokens), "\(request) should have ended")
            switch request.phase {
            case .queued: queued += 1
            case .pausing: pausing += 1
            case .prefilling: precondition(!request.knowsFirstToken, "\(request) knows its first token")
            case .transferring: precondition(request.knowsFirstToken, "\(request) does not know its first token")
            case .decoding(let decoding):
                precondition(decoding.early.isEmpty || !request.knowsFirstToken, "\(request) holds tokens back")
                let isTold = request.knowsFirstToken || decoding.route.source != nil || request.sharing != .none
                precondition(isTold, "\(request) waits for nobody")
            case .following: precondition(request.isChoice, "\(request) follows nobody")
            case .divided(let holder):
                precondition(request.isPrompt && (request.hasForked || holder != nil), "\(request) is divided")
            }
            switch request.phase.holder {
            case nil: break
            case .prefill(let worker)?:
                precondition(prefillWorkers[worker]?.requests.contains(request.id) == true, "\(request) is unknown")
            case .parked(let worker)?:
                precondition(decodeWorkers[worker]?.parked.contains(request.id) == true, "\(request) is not parked")
            }
            if let decode = request.phase.decode {
                let isGranted = decodeWorkers[decode]?.requests.contains(request.id) == true
                precondition(isGranted, "\(request) is unknown")
            }
        }
        precondition(queued == queue.count + setAside.count && pausing == pausingCount, "\(queued), \(pausing) waiting")
        precondition(requestOfKey.count == keys, "\(requestOfKey.count) keys of \(keys) requests")
    }

    private func checkFamily(_ request: ServingRequest) {
        let open = request.choices.compactMap { requests.slot(of: $0) }.map { requests[$0] }
        precondition(open.count == request.openChoices && request.isPrompt == !open.isEmpty, "\(open.count) choices of \(request)")
        precondition(open.allSatisfy { $0.family == request.id }, "\(request) has others' choices")
        let sharing = open.filter { $0.sharing != .none }
        precondition(Set(sharing.map(\.phase.decode)).count <= 1, "\(sharing) share blocks of several workers")
        precondition(sharing.isEmpty || sharing.count { $0.sharing == .keeps } == 1, "\(sharing) do not pay for their prompt")
        if case .divided = request.phase {
            precondition(open.allSatisfy { if case .following = $0.phase { false } else { true } }, "\(request) left a choice behind")
        }
    }

    private func checkAssignments() {
        for slot in prefillWorkers.indices {
            guard let worker = prefillWorkers[slot] else { continue }
            precondition(membership.members.isOccupied(slot), "work for nobody in slot \(slot)")
            let held = worker.requests.compactMap { requests.slot(of: $0) }.map { requests[$0] }
            precondition(held.count == worker.requests.count, "slot \(slot) works for requests that ended")
            precondition(held.allSatisfy { $0.phase.prefill == slot }, "slot \(slot) works on what it has not")
            let tokens = held.reduce(0) { $0 + $1.prefillWork }
            precondition(
                tokens == worker.outstandingTokens.total && held.count == worker.counts.total,
                "\(tokens) tokens of \(worker)")
        }
        for slot in decodeWorkers.indices {
            guard let worker = decodeWorkers[slot] else { continue }
            precondition(membership.members.isOccupied(slot), "work for nobody in slot \(slot)")
            let held = worker.requests.compactMap { requests.slot(of: $0) }.map { requests[$0] }
            precondition(held.count == worker.requests.count, "slot \(slot) works for requests that ended")
            precondition(held.allSatisfy { $0.phase.decode == slot }, "slot \(slot) works on what it has not")
            let charge = held.reduce(0) { $0 + ($1.phase.route?.charge ?? 0) }
            precondition(
                charge == worker.chargedBlocks.total && held.count == worker.counts.total, "\(charge) blocks of \(worker)")
            let parked = worker.parked.compactMap { requests.slot(of: $0) }.map { requests[$0] }
            precondition(
                parked.count == worker.parked.count && parked.allSatisfy { $0.phase.holder == .parked(slot) },
                "slot \(slot) has parked what it has not")
        }
    }
}
