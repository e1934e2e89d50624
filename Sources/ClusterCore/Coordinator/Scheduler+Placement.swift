import Generation
import OrderedCollections

// Who works for whom: placement, its accounting, and new attempts.
extension Scheduler {
    /// Gives work out, in order of rank, until the first in line finds no room: it is never overtaken by a smaller one.
    mutating func dispatch(at now: Instant, into actions: inout [Action]) {
        guard greatestReach.servesAny || greatestReach.decode != nil else { return }
        while queue.count > 0, let id = nextInLine() {
            guard let slot = requests.slot(of: id) else { preconditionFailure("\(id) is queued but unknown") }
            // A prefill worker that keeps its KV counts it by the priority that it had.
            if requests[slot].phase.prefill == nil {
                requests[slot].raisePriority(headStart: configuration.priorityHeadStart, at: now)
            }
            let request = requests[slot]
            guard request.isParked || greatestReach.serves(request) else {
                queue.removeHead()
                setAside.append(id)
                continue
            }
            if requests[slot].prefixNames.isEmpty {
                requests[slot].prefixNames = prefixNames(
                    of: requests[slot].tokens.prefix(requests[slot].promptCount), salt: requests[slot].cacheSalt)
            }
            guard let route = placement(of: requests[slot]) else { return }
            queue.removeHead()
            assign(slot, to: route, into: &actions)
        }
    }

    private mutating func nextInLine() -> RequestID? {
        queue.head { [requests] id in requests.slot(of: id) != nil }
    }

    /// Where the KV is parked, or on another decode worker to which it can be sent. Else a prefill and a decode worker if
    /// both have room; else a mixed worker, if one has, for all of the request. After an attempt has failed, a mixed worker
    /// is also preferred to meeting one of its workers again.
    private func placement(of request: ServingRequest) -> ServingRequest.Route? {
        if case .parked(let worker)? = request.phase.holder { return returnPlacement(of: request, parkedOn: worker) }
        let pair = request.endsWithPrefill && request.phase.holder == nil ? prefillPlacement(of: request) : pairPlacement(of: request)
        if let pair, pair.source != request.avoided.prefill.map(KVHolder.prefill), pair.decode != request.avoided.decode {
            return pair
        }
        return localPlacement(of: request) ?? pair
    }

    /// A prefill worker alone: the KV is not needed afterwards.
    private func prefillPlacement(of request: ServingRequest) -> ServingRequest.Route? {
        let worker = prefillWorker(for: request, names: request.prefixNames)
        return worker.map { ServingRequest.Route(source: .prefill($0), decode: nil, charge: 0) }
    }

    private func pairPlacement(of request: ServingRequest) -> ServingRequest.Route? {
        guard case .queued(let holder) = request.phase else { return nil }
        let count = holder == nil ? request.tokens.count : request.promptCount + request.emittedBeforePrefill
        let prefill =
            request.phase.prefill
            ?? prefillWorker(for: request, names: request.prefixNames)
        guard let prefill, let budget = budget(of: request, tokens: count),
            let decode = decodeWorker(among: decodeOffers, for: request, room: budget, names: request.prefixNames)
        else { return nil }
        return ServingRequest.Route(source: .prefill(prefill), decode: decode, charge: budget)
    }

    private func localPlacement(of request: ServingRequest) -> ServingRequest.Route? {
        guard greatestReach.mixed != nil, let budget = budget(of: request, tokens: request.tokens.count),
            let worker = decodeWorker(among: mixedOffers, for: request, room: budget, names: request.prefixNames)
        else { return nil }
        return ServingRequest.Route(source: .prefill(worker), decode: worker, charge: budget)
    }

    /// Back to where it is parked, if that is not much busier than another worker, which could have it sent.
    private func returnPlacement(of request: ServingRequest, parkedOn home: Int) -> ServingRequest.Route? {
        guard let budget = budget(of: request, tokens: request.tokens.count) else { return nil }
        func route(to worker: Int) -> ServingRequest.Route {
            ServingRequest.Route(source: .parked(home), decode: worker, charge: budget)
        }
        let priority = request.rank.priority
        let isMixed = membership.members[home].registration.role == .mixed
        let own = (isMixed ? mixedOffers : decodeOffers)[priority].offer(of: home)
        let away = isMixed ? nil : decodeOffers[priority].lightest(room: budget, reach: request.greatestLength)
        if let own, own.room >= budget {
            guard let away, away != home, let other = decodeOffers[priority].offer(of: away) else { return route(to: home) }
            let isWorthIt = hasFreeRow(away) && (!hasFreeRow(home) || Double(own.load) > Double(other.load) * configuration.migrationGain)
            return route(to: isWorthIt ? away : home)
        }
        if let away, away != home { return route(to: away) }
        // A worker that leaves takes nothing new, but what is its own it may end.
        return membership.members[home].isLeaving && hasSpace(home, blocks: budget) ? route(to: home) : nil
    }

    func hasFreeRow(_ worker: Int) -> Bool {
        (decodeWorkers[worker]?.counts.total ?? .max) < membership.members[worker].rowLimit
    }

    private func hasSpace(_ worker: Int, blocks: Int) -> Bool {
        guard let assignments = decodeWorkers[worker], hasFreeRow(worker) else { return false }
        return assignments.chargedBlocks.total + blocks <= membership.members[worker].registration.blockCount
    }

    private func budget(of request: ServingRequest, tokens: Int) -> Int? {
        membership.geometry.map { request.budget(forTokens: tokens, geometry: $0, growth: configuration.growthBlocks) }
    }

    /// A worker with a free row; for a request that may displace others, also one that would have a row without those.
    func worker(among offers: PriorityOffers, for request: ServingRequest, room: Int) -> Int? {
        let (reach, avoided) = (request.greatestLength, request.avoided.decode)
        let priority = request.rank.priority
        if priority > .low, let worker = offers[.low].lightest(room: room, reach: reach, avoiding: avoided),
            hasFreeRow(worker) {
            return worker
        }
        return offers[priority].lightest(room: room, reach: reach, avoiding: avoided)
    }

    /// Starts the next attempt. The grant goes out before the order, so that it is there before any KV; to a mixed worker
    /// it says everything.
    private mutating func assign(_ slot: Int, to route: ServingRequest.Route, into actions: inout [Action]) {
        guard let source = route.source else { preconditionFailure("\(route) has nobody to compute the prompt") }
        if route.isResumption { return resume(slot, on: route, into: &actions) }
        let former = requests[slot].attempt
        if requests[slot].phase.holder != source { release(slot, keepingHolder: false, into: &actions) }
        let isRetarget = requests[slot].phase.holder != nil
        requests[slot].ordinal += 1
        if !isRetarget { requests[slot].hasForked = false }
        requests[slot].emittedBeforeAttempt = requests[slot].emittedCount
        requests[slot].avoided = (nil, nil)
        switch source {
        // The last token has been sampled, but its KV was never computed.
        case .parked: requests[slot].emittedBeforePrefill = requests[slot].emittedCount - 1
        case .prefill where isRetarget: break
        case .prefill(let worker):
            requests[slot].emittedBeforePrefill = requests[slot].emittedCount
            requests[slot].prefillWork = expectedPrefill(of: requests[slot], on: worker)
            occupyPrefill(worker, with: requests[slot])
            requests[slot].record.prefillWorker = membership.members.key(at: worker)
        }
        requests[slot].phase = requests[slot].knowsFirstToken ? .transferring(route) : .prefilling(route)
        occupyDecode(route, with: slot)
        notePrefix(requests[slot].prefixNames, on: route)
        noteMember(of: requests[slot].group, on: route)
        beginForks(of: slot)

        let order = order(for: slot)
        let destination = route.decode.map {
            KVDestination(
                worker: membership.members.key(at: $0), endpoint: membership.members[$0].registration.endpoint)
        }
        if let decode = route.decode {
            send(.grant(Grant(sequence: order, budget: route.charge)), to: decode, into: &actions)
        }
        if isRetarget, let destination {
            send(.retarget(from: former, to: order.attempt, destination), to: source.worker, into: &actions)
        } else if !route.isLocal {
            send(.prefill(PrefillOrder(sequence: order, destination: destination)), to: source.worker, into: &actions)
        }
        let origin = membership.members.key(at: source.worker)
        observe(order.attempt.request, .assigned(prefill: origin, decode: destination?.worker ?? origin), into: &actions)
    }

    /// A parked query goes on where it is, in the attempt that it was in.
    private mutating func resume(_ slot: Int, on route: ServingRequest.Route, into actions: inout [Action]) {
        guard let decode = route.decode else { preconditionFailure("\(route) resumes nowhere") }
        decodeWorkers[decode]?.parked.remove(requests[slot].id)
        requests[slot].phase = .decoding(
            ServingRequest.Decoding(route: ServingRequest.Route(source: nil, decode: decode, charge: route.charge)))
        occupyDecode(route, with: slot)
        send(.resume(requests[slot].attempt, budget: route.charge), to: decode, into: &actions)
        observe(requests[slot].id, .resumed(membership.members.key(at: decode)), into: &actions)
    }

    mutating func send(_ message: CoordinatorMessage, to worker: Int, into actions: inout [Action]) {
        if let action = membership.send(message, to: worker) { actions.append(action) }
    }

    // MARK: New attempts

    /// The current attempt has failed: another one, unless there were too many that brought nothing.
    mutating func retry(
        _ slot: Int, _ reason: String, keepingHolder: Bool, isFailure: Bool = true, at now: Instant,
        into actions: inout [Action]
    ) {
        if requests[slot].isChoice, let prompt = requests.slot(of: requests[slot].family), requests[prompt].awaitsScores {
            return startOver(prompt, reason, isFailure: isFailure, at: now, into: &actions)
        }
        let hasProgress = requests[slot].emittedCount > requests[slot].emittedBeforeAttempt
        requests[slot].fruitlessAttempts =
            hasProgress ? 0 : requests[slot].fruitlessAttempts + (isFailure ? 1 : 0)
        let fruitless = requests[slot].fruitlessAttempts
        guard fruitless < configuration.maxFruitlessAttempts else {
            fail(slot, .failed, "\(fruitless) attempts in a row failed, the last because \(reason)", into: &actions)
            return
        }
        requests[slot].avoided = (keepingHolder ? nil : requests[slot].phase.prefill, requests[slot].phase.decode)
        release(slot, keepingHolder: keepingHolder, into: &actions)
        let id = requests[slot].id
        if fruitless < 2 || !isFailure {
            queue.insert(requests[slot].rank)
        } else {
            requests[slot].phase = .pausing(holder: requests[slot].phase.holder)
            pausingCount += 1
            timers.insert(TimerQueue.Timer(due: now + pause(after: fruitless), request: id, kind: .retry))
        }
        observe(id, .retried(reason), into: &actions)
    }

    private func pause(after fruitlessAttempts: Int) -> Duration {
        let doublings = min(fruitlessAttempts - 2, 20)
        return min(configuration.retryPause * (1 << doublings), configuration.retryPauseLimit)
    }

    /// Takes a request back from its workers, which stop working on it.
    /// With `keepingHolder` whoever has its KV keeps it, or goes on computing it, for the next attempt.
    /// One that a decode worker had is `queued` afterwards, but not in the queue.
    mutating func release(_ slot: Int, keepingHolder: Bool, into actions: inout [Action]) {
        let (phase, attempt) = (requests[slot].phase, requests[slot].attempt)
        if phase.route != nil {
            stopSharing(slot)
            if let route = requests[slot].phase.route { vacateDecode(route, slot) }
            if let decode = phase.decode {
                // It may have forked already, without anybody here having heard of it.
                let parts = [attempt] + followers(of: slot).map { requests[$0].attempt }
                for part in parts { send(.cancel(part), to: decode, into: &actions) }
            }
            requests[slot].phase = .queued(holder: phase.holder)
        }
        if let holder = phase.holder, !keepingHolder {
            vacateHolder(slot)
            if holder.worker != phase.decode { send(.cancel(attempt), to: holder.worker, into: &actions) }
        }
    }

    // MARK: Accounting

    private mutating func occupyPrefill(_ worker: Int, with request: ServingRequest) {
        prefillWorkers[worker]?.insert(request.rank, tokens: request.prefillWork)
        noteWork(request.prefillWork, of: worker)
    }

    /// A worker was given more to compute than it had, or less.
    mutating func noteWork(_ tokens: Int, of worker: Int) {
        let hasChangedAll = history.add(tokens, to: worker)
        for slot in hasChangedAll ? membership.members.occupied : [worker] { refreshOffer(of: slot) }
    }

    /// Nothing of the request is left where its KV came from.
    mutating func vacateHolder(_ slot: Int) {
        let request = requests[slot]
        switch request.phase.holder {
        case nil: return
        case .prefill(let worker)?:
            prefillWorkers[worker]?.remove(request.rank, tokens: request.prefillWork)
            refreshOffer(of: worker)
        case .parked(let worker)?: decodeWorkers[worker]?.parked.remove(request.id)
        }
        requests[slot].phase.forgetHolder()
    }

    mutating func occupyDecode(_ route: ServingRequest.Route, with slot: Int) {
        guard let decode = route.decode else { return }
        decodeWorkers[decode]?.insert(requests[slot].rank, blocks: route.charge)
        refreshOffer(of: decode)
    }

    mutating func vacateDecode(_ route: ServingRequest.Route, _ slot: Int) {
        guard let decode = route.decode else { return }
        decodeWorkers[decode]?.remove(requests[slot].rank, blocks: route.charge)
        if requests[slot].sharesBlocks { decodeWorkers[decode]?.shared.remove(requests[slot].prefixNames) }
        requests[slot].sharesBlocks = false
        refreshOffer(of: decode)
    }

    /// A row that has outgrown its budget takes more of its worker's blocks.
    mutating func growCharge(_ slot: Int) {
        guard let route = requests[slot].phase.route, let decode = route.decode, let geometry = membership.geometry else { return }
        let needed = requests[slot].ownBlocks(forTokens: requests[slot].tokens.count, geometry)
        guard needed > route.charge else { return }
        requests[slot].phase.setCharge(needed)
        decodeWorkers[decode]?.charge(needed - route.charge, more: requests[slot].rank)
        refreshOffer(of: decode)
    }

    /// Says in the tournaments what a worker can take now.
    mutating func refreshOffer(of worker: Int) {
        guard membership.members.isOccupied(worker) else {
            prefillOffers.set(worker) { _ in nil }
            decodeOffers.set(worker) { _ in nil }
            mixedOffers.set(worker) { _ in nil }
            return
        }
        let (member, configuration) = (membership.members[worker], configuration)
        let (prefill, decode, pace) = (prefillWorkers[worker], decodeWorkers[worker], membership.typicalPace)
        let past = history[worker] ?? 0
        switch member.registration.role {
        case .prefill: prefillOffers.set(worker) { configuration.offer(of: member, prefill, past: past, to: $0) }
        case .decode: decodeOffers.set(worker) { configuration.offer(of: member, decode, to: $0, typicalPace: pace) }
        // What bounds it are rows and blocks; a prompt to compute has been given both.
        case .mixed: mixedOffers.set(worker) { configuration.offer(of: member, decode, to: $0, typicalPace: pace) }
        }
    }
}

// What a worker offers to a request of a priority, which counts only those that it may not displace.
extension Scheduler.Configuration {
    fileprivate func offer(
        of member: Member, _ assignments: PrefillAssignments?, past: Int, to priority: Priority
    ) -> PlacementTree.Offer? {
        guard let assignments else { return nil }
        let limit = member.registration.maxSequences + prefillLookahead
        guard member.takesNewWork, assignments.counts.atLeast(priority) < limit else { return nil }
        return PlacementTree.Offer(load: assignments.outstandingTokens.atLeast(priority), past: past, room: 0, reach: member.reach)
    }

    fileprivate func offer(
        of member: Member, _ assignments: DecodeAssignments?, to priority: Priority, typicalPace: Duration
    ) -> PlacementTree.Offer? {
        guard let assignments else { return nil }
        let (rows, count) = (member.rowLimit, assignments.counts.atLeast(priority))
        let lookahead = member.load.isMemoryShort ? 0 : embedLookahead
        // What several queries share is charged to each of them, but there once.
        let room = member.registration.blockCount - assignments.chargedBlocks.atLeast(priority) + assignments.shared.savedCount
        guard member.takesNewWork, count < rows + lookahead, room > 0 else { return nil }
        let time = member.expectedIteration(rows: count, typical: typicalPace)
        return PlacementTree.Offer(load: time.nanosecondCount, room: room, reach: member.reach)
    }
}
