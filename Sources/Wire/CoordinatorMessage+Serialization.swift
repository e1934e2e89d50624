import CProtobufC
import CWire
import ClusterCore
import Generation

extension Baton__ControlHeader {
    /// - Returns: the frames behind the header.
    mutating func set(_ message: CoordinatorMessage, _ arena: Arena) -> [Frame] {
        switch message {
        case .registered(let cluster, let worker):
            // The epochs that the worker gets are those of the envelope; there is no second place for them.
            cluster_epoch = cluster.rawValue
            worker_epoch = worker.rawValue
            body_case = BATON__CONTROL_HEADER__BODY_REGISTERED
            registered = arena.make(baton__registered__init)
        case .registrationRefused(let reason):
            body_case = BATON__CONTROL_HEADER__BODY_REGISTRATION_REFUSED
            registration_refused = arena.make(baton__registration_refused__init) {
                $0.reason = arena.text(reason, atMost: 3000)
            }
        case .registerAgain:
            body_case = BATON__CONTROL_HEADER__BODY_REGISTER_AGAIN
            register_again = arena.make(baton__register_again__init)
        case .prefill(let order):
            body_case = BATON__CONTROL_HEADER__BODY_PREFILL
            prefill = arena.make(baton__prefill_order__init) {
                $0.sequence = arena.sequence(order.sequence)
                if let destination = order.destination { $0.destination = arena.destination(destination) }
            }
            return order.sequence.frames
        case .retarget(let from, let to, let destination):
            body_case = BATON__CONTROL_HEADER__BODY_RETARGET
            retarget = arena.make(baton__retarget__init) {
                $0.from = arena.attempt(from)
                $0.to = arena.attempt(to)
                $0.destination = arena.destination(destination)
            }
        case .grant(let grant):
            body_case = BATON__CONTROL_HEADER__BODY_GRANT
            self.grant = arena.make(baton__grant__init) {
                $0.sequence = arena.sequence(grant.sequence)
                $0.budget = UInt32(clamping: grant.budget)
            }
            return grant.sequence.frames
        case .cancel(let attempt):
            body_case = BATON__CONTROL_HEADER__BODY_CANCEL
            cancel = arena.attempt(attempt)
        case .preempt(let attempt):
            body_case = BATON__CONTROL_HEADER__BODY_PREEMPT
            preempt = arena.attempt(attempt)
        case .resume(let attempt, let budget):
            body_case = BATON__CONTROL_HEADER__BODY_RESUME
            resume = arena.make(baton__resume__init) {
                $0.attempt = arena.attempt(attempt)
                $0.budget = UInt32(clamping: budget)
            }
        case .releaseGroup(let group):
            body_case = BATON__CONTROL_HEADER__BODY_RELEASE_GROUP
            release_group = arena.make(baton__release_group__init) { $0.group = group.rawValue }
        }
        return []
    }
}

extension CoordinatorMessage {
    /// `nil` if the header holds another kind of message.
    init?(_ header: Baton__ControlHeader, _ envelope: Envelope, payload: [Frame]) throws(WireError) {
        let reader = FieldReader("coordinator message")
        switch header.body_case {
        case BATON__CONTROL_HEADER__BODY_PREFILL:
            let order = try reader.required(header.prefill, "prefill").pointee
            self = .prefill(
                PrefillOrder(
                    sequence: try reader.sequence(order.sequence, payload),
                    destination: order.destination == nil ? nil : try reader.destination(order.destination)))
            return
        case BATON__CONTROL_HEADER__BODY_GRANT:
            let grant = try reader.required(header.grant, "grant").pointee
            self = .grant(
                Grant(
                    sequence: try reader.sequence(grant.sequence, payload), budget: try reader.count(grant.budget, "budget")))
            return
        case BATON__CONTROL_HEADER__BODY_REGISTERED: self = .registered(envelope.clusterEpoch, envelope.workerEpoch)
        case BATON__CONTROL_HEADER__BODY_REGISTRATION_REFUSED:
            let refused = try reader.required(header.registration_refused, "registration_refused").pointee
            self = .registrationRefused(try reader.text(refused.reason, "reason", maxBytes: 4096))
        case BATON__CONTROL_HEADER__BODY_REGISTER_AGAIN: self = .registerAgain
        case BATON__CONTROL_HEADER__BODY_RETARGET:
            let retarget = try reader.required(header.retarget, "retarget").pointee
            self = .retarget(
                from: try reader.attempt(retarget.from, "from"), to: try reader.attempt(retarget.to, "to"),
                try reader.destination(retarget.destination))
        case BATON__CONTROL_HEADER__BODY_CANCEL: self = .cancel(try reader.attempt(header.cancel, "cancel"))
        case BATON__CONTROL_HEADER__BODY_PREEMPT: self = .preempt(try reader.attempt(header.preempt, "preempt"))
        case BATON__CONTROL_HEADER__BODY_RESUME:
            let resume = try reader.required(header.resume, "resume").pointee
            self = .resume(try reader.attempt(resume.attempt), budget: try reader.count(resume.budget, "budget"))
        case BATON__CONTROL_HEADER__BODY_RELEASE_GROUP:
            self = .releaseGroup(GroupID(try reader.required(header.release_group, "release_group").pointee.group))
        default: return nil
        }
        try reader.frameCount(payload, 0)
    }
}

extension Arena {
    fileprivate func sequence(_ order: SequenceOrder) -> UnsafeMutablePointer<Baton__Sequence> {
        make(baton__sequence__init) {
            $0.attempt = attempt(order.attempt)
            $0.token_count = UInt32(clamping: order.tokens.count)
            $0.prompt_count = UInt32(clamping: order.promptCount)
            $0.sampling = sampling(order.sampling)
            $0.max_tokens = UInt32(clamping: order.stop.maxTokens)
            $0.n_end_tokens = order.stop.endTokens.count
            $0.end_tokens = array(order.stop.endTokens.map { UInt32(clamping: $0) })
            $0.priority = Int32(order.priority.rawValue)
            $0.precedence = order.precedence
            $0.min_tokens = UInt32(clamping: order.stop.minTokens)
            if let logprobs = order.logprobs {
                $0.has_logprobs = 1
                $0.logprobs = UInt32(clamping: logprobs)
            }
            if let scoring = order.scoring {
                $0.has_scoring = 1
                $0.scoring_top = UInt32(clamping: scoring.top)
                $0.scoring_first = UInt32(clamping: scoring.first)
            }
            $0.constraint_kind = order.constraint?.kind.wireValue ?? 0
            $0.cache_salt = text(order.cacheSalt)
            $0.group = order.group?.group.rawValue ?? 0
            $0.group_prefix_count = UInt32(clamping: order.group?.prefixCount ?? 0)
        }
    }

    fileprivate func destination(_ destination: KVDestination) -> UnsafeMutablePointer<Baton__Destination> {
        make(baton__destination__init) {
            $0.worker = text(destination.worker.name)
            $0.endpoint = text(destination.endpoint)
        }
    }
}

extension FieldReader {
    fileprivate func sequence(
        _ pointer: UnsafeMutablePointer<Baton__Sequence>?, _ payload: [Frame]
    ) throws(WireError) -> SequenceOrder {
        let sequence = try required(pointer, "sequence").pointee
        try frameCount(payload, 4)
        let tokenCount = try count(sequence.token_count, "token_count", in: 1...1 << 28)
        let promptCount = try count(sequence.prompt_count, "prompt_count", in: 1...tokenCount)
        let tokens = try Payload.tokens(payload[0], message: message, count: tokenCount)
        var endTokens: [TokenID] = []
        for index in 0..<sequence.n_end_tokens {
            endTokens.append(try self.index(sequence.end_tokens[index], "end_tokens"))
        }
        var scoring: PromptScoring?
        if sequence.has_scoring != 0 {
            scoring = PromptScoring(
                top: try topCount(sequence.scoring_top, "scoring_top"),
                first: try count(sequence.scoring_first, "scoring_first", in: 1...Int(Int32.max)))
        }
        return SequenceOrder(
            attempt: try attempt(sequence.attempt), tokens: tokens, promptCount: promptCount,
            sampling: try sampling(sequence.sampling, biases: payload[1]),
            stop: StopConditions(
                maxTokens: try index(sequence.max_tokens, "max_tokens"), minTokens: try index(sequence.min_tokens, "min_tokens"),
                endTokens: endTokens),
            logprobs: sequence.has_logprobs == 0 ? nil : try topCount(sequence.logprobs, "logprobs"), scoring: scoring,
            constraint: try constraint(sequence.constraint_kind, payload[3]), forks: try ForkRecords.forks(payload[2]),
            cacheSalt: try text(sequence.cache_salt, "cache_salt", maxBytes: Submission.maxCacheSaltBytes),
            group: try group(sequence.group, prefixCount: sequence.group_prefix_count), priority: try priority(sequence.priority), precedence: sequence.precedence)
    }

    fileprivate func destination(
        _ pointer: UnsafeMutablePointer<Baton__Destination>?
    ) throws(WireError) -> KVDestination {
        let destination = try required(pointer, "destination").pointee
        return KVDestination(
            worker: try worker(destination.worker), endpoint: try text(destination.endpoint, "endpoint"))
    }
}

extension SequenceOrder {
    fileprivate var frames: [Frame] {
        [
            Payload.tokens(tokens), Payload.biases(sampling.logitBias), ForkRecords.frame(forks),
            Payload.text(constraint?.source ?? ""),
        ]
    }
}

/// Choices of a request, 16 bytes each: request (8), attempt's ordinal (4), choice (4), little-endian.
private enum ForkRecords {
    static let byteCount = 16

    static func frame(_ forks: [Fork]) -> Frame {
        var bytes: [UInt8] = []
        for fork in forks {
            withUnsafeBytes(of: fork.attempt.request.rawValue.littleEndian) { bytes += $0 }
            withUnsafeBytes(of: fork.attempt.ordinal.littleEndian) { bytes += $0 }
            withUnsafeBytes(of: fork.choice.littleEndian) { bytes += $0 }
        }
        return Frame(bytes)
    }

    static func forks(_ frame: Frame) throws(WireError) -> [Fork] {
        let count = frame.count / byteCount
        guard frame.count == count * byteCount, count <= Int(Submission.maxChoices) else {
            throw .payloadLength(
                message: "forks", expected: min(count, Int(Submission.maxChoices)) * byteCount, actual: frame.count)
        }
        return frame.withUnsafeBytes { bytes in
            stride(from: 0, to: bytes.count, by: byteCount).map { start in
                Fork(
                    attempt: AttemptID(
                        request: RequestID(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self))),
                        ordinal: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: start + 8, as: UInt32.self))),
                    choice: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: start + 12, as: UInt32.self)))
            }
        }
    }
}
