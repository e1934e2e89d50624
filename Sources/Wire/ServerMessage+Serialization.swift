import CProtobufC
import CWire
import ClusterCore
import Generation

extension ServerMessage: FramedMessage {
    static let maxWorkersInStatus = 100

    public func frames() throws(WireError) -> [Frame] {
        let arena = Arena()
        var payload: [Frame] = []
        let header: UnsafeMutablePointer<Baton__ServerHeader> = arena.make(baton__server_header__init) {
            $0.version = Header.version
            payload = $0.set(self, arena)
        }
        var frames = [try Header.pack(header, message: "server message")] + payload
        if case .status(let status) = self {
            // A message has a bounded number of frames; what goes beyond is left out of the picture.
            for worker in status.workers.prefix(Self.maxWorkersInStatus) {
                frames.append(try Header.pack(arena.workerStatus(worker), message: "worker status"))
            }
        }
        return frames
    }

    public init(frames: [Frame]) throws(WireError) {
        guard let first = frames.first else { throw .frameCount(message: "server message", expected: 1, actual: 0) }
        self = try Header.unpack(first, message: "server message", with: baton__server_header__unpack) {
            (header: UnsafeMutablePointer<Baton__ServerHeader>) throws(WireError) -> ServerMessage in
            try ServerMessage(header.pointee, payload: Array(frames.dropFirst()))
        }
    }

    private init(_ header: Baton__ServerHeader, payload: [Frame]) throws(WireError) {
        let reader = FieldReader("server message")
        try reader.version(header.version)
        switch header.body_case {
        case BATON__SERVER_HEADER__BODY_TOKENS:
            let tokens = try reader.required(header.tokens, "tokens").pointee
            try reader.frameCount(payload, 3)
            self = .tokens(
                key: tokens.key, choice: try reader.index(tokens.choice, "choice"),
                firstIndex: try reader.index(tokens.first_index, "first_index"),
                tokens: try Payload.scored(payload[..<2], message: "tokens"),
                text: try Payload.text(payload[2], message: "tokens", field: "text"))
        case BATON__SERVER_HEADER__BODY_PROMPT:
            let prompt = try reader.required(header.prompt, "prompt").pointee
            self = .prompt(
                key: prompt.key, first: try reader.index(prompt.first, "first"),
                try Payload.scored(payload[...], message: "prompt"))
        case BATON__SERVER_HEADER__BODY_FINISHED:
            let finished = try reader.required(header.finished, "finished").pointee
            try reader.frameCount(payload, 1)
            let text = try Payload.text(payload[0], message: "finished", field: "text")
            self = .finished(
                key: finished.key, choice: try reader.index(finished.choice, "choice"),
                try reader.completion(finished, text: text))
        case BATON__SERVER_HEADER__BODY_STATUS:
            let status = try reader.required(header.status, "status").pointee
            self = .status(try reader.status(status, payload))
        default:
            try reader.frameCount(payload, 0)
            self = try reader.withoutPayload(header)
        }
    }
}

extension Baton__ServerHeader {
    /// - Returns: the frames behind the header, except those of a status.
    fileprivate mutating func set(_ message: ServerMessage, _ arena: Arena) -> [Frame] {
        switch message {
        case .hello(let value):
            body_case = BATON__SERVER_HEADER__BODY_HELLO
            hello = arena.make(baton__server_hello__init) {
                $0.epoch = value.epoch.rawValue
                $0.model_name = arena.text(value.modelName, atMost: 800)
                $0.max_model_length = UInt32(clamping: value.maxModelLength)
            }
        case .accepted(let key, let value):
            body_case = BATON__SERVER_HEADER__BODY_ACCEPTED
            accepted = arena.make(baton__accepted__init) {
                $0.key = key
                $0.request = value.request.rawValue
                $0.seed = value.seed
                $0.prompt_count = UInt32(clamping: value.promptCount)
                $0.choices = UInt32(clamping: value.choices)
            }
        case .prompt(let key, let first, let values):
            body_case = BATON__SERVER_HEADER__BODY_PROMPT
            prompt = arena.make(baton__prompt_tokens__init) {
                $0.key = key
                $0.first = UInt32(clamping: first)
            }
            return Payload.scored(values)
        case .tokens(let key, let choice, let firstIndex, let values, let text):
            body_case = BATON__SERVER_HEADER__BODY_TOKENS
            tokens = arena.make(baton__tokens__init) {
                $0.key = key
                $0.first_index = UInt32(clamping: firstIndex)
                $0.choice = UInt32(clamping: choice)
            }
            return Payload.scored(values) + [Payload.text(text)]
        case .finished(let key, let choice, let completion):
            body_case = BATON__SERVER_HEADER__BODY_FINISHED
            finished = arena.finished(key, choice, completion)
            return [Payload.text(completion.text)]
        case .failed(let key, let failure):
            body_case = BATON__SERVER_HEADER__BODY_FAILED
            failed = arena.make(baton__failed__init) {
                $0.key = key
                $0.code = arena.text(failure.code.rawValue)
                $0.message = arena.text(failure.message, atMost: 2000)
            }
        case .pong(let epoch):
            body_case = BATON__SERVER_HEADER__BODY_PONG
            pong = arena.make(baton__server_pong__init) { $0.epoch = epoch.rawValue }
        case .unknownClient(let epoch):
            body_case = BATON__SERVER_HEADER__BODY_UNKNOWN_CLIENT
            unknown_client = arena.make(baton__unknown_client__init) { $0.epoch = epoch.rawValue }
        case .status(let value):
            body_case = BATON__SERVER_HEADER__BODY_STATUS
            status = arena.make(baton__status__init) {
                $0.epoch = value.epoch.rawValue
                $0.model_name = arena.text(value.modelName, atMost: 800)
                $0.waiting = UInt32(clamping: value.waiting)
                $0.running = UInt32(clamping: value.running)
                $0.draining = value.draining ? 1 : 0
                $0.n_group_sizes = value.groups.sizes.count
                $0.group_sizes = arena.array(value.groups.sizes)
                $0.group_members = value.groups.members
            }
        case .event(let value):
            body_case = BATON__SERVER_HEADER__BODY_EVENT
            event = arena.event(value)
        }
        return []
    }
}

extension Arena {
    fileprivate func finished(
        _ key: UInt64, _ choice: Int32, _ completion: Completion
    ) -> UnsafeMutablePointer<Baton__Finished> {
        make(baton__finished__init) {
            $0.key = key
            $0.choice = UInt32(clamping: choice)
            $0.cached_token_count = UInt32(clamping: completion.cachedTokenCount)
            $0.reason = completion.reason.wireValue
            $0.token_count = UInt32(clamping: completion.tokenCount)
            $0.timings = timings(completion.timings)
            $0.prefill_worker = text(completion.prefillWorker.name)
            $0.decode_worker = text(completion.decodeWorker?.name ?? "")
            $0.attempts = completion.attempts
        }
    }

    private func timings(_ timings: Timings) -> UnsafeMutablePointer<Baton__Timings> {
        make(baton__timings__init) {
            $0.queue = timings.queue.microseconds
            $0.prefill = timings.prefill.microseconds
            $0.transfer = timings.transfer.microseconds
            $0.time_to_first_token = timings.timeToFirstToken.microseconds
            $0.time_per_output_token = timings.timePerOutputToken.microseconds
        }
    }

    fileprivate func workerStatus(_ status: WorkerStatus) -> UnsafeMutablePointer<Baton__WorkerStatus> {
        make(baton__worker_status__init) {
            $0.worker = text(status.worker.name)
            $0.role = status.role.wireValue
            $0.state = text(status.state.rawValue)
            $0.endpoint = text(status.endpoint)
            $0.block_count = UInt32(clamping: status.blockCount)
            $0.max_sequences = UInt32(clamping: status.maxSequences)
            $0.load = load(status.load)
            $0.reports = status.reports
        }
    }
}

extension FieldReader {
    fileprivate func withoutPayload(_ header: Baton__ServerHeader) throws(WireError) -> ServerMessage {
        switch header.body_case {
        case BATON__SERVER_HEADER__BODY_HELLO:
            let hello = try required(header.hello, "hello").pointee
            return .hello(
                ServerHello(
                    epoch: ClusterEpoch(hello.epoch), modelName: try text(hello.model_name, "model_name"),
                    maxModelLength: try count(hello.max_model_length, "max_model_length")))
        case BATON__SERVER_HEADER__BODY_ACCEPTED:
            let accepted = try required(header.accepted, "accepted").pointee
            return .accepted(
                key: accepted.key,
                Acceptance(
                    request: RequestID(accepted.request), seed: accepted.seed,
                    promptCount: try index(accepted.prompt_count, "prompt_count"),
                    choices: Int32(try count(accepted.choices, "choices", in: 1...Int(Submission.maxChoices)))))
        case BATON__SERVER_HEADER__BODY_FAILED:
            let failed = try required(header.failed, "failed").pointee
            return .failed(
                key: failed.key,
                RequestFailure(code: try failureCode(failed.code), message: try text(failed.message, "message", maxBytes: 2500)))
        case BATON__SERVER_HEADER__BODY_PONG:
            return .pong(ClusterEpoch(try required(header.pong, "pong").pointee.epoch))
        case BATON__SERVER_HEADER__BODY_UNKNOWN_CLIENT:
            return .unknownClient(ClusterEpoch(try required(header.unknown_client, "unknown_client").pointee.epoch))
        case BATON__SERVER_HEADER__BODY_EVENT: return .event(try event(header.event))
        default: throw .missing(message: message, field: "body")
        }
    }

    func failureCode(_ data: ProtobufCBinaryData) throws(WireError) -> RequestFailure.Code {
        let name = try text(data, "code", maxBytes: 64)
        guard let code = RequestFailure.Code(rawValue: name) else {
            throw .value(message: message, field: "code", value: "\"\(name)\"")
        }
        return code
    }

    fileprivate func completion(_ finished: Baton__Finished, text rest: String) throws(WireError) -> Completion {
        let timings = try required(finished.timings, "timings").pointee
        let decode = try worker(finished.decode_worker, "decode_worker")
        return Completion(
            reason: try finishReason(finished.reason), text: rest,
            tokenCount: try index(finished.token_count, "token_count"),
            cachedTokenCount: try index(finished.cached_token_count, "cached_token_count"),
            timings: Timings(
                queue: .micros(timings.queue), prefill: .micros(timings.prefill), transfer: .micros(timings.transfer),
                timeToFirstToken: .micros(timings.time_to_first_token),
                timePerOutputToken: .micros(timings.time_per_output_token)),
            prefillWorker: try worker(finished.prefill_worker, "prefill_worker"),
            decodeWorker: decode.name.isEmpty ? nil : decode, attempts: finished.attempts)
    }

    fileprivate func status(_ status: Baton__Status, _ payload: [Frame]) throws(WireError) -> ClusterStatus {
        var workers: [WorkerStatus] = []
        for frame in payload { workers.append(try workerStatus(frame)) }
        guard status.n_group_sizes <= GroupCounters.bounds.count + 1 else {
            throw .value(message: message, field: "group_sizes", value: "\(status.n_group_sizes) sizes")
        }
        let groups = GroupCounters(
            sizes: (0..<status.n_group_sizes).map { status.group_sizes[$0] }, members: status.group_members)
        return ClusterStatus(
            epoch: ClusterEpoch(status.epoch), modelName: try text(status.model_name, "model_name"),
            waiting: try count(status.waiting, "waiting"), running: try count(status.running, "running"),
            draining: status.draining != 0, workers: workers, groups: groups)
    }

    private func workerStatus(_ frame: Frame) throws(WireError) -> WorkerStatus {
        try Header.unpack(frame, message: "worker status", with: baton__worker_status__unpack) {
            (pointer: UnsafeMutablePointer<Baton__WorkerStatus>) throws(WireError) -> WorkerStatus in
            let status = pointer.pointee
            let name = try text(status.state, "state", maxBytes: 64)
            guard let state = WorkerStatus.State(rawValue: name) else {
                throw .value(message: message, field: "state", value: "\"\(name)\"")
            }
            return WorkerStatus(
                worker: try worker(status.worker), role: try role(status.role), state: state,
                endpoint: try text(status.endpoint, "endpoint"), blockCount: try count(status.block_count, "block_count"),
                maxSequences: try count(status.max_sequences, "max_sequences"), load: try load(status.load),
                reports: status.reports)
        }
    }
}

extension Duration {
    /// Negative times do not travel; times beyond what fits are as long as possible.
    var microseconds: UInt64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = UInt64(clamping: seconds).multipliedReportingOverflow(by: 1_000_000)
        let (sum, carry) = product.addingReportingOverflow(UInt64(clamping: attoseconds / 1_000_000_000_000))
        return overflow || carry ? .max : sum
    }

    /// Bounded to what a `Duration` can surely hold.
    static func micros(_ value: UInt64) -> Duration { .microseconds(Int64(clamping: min(value, 1 << 60))) }
}
