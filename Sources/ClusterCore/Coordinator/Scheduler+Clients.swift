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
        let slot = insert(request, as: id, at: now)
        requestOfKey[request.key] = id
        openCount[request.key.client, default: 0] += 1
        queue.insert(requests[slot].rank)
        if let deadline = request.deadline {
            timers.insert(TimerQueue.Timer(due: deadline, request: id, kind: .deadline))
        }
        actions.append(.accepted(request.key, id))
        observe(id, .submitted(promptCount: request.prompt.count, request.priority), into: &actions)
    }

    /// Makes a request, or the parts of one that has several choices.
    /// - Returns: the slot of the request, or of its prompt.
    private mutating func insert(_ request: ClientRequest, as id: RequestID, at now: Instant) -> Int {
        let precedence = configuration.precedence(of: request, at: now), group = join(request)
        guard request.choices > 1, request.stop.maxTokens > 0 else {
            return requests.insert(ServingRequest(request, id: id, group: group, precedence: precedence, at: now), for: id)
        }
        var choices: [RequestID] = []
        for index in 0..<UInt32(request.choices) {
            lastRequest += 1
            let choice = RequestID(lastRequest)
            var own = request
            own.sampling.choice = index
            own.promptLogprobs = nil
            var part = ServingRequest(own, id: choice, part: .choice(of: id), group: group, precedence: precedence, at: now)
            part.phase = .following
            _ = requests.insert(part, for: choice)
            choices.append(choice)
        }
        var prompt = ServingRequest(
            request, id: id, part: .prompt(choices: choices), group: group, precedence: precedence, at: now)
        prompt.openChoices = choices.count
        return requests.insert(prompt, for: id)
    }

    /// Why a request is not accepted.
    private func refusal(of request: ClientRequest, at now: Instant) -> RequestFailure? {
        func invalid(_ message: String) -> RequestFailure { RequestFailure(code: .invalid, message: message) }
        if isDraining { return RequestFailure(code: .draining, message: "the coordinator is shutting down") }
        if requestOfKey[request.key] != nil { return invalid("key \(request.key.key) is in use") }
        if request.prompt.isEmpty { return invalid("the prompt has no tokens") }
        if request.stop.maxTokens < (request.promptLogprobs == nil ? 1 : 0) {
            return invalid("max_tokens is \(request.stop.maxTokens), must be at least 1 if no prompt is to be scored")
        }
        if request.choices < 1 || request.choices > Submission.maxChoices {
            return invalid("n is \(request.choices), must be 1 to \(Submission.maxChoices)")
        }
        if let group = request.group {
            if group.prefixCount < 1 || Int(group.prefixCount) > request.prompt.count {
                return invalid("a group's prefix of \(group.prefixCount) tokens in a prompt of \(request.prompt.count)")
            }
            if group.memberCount < 1 { return invalid("a group of \(group.memberCount) members") }
        }
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
        let open = requests.occupied.filter { requests[$0].key.client == client && !requests[$0].isChoice }
        for slot in open.sorted(by: { requests[$0].id < requests[$1].id }) {
            fail(slot, .cancelled, "the client is gone", into: &actions)
        }
    }

    mutating func stop(_ request: RequestID, choice: Int32, into actions: inout [Action]) {
        guard var slot = requests.slot(of: request) else { return }
        if requests[slot].isPrompt {
            let choices = requests[slot].choices
            guard choices.indices.contains(Int(choice)), let own = requests.slot(of: choices[Int(choice)]) else { return }
            slot = own
        }
        guard requests[slot].emittedCount > 0 else { return }
        finish(slot, .stop, into: &actions)
    }

    /// The time limit has passed.
    mutating func expire(_ slot: Int, into actions: inout [Action]) {
        let request = requests[slot]
        if request.phase.isWaiting, !hasEmitted(slot), !greatestReach.servesAny {
            let role = greatestReach.prefill == nil ? WorkerRole.prefill : .decode
            fail(slot, .noWorker, "no \(role.rawValue) worker came before the time limit", into: &actions)
        } else if request.record.prefillStarted == nil, !hasEmitted(slot) {
            fail(slot, .expired, "the time limit passed before any work began", into: &actions)
        } else {
            fail(slot, .timedOut, "the time limit passed", into: &actions)
        }
    }

    /// Ends a request, or one of its choices; a request ends with the last of them.
    mutating func finish(_ slot: Int, _ reason: FinishReason, into actions: inout [Action]) {
        let request = close(slot, into: &actions)
        guard let prefillWorker = request.record.prefillWorker else {
            preconditionFailure("\(request) was finished by nobody")
        }
        let summary = RequestSummary(
            reason: reason, tokenCount: Int32(request.emittedCount), cachedTokenCount: Int32(clamping: request.record.cachedCount),
            timings: request.record.timings(tokenCount: request.emittedCount), prefillWorker: prefillWorker,
            decodeWorker: request.record.decodeWorker, attempts: request.ordinal)
        actions.append(.finish(request.family, choice: Int32(request.sampling.choice), summary))
        observe(request.id, .finished(reason), into: &actions)
        guard request.isChoice, let prompt = requests.slot(of: request.family) else { return }
        requests[prompt].openChoices -= 1
        guard requests[prompt].openChoices == 0 else { return }
        _ = close(prompt, into: &actions)
        observe(request.family, .finished(reason), into: &actions)
    }

    mutating func fail(_ slot: Int, _ code: RequestFailure.Code, _ message: String, into actions: inout [Action]) {
        guard let whole = requests.slot(of: requests[slot].family) else { preconditionFailure("\(requests[slot]) of nobody") }
        for choice in requests[whole].choices {
            if let slot = requests.slot(of: choice) { _ = close(slot, into: &actions) }
        }
        let request = close(whole, into: &actions)
        actions.append(.fail(request.id, RequestFailure(code: code, message: message)))
        observe(request.id, .failed(code), into: &actions)
    }

    /// Takes a request from its workers and out of the tables.
    private mutating func close(_ slot: Int, into actions: inout [Action]) -> ServingRequest {
        let phase = requests[slot].phase
        if case .following = phase { withdraw(slot, into: &actions) }
        release(slot, keepingHolder: false, into: &actions)
        let request = requests.remove(slot)
        if !request.isChoice {
            requestOfKey[request.key] = nil
            let open = openCount[request.key.client, default: 1] - 1
            openCount[request.key.client] = open > 0 ? open : nil
            leave(request.group, into: &actions)
        }
        switch phase {
        case .queued:
            if let index = setAside.firstIndex(of: request.id) {
                setAside.remove(at: index)
            } else {
                queue.forget { [requests] in requests.slot(of: $0) != nil }
            }
        case .pausing: pausingCount -= 1
        case .prefilling, .transferring, .decoding, .following, .divided: break
        }
        timers.thinOut(liveRequests: requests.count) { [requests] in requests.slot(of: $0.request) != nil }
        return request
    }
}
