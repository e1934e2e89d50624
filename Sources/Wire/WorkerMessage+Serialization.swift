import CProtobufC
import CWire
import ClusterCore
import Generation

extension Baton__ControlHeader {
    /// - Returns: the frames behind the header.
    mutating func set(_ message: WorkerMessage, _ arena: Arena) -> [Frame] {
        switch message {
        case .register(let value):
            body_case = BATON__CONTROL_HEADER__BODY_REGISTRATION
            registration = arena.registration(value)
        case .prefillStarted(let attempt, let cachedCount):
            body_case = BATON__CONTROL_HEADER__BODY_PREFILL_STARTED
            prefill_started = arena.make(baton__prefill_started__init) {
                $0.attempt = arena.attempt(attempt)
                $0.cached_count = UInt32(clamping: cachedCount)
            }
        case .prefillFinished(_, let event):
            body_case = BATON__CONTROL_HEADER__BODY_PREFILL_FINISHED
            prefill_finished = arena.tokenEvent(event)
            return [LogprobFrame.frame([event.logprobs])]
        case .promptForked(let attempt, let events):
            body_case = BATON__CONTROL_HEADER__BODY_PROMPT_FORKED
            prompt_forked = arena.make(baton__forked__init) {
                $0.attempt = arena.attempt(attempt)
                $0.count = UInt32(clamping: events.count)
            }
            return TokenRecords.frames(events)
        case .promptScored(let attempt, let scores):
            body_case = BATON__CONTROL_HEADER__BODY_PROMPT_SCORED
            prompt_scored = arena.make(baton__scored__init) {
                $0.attempt = arena.attempt(attempt)
                $0.first = UInt32(clamping: scores.first)
                $0.count = UInt32(clamping: scores.tokens.count)
            }
            return [LogprobFrame.frame(scores.tokens)]
        case .transferFinished(let attempt):
            body_case = BATON__CONTROL_HEADER__BODY_TRANSFER_FINISHED
            transfer_finished = arena.attempt(attempt)
        case .prefillFailed(let attempt, let failure):
            body_case = BATON__CONTROL_HEADER__BODY_PREFILL_FAILED
            prefill_failed = arena.failure(attempt, failure)
        case .kvWhole(let attempt):
            body_case = BATON__CONTROL_HEADER__BODY_KV_WHOLE
            kv_whole = arena.attempt(attempt)
        case .embedded(let attempt, let row):
            body_case = BATON__CONTROL_HEADER__BODY_EMBEDDED
            embedded = arena.row(attempt, row)
        case .tokens(let events):
            body_case = BATON__CONTROL_HEADER__BODY_TOKENS
            tokens = arena.make(baton__token_records__init) { $0.count = UInt32(clamping: events.count) }
            return TokenRecords.frames(events)
        case .left(let attempt, let row):
            body_case = BATON__CONTROL_HEADER__BODY_LEFT
            left = arena.row(attempt, row)
        case .decodeFailed(let attempt, let failure):
            body_case = BATON__CONTROL_HEADER__BODY_DECODE_FAILED
            decode_failed = arena.failure(attempt, failure)
        case .parked(let attempt):
            body_case = BATON__CONTROL_HEADER__BODY_PARKED
            parked = arena.attempt(attempt)
        case .prefixesChanged(let changes):
            body_case = BATON__CONTROL_HEADER__BODY_PREFIXES_CHANGED
            prefixes_changed = arena.make(baton__prefixes_changed__init) {
                $0.evicted = UInt32(clamping: changes.evicted.count)
                $0.stored = UInt32(clamping: changes.stored.count)
            }
            return PrefixNames.frames(changes)
        case .leaving:
            body_case = BATON__CONTROL_HEADER__BODY_LEAVING
            leaving = arena.make(baton__leaving__init)
        }
        return []
    }
}

extension WorkerMessage {
    /// `nil` if the header holds another kind of message.
    init?(_ header: Baton__ControlHeader, payload: [Frame]) throws(WireError) {
        let reader = FieldReader("worker message")
        switch header.body_case {
        case BATON__CONTROL_HEADER__BODY_TOKENS:
            try reader.frameCount(payload, 2)
            let records = try reader.required(header.tokens, "tokens").pointee
            self = .tokens(try TokenRecords.events(payload, count: records.count))
            return
        case BATON__CONTROL_HEADER__BODY_PREFILL_FINISHED:
            try reader.frameCount(payload, 1)
            var event = try reader.tokenEvent(header.prefill_finished, "prefill_finished")
            event.logprobs = try LogprobFrame.entries(payload[0], count: 1, message: "worker message")[0]
            self = .prefillFinished(event.attempt, event)
            return
        case BATON__CONTROL_HEADER__BODY_PROMPT_FORKED:
            try reader.frameCount(payload, 2)
            let forked = try reader.required(header.prompt_forked, "prompt_forked").pointee
            self = .promptForked(
                try reader.attempt(forked.attempt), try TokenRecords.events(payload, count: forked.count))
            return
        case BATON__CONTROL_HEADER__BODY_PROMPT_SCORED:
            try reader.frameCount(payload, 1)
            self = try reader.scored(header.prompt_scored, payload[0])
            return
        case BATON__CONTROL_HEADER__BODY_PREFIXES_CHANGED:
            try reader.frameCount(payload, 2)
            self = .prefixesChanged(try reader.prefixes(header.prefixes_changed, payload))
            return
        default: break
        }
        guard let message = try Self.withoutPayload(header, reader) else { return nil }
        try reader.frameCount(payload, 0)
        self = message
    }

    private static func withoutPayload(
        _ header: Baton__ControlHeader, _ reader: FieldReader
    ) throws(WireError) -> WorkerMessage? {
        switch header.body_case {
        case BATON__CONTROL_HEADER__BODY_REGISTRATION: .register(try reader.registration(header.registration))
        case BATON__CONTROL_HEADER__BODY_PREFILL_STARTED: try reader.started(header.prefill_started)
        case BATON__CONTROL_HEADER__BODY_TRANSFER_FINISHED:
            .transferFinished(try reader.attempt(header.transfer_finished))
        case BATON__CONTROL_HEADER__BODY_PREFILL_FAILED:
            try reader.failure(header.prefill_failed, WorkerMessage.prefillFailed)
        case BATON__CONTROL_HEADER__BODY_KV_WHOLE: .kvWhole(try reader.attempt(header.kv_whole))
        case BATON__CONTROL_HEADER__BODY_EMBEDDED: try reader.row(header.embedded, WorkerMessage.embedded)
        case BATON__CONTROL_HEADER__BODY_LEFT: try reader.row(header.left, WorkerMessage.left)
        case BATON__CONTROL_HEADER__BODY_DECODE_FAILED:
            try reader.failure(header.decode_failed, WorkerMessage.decodeFailed)
        case BATON__CONTROL_HEADER__BODY_PARKED: .parked(try reader.attempt(header.parked, "parked"))
        case BATON__CONTROL_HEADER__BODY_LEAVING: .leaving
        default: nil
        }
    }
}

extension Arena {
    fileprivate func registration(_ value: Registration) -> UnsafeMutablePointer<Baton__Registration> {
        make(baton__registration__init) {
            $0.worker = text(value.worker.name)
            $0.role = value.role.wireValue
            $0.boot_nonce = value.bootNonce
            $0.endpoint = text(value.endpoint)
            $0.numerics = numerics(value.numerics)
            $0.geometry = geometry(value.geometry)
            $0.block_count = UInt32(clamping: value.blockCount)
            $0.max_sequences = UInt32(clamping: value.maxSequences)
            $0.max_model_length = UInt32(clamping: value.maxModelLength)
        }
    }

    fileprivate func row(_ attempt: AttemptID, _ row: Int) -> UnsafeMutablePointer<Baton__Row> {
        make(baton__row__init) {
            $0.attempt = self.attempt(attempt)
            $0.row = UInt32(clamping: row)
        }
    }

    fileprivate func failure(
        _ attempt: AttemptID, _ failure: WorkFailure
    ) -> UnsafeMutablePointer<Baton__WorkFailure> {
        make(baton__work_failure__init) {
            $0.attempt = self.attempt(attempt)
            switch failure {
            case .transferLost: $0.kind = 1
            case .evicted: $0.kind = 2
            case .refused(let text):
                $0.kind = 3
                $0.text = self.text(text, atMost: 800)
            case .computation(let text):
                $0.kind = 4
                $0.text = self.text(text, atMost: 800)
            }
        }
    }
}

extension FieldReader {
    fileprivate func registration(
        _ pointer: UnsafeMutablePointer<Baton__Registration>?
    ) throws(WireError) -> Registration {
        let value = try required(pointer, "registration").pointee
        return Registration(
            worker: try worker(value.worker), role: try role(value.role), bootNonce: value.boot_nonce,
            endpoint: try text(value.endpoint, "endpoint"), numerics: try numerics(value.numerics),
            geometry: try geometry(value.geometry), blockCount: try count(value.block_count, "block_count"),
            maxSequences: try count(value.max_sequences, "max_sequences", in: 1...1_000_000),
            maxModelLength: try count(value.max_model_length, "max_model_length"))
    }

    fileprivate func scored(
        _ pointer: UnsafeMutablePointer<Baton__Scored>?, _ frame: Frame
    ) throws(WireError) -> WorkerMessage {
        let scored = try required(pointer, "prompt_scored").pointee
        let count = try count(scored.count, "count", in: 0...PromptScores.maxCount)
        var tokens: [TokenLogprobs] = []
        for entry in try LogprobFrame.entries(frame, count: count, message: message) {
            tokens.append(try required(entry, "logprobs"))
        }
        return .promptScored(
            try attempt(scored.attempt),
            PromptScores(first: try self.count(scored.first, "first"), tokens: tokens))
    }

    fileprivate func row(
        _ pointer: UnsafeMutablePointer<Baton__Row>?, _ make: (AttemptID, Int) -> WorkerMessage
    ) throws(WireError) -> WorkerMessage {
        let row = try required(pointer, "row").pointee
        return make(try attempt(row.attempt), try count(row.row, "row"))
    }

    fileprivate func failure(
        _ pointer: UnsafeMutablePointer<Baton__WorkFailure>?, _ make: (AttemptID, WorkFailure) -> WorkerMessage
    ) throws(WireError) -> WorkerMessage {
        let failure = try required(pointer, "failure").pointee
        let attempt = try attempt(failure.attempt)
        switch failure.kind {
        case 1: return make(attempt, .transferLost)
        case 2: return make(attempt, .evicted)
        case 3: return make(attempt, .refused(try text(failure.text, "text")))
        case 4: return make(attempt, .computation(try text(failure.text, "text")))
        default: throw .value(message: message, field: "kind", value: "\(failure.kind)")
        }
    }
}

/// Tokens of one iteration, 20 bytes each: request (8), attempt's ordinal (4), index (4), token (4), little-endian.
private enum TokenRecords {
    static let byteCount = 20

    /// The records, and the log-probabilities of their tokens.
    static func frames(_ events: [TokenEvent]) -> [Frame] {
        [frame(events), LogprobFrame.frame(events.map(\.logprobs))]
    }

    private static func frame(_ events: [TokenEvent]) -> Frame {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(events.count * byteCount)
        for event in events {
            withUnsafeBytes(of: event.attempt.request.rawValue.littleEndian) { bytes += $0 }
            withUnsafeBytes(of: event.attempt.ordinal.littleEndian) { bytes += $0 }
            withUnsafeBytes(of: event.index.littleEndian) { bytes += $0 }
            withUnsafeBytes(of: event.token.littleEndian) { bytes += $0 }
        }
        return Frame(bytes)
    }

    static func events(_ frames: [Frame], count: UInt32) throws(WireError) -> [TokenEvent] {
        var events = try events(frames[0], count: count)
        let logprobs = try LogprobFrame.entries(frames[1], count: events.count, message: "tokens")
        for index in events.indices { events[index].logprobs = logprobs[index] }
        return events
    }

    private static func events(_ frame: Frame, count: UInt32) throws(WireError) -> [TokenEvent] {
        guard frame.count == Int(count) * byteCount else {
            throw .payloadLength(message: "tokens", expected: Int(count) * byteCount, actual: frame.count)
        }
        let events = frame.withUnsafeBytes { bytes in
            stride(from: 0, to: bytes.count, by: byteCount).map { start in
                TokenEvent(
                    attempt: AttemptID(
                        request: RequestID(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: UInt64.self))),
                        ordinal: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: start + 8, as: UInt32.self))),
                    index: Int32(littleEndian: bytes.loadUnaligned(fromByteOffset: start + 12, as: Int32.self)),
                    token: TokenID(littleEndian: bytes.loadUnaligned(fromByteOffset: start + 16, as: TokenID.self)))
            }
        }
        if let bad = events.first(where: { $0.index < 0 || $0.token < 0 }) {
            throw .value(message: "tokens", field: "record", value: "index \(bad.index), token \(bad.token)")
        }
        return events
    }
}
