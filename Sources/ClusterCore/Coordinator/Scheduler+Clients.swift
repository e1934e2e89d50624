import Generation

// What clients want, and how their requests end.
extension Scheduler {
    mutating func submit(_ request: ClientRequest, at now: Instant, into actions: inout [Action]) {
        if let failure = refusal(of: request, at: now) {
            actions.append(.refused(request.key, failure))
            return
        }
        lastRequest += 1
        let id = RequestID(lastRequest)
        let precedence = configuration.precedence(of: request, at: now)
        let slot = requests.insert(ServingRequest(request, id: id, precedence: precedence, at: now), for: id)
        requestOfKey[request.key] = id
        openCount[request.key.client, default: 0] += 1
        queue.insert(requests[slot].rank)
        if let deadline = request.deadline {
            timers.insert(TimerQueue.Timer(due: deadline, request: id, kind: .deadline))
        }
        actions.append(.accepted(request.key, id))
        observe(id, .submitted(promptCount: request.prompt.count, request.priority), into: &actions)
    }

    /// Why a request is not accepted.
    private func refusal(of request: ClientRequest, at now: Instant) -> RequestFailure? {
        func invalid(_ message: String) -> RequestFailure { RequestFailure(code: .invalid, message: message) }
        if isDraining { return RequestFailure(code: .draining, message: "the coordinator is shutting down") }
        if requestOfKey[request.key] != nil { return invalid("key \(request.key.key) is in use") }
        if request.prompt.isEmpty { return invalid("the prompt has no tokens") }
        if request.stop.maxTokens < 1 { return invalid("max_tokens is \(request.stop.maxTokens), must be at least 1") }
        let length = request.prompt.count + Int(request.stop.maxTokens)
        if length > lengthLimit {
            return invalid(
                "\(request.prompt.count) prompt tokens and max_tokens \(request.stop.maxTokens) exceed \(lengthLimit)")
        }
        if let deadline = request.deadline, deadline <= now {
            return RequestFailure(code: .timedOut, message: "the time limit had passed on arrival")
        }
        if waitingCount >= configuration.maxQueuedRequests {
            return RequestFailure(code: .overloaded, message: "\(waitingCount) requests are waiting")
        }
        return nil
    }

    /// Tokens of prompt and answer that the model, and the largest workers here, can hold.
    private var lengthLimit: Int { min(configuration.maxModelLength, greatestReach.limit ?? .max) }

    mutating func cancel(_ key: ClientRequestKey, into actions: inout [Action]) {
        guard let id = requestOfKey[key], let slot = requests.slot(of: id) else { return }
        fail(slot, .cancelled, "cancelled by the client", into: &actions)
    }

    mutating func cancelAll(of client: ClientID, into actions: inout [Action]) {
        guard openCount[client] != nil else { return }
        let open = requests.occupied.filter { requests[$0].key.client == client }
        for slot in open.sorted(by: { requests[$0].id < requests[$1].id }) {
            fail(slot, .cancelled, "the client is gone", into: &actions)
        }
    }

    mutating func stop(_ request: RequestID, into actions: inout [Action]) {
        guard let slot = requests.slot(of: request), requests[slot].emittedCount > 0 else { return }
        finish(slot, .stop, into: &actions)
    }

    /// The time limit has passed.
    mutating func expire(_ slot: Int, into actions: inout [Action]) {
        let request = requests[slot]
        if request.phase.isWaiting, request.emittedCount == 0, !greatestReach.servesAny {
            let role = greatestReach.prefill == nil ? WorkerRole.prefill : .decode
            fail(slot, .noWorker, "no \(role.rawValue) worker came before the time limit", into: &actions)
        } else {
            fail(slot, .timedOut, "the time limit passed", into: &actions)
        }
    }

    mutating func finish(_ slot: Int, _ reason: FinishReason, into actions: inout [Action]) {
        let request = close(slot, into: &actions)
        guard let prefillWorker = request.record.prefillWorker else {
            preconditionFailure("\(request) was finished by nobody")
        }
        let summary = RequestSummary(
            reason: reason, tokenCount: Int32(request.emittedCount),
            timings: request.record.timings(tokenCount: request.emittedCount), prefillWorker: prefillWorker,
            decodeWorker: request.record.decodeWorker, attempts: request.ordinal)
        actions.append(.finish(request.id, summary))
        observe(request.id, .finished(reason), into: &actions)
    }

    mutating func fail(_ slot: Int, _ code: RequestFailure.Code, _ message: String, into actions: inout [Action]) {
        let request = close(slot, into: &actions)
        actions.append(.fail(request.id, RequestFailure(code: code, message: message)))
        observe(request.id, .failed(code), into: &actions)
    }

    /// Takes a request from its workers and out of the tables.
    private mutating func close(_ slot: Int, into actions: inout [Action]) -> ServingRequest {
        let phase = requests[slot].phase
        release(slot, keepingHolder: false, into: &actions)
        let request = requests.remove(slot)
        requestOfKey[request.key] = nil
        let open = openCount[request.key.client, default: 1] - 1
        openCount[request.key.client] = open > 0 ? open : nil
        switch phase {
        case .queued:
            if let index = setAside.firstIndex(of: request.id) {
                setAside.remove(at: index)
            } else {
                queue.forget { [requests] in requests.slot(of: $0) != nil }
            }
        case .pausing: pausingCount -= 1
        case .prefilling, .transferring, .decoding: break
        }
        timers.thinOut(liveRequests: requests.count) { [requests] in requests.slot(of: $0.request) != nil }
        return request
    }
}
