import Generation
import OrderedCollections

// Who works for whom: placement, its accounting, and new attempts.
extension Scheduler {
    /// Gives work out, in order of rank, until the first in line finds no room: it is never overtaken by a smaller one.
    mutating func dispatch(at now: Instant, into actions: inout [Action]) {
        guard greatestReach.servesAny else { return }
        while queue.count > 0, let id = nextInLine() {
            guard let slot = requests.slot(of: id) else { preconditionFailure("\(id) is queued but unknown") }
            let request = requests[slot]
            guard greatestReach.serves(request) else {
                queue.removeHead()
                setAside.append(id)
                continue
            }
            guard let route = placement(of: request) else { return }
            queue.removeHead()
            assign(slot, to: route, into: &actions)
        }
    }

    private mutating func nextInLine() -> RequestID? {
        queue.head { [requests] id in requests.slot(of: id) != nil }
    }

    /// A prefill and a decode worker if both have room; else a mixed worker, if one has, for all of the request. After an
    /// attempt has failed, a mixed worker is also preferred to meeting one of its workers again.
    private func placement(of request: ServingRequest) -> ServingRequest.Route? {
        let pair = pairPlacement(of: request)
        if let pair, pair.prefill != request.avoided.prefill, pair.decode != request.avoided.decode { return pair }
        return localPlacement(of: request) ?? pair
    }

    private func pairPlacement(of request: ServingRequest) -> ServingRequest.Route? {
        guard case .queued(let holder) = request.phase, let geometry = membership.geometry else { return nil }
        let count = holder == nil ? request.tokens.count : request.promptCount + request.emittedBeforePrefill
        let budget = request.budget(forTokens: count, geometry: geometry, growth: configuration.growthBlocks)
        let prefill =
            holder
            ?? prefillOffers.lightest(room: 0, reach: request.tokens.count, avoiding: request.avoided.prefill)
        guard let prefill,
            let decode = decodeOffers.lightest(
                room: budget, reach: request.greatestLength, avoiding: request.avoided.decode)
        else { return nil }
        return ServingRequest.Route(prefill: prefill, decode: decode, charge: budget)
    }

    private func localPlacement(of request: ServingRequest) -> ServingRequest.Route? {
        guard greatestReach.mixed != nil, let geometry = membership.geometry else { return nil }
        let budget = request.budget(
            forTokens: request.tokens.count, geometry: geometry, growth: configuration.growthBlocks)
        let worker = mixedOffers.lightest(
            room: budget, reach: request.greatestLength, avoiding: request.avoided.decode)
        return worker.map { ServingRequest.Route(prefill: $0, decode: $0, charge: budget) }
    }

    /// Starts the next attempt. The grant goes out before the order, so that it is there before any KV; to a mixed worker
    /// it says everything.
    private mutating func assign(_ slot: Int, to route: ServingRequest.Route, into actions: inout [Action]) {
        guard let prefill = route.prefill else { preconditionFailure("\(route) has nobody to compute the prompt") }
        let former = requests[slot].attempt
        if requests[slot].phase.prefill != prefill { release(slot, keepingPrefill: false, into: &actions) }
        let isRetarget = requests[slot].phase.prefill != nil
        requests[slot].ordinal += 1
        requests[slot].emittedBeforeAttempt = requests[slot].emittedCount
        requests[slot].avoided = (nil, nil)
        if !isRetarget {
            requests[slot].emittedBeforePrefill = requests[slot].emittedCount
            occupyPrefill(prefill, with: requests[slot])
            requests[slot].record.prefillWorker = membership.members.key(at: prefill)
        }
        requests[slot].phase = requests[slot].knowsFirstToken ? .transferring(route) : .prefilling(route)
        occupyDecode(route.decode, with: requests[slot].id, blocks: route.charge)

        let request = requests[slot]
        let order = request.order
        let destination = KVDestination(
            worker: membership.members.key(at: route.decode),
            endpoint: membership.members[route.decode].registration.endpoint)
        send(.grant(Grant(sequence: order, budget: route.charge)), to: route.decode, into: &actions)
        if isRetarget {
            send(.retarget(from: former, to: request.attempt, destination), to: prefill, into: &actions)
        } else if !route.isLocal {
            send(.prefill(PrefillOrder(sequence: order, destination: destination)), to: prefill, into: &actions)
        }
        observe(
            request.id, .assigned(prefill: membership.members.key(at: prefill), decode: destination.worker),
            into: &actions)
    }

    mutating func send(_ message: CoordinatorMessage, to worker: Int, into actions: inout [Action]) {
        if let action = membership.send(message, to: worker) { actions.append(action) }
    }

    // MARK: New attempts

    /// The current attempt has failed: another one, unless there were too many that brought nothing.
    mutating func retry(
        _ slot: Int, _ reason: String, keepingPrefill: Bool, at now: Instant, into actions: inout [Action]
    ) {
        let hasProgress = requests[slot].emittedCount > requests[slot].emittedBeforeAttempt
        requests[slot].fruitlessAttempts = hasProgress ? 0 : requests[slot].fruitlessAttempts + 1
        let fruitless = requests[slot].fruitlessAttempts
        guard fruitless < configuration.maxFruitlessAttempts else {
            fail(slot, .failed, "\(fruitless) attempts in a row failed, the last because \(reason)", into: &actions)
            return
        }
        requests[slot].avoided = (keepingPrefill ? nil : requests[slot].phase.prefill, requests[slot].phase.decode)
        release(slot, keepingPrefill: keepingPrefill, into: &actions)
        let id = requests[slot].id
        if fruitless < 2 {
            queue.insert(id, requests[slot].priority)
        } else {
            requests[slot].phase = .pausing(holder: requests[slot].phase.prefill)
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
    /// With `keepingPrefill` the prefill worker goes on and keeps the KV for the next attempt.
    /// One that a decode worker had is `queued` afterwards, but not in the queue.
    mutating func release(_ slot: Int, keepingPrefill: Bool, into actions: inout [Action]) {
        let (phase, attempt) = (requests[slot].phase, requests[slot].attempt)
        if let route = phase.route {
            vacateDecode(route.decode, requests[slot].id, blocks: route.charge)
            send(.cancel(attempt), to: route.decode, into: &actions)
            requests[slot].phase = .queued(holder: phase.prefill)
        }
        if let prefill = phase.prefill, !keepingPrefill {
            vacatePrefill(slot)
            if prefill != phase.decode { send(.cancel(attempt), to: prefill, into: &actions) }
        }
    }

    // MARK: Accounting

    private mutating func occupyPrefill(_ worker: Int, with request: ServingRequest) {
        prefillWorkers[worker]?.requests.append(request.id)
        prefillWorkers[worker]?.outstandingTokens += request.promptCount + request.emittedBeforePrefill
        refreshOffer(of: worker)
    }

    /// The prefill worker has nothing of the request any more.
    mutating func vacatePrefill(_ slot: Int) {
        guard let worker = requests[slot].phase.prefill else { return }
        requests[slot].phase.forgetPrefill()
        prefillWorkers[worker]?.requests.remove(requests[slot].id)
        prefillWorkers[worker]?.outstandingTokens -= requests[slot].promptCount + requests[slot].emittedBeforePrefill
        refreshOffer(of: worker)
    }

    private mutating func occupyDecode(_ worker: Int, with request: RequestID, blocks: Int) {
        decodeWorkers[worker]?.requests.append(request)
        decodeWorkers[worker]?.chargedBlocks += blocks
        refreshOffer(of: worker)
    }

    private mutating func vacateDecode(_ worker: Int, _ request: RequestID, blocks: Int) {
        decodeWorkers[worker]?.requests.remove(request)
        decodeWorkers[worker]?.chargedBlocks -= blocks
        refreshOffer(of: worker)
    }

    /// A row that has outgrown its budget takes more of its worker's blocks.
    mutating func growCharge(_ slot: Int) {
        guard let route = requests[slot].phase.route, let geometry = membership.geometry else { return }
        let needed = geometry.blockCount(forTokens: requests[slot].tokens.count)
        guard needed > route.charge else { return }
        requests[slot].phase.setCharge(needed)
        decodeWorkers[route.decode]?.chargedBlocks += needed - route.charge
        refreshOffer(of: route.decode)
    }

    /// Says in the tournament what a worker can take now.
    mutating func refreshOffer(of worker: Int) {
        guard membership.members.isOccupied(worker) else {
            prefillOffers.set(worker, to: nil)
            decodeOffers.set(worker, to: nil)
            mixedOffers.set(worker, to: nil)
            return
        }
        let member = membership.members[worker]
        switch member.registration.role {
        case .prefill: prefillOffers.set(worker, to: prefillWorkers[worker].flatMap { offer(of: member, $0) })
        case .decode: decodeOffers.set(worker, to: decodeWorkers[worker].flatMap { offer(of: member, $0) })
        // What bounds it are rows and blocks; a prompt to compute has been given both.
        case .mixed: mixedOffers.set(worker, to: decodeWorkers[worker].flatMap { offer(of: member, $0) })
        }
    }

    private func offer(of member: Member, _ assignments: PrefillAssignments) -> PlacementTree.Offer? {
        let limit = member.registration.maxSequences + configuration.prefillLookahead
        guard member.takesNewWork, assignments.requests.count < limit else { return nil }
        return PlacementTree.Offer(load: assignments.outstandingTokens, room: 0, reach: member.reach)
    }

    private func offer(of member: Member, _ assignments: DecodeAssignments) -> PlacementTree.Offer? {
        let (rows, count) = (member.registration.maxSequences, assignments.requests.count)
        let room = member.registration.blockCount - assignments.chargedBlocks
        guard member.takesNewWork, count < rows + configuration.embedLookahead, room > 0 else { return nil }
        // Rows taken, in thousandths, so that large and small workers fill alike.
        return PlacementTree.Offer(load: count * 1000 / rows, room: room, reach: member.reach)
    }
}
