import CProtobufC
import CWire
import ClusterCore
import Generation

private typealias KVHeader = Baton__KVHeader

extension KVSending: FramedMessage {
    public func frames() throws(WireError) -> [Frame] {
        let arena = Arena()
        var payload: [Frame] = []
        let header: UnsafeMutablePointer<KVHeader> = arena.make(baton__kvheader__init) { header in
            header.version = Header.version
            switch self {
            case .hello(let hello):
                header.cluster_epoch = hello.epoch.rawValue
                header.body_case = BATON__KVHEADER__BODY_HELLO
                header.hello = arena.make(baton__kvhello__init) {
                    $0.worker = arena.text(hello.worker.name)
                    $0.model_hash = arena.text(hello.modelHash)
                }
            case .message(let message): header.set(message, checksum: 0, byteCount: 0, arena)
            case .blocks(let blocks, let bytes):
                header.set(.blocks(blocks), checksum: bytes.checksum, byteCount: bytes.blockByteCount, arena)
                payload = bytes.frames
            }
        }
        return [try Header.pack(header, message: "KV")] + payload
    }

    public init(frames: [Frame]) throws(WireError) {
        guard let first = frames.first else { throw .frameCount(message: "KV", expected: 1, actual: 0) }
        self = try Header.unpack(first, message: "KV", with: baton__kvheader__unpack) {
            (header: UnsafeMutablePointer<KVHeader>) throws(WireError) -> KVSending in
            try KVSending(header.pointee, payload: Array(frames.dropFirst()))
        }
    }

    private init(_ header: KVHeader, payload: [Frame]) throws(WireError) {
        let reader = FieldReader("KV message")
        try reader.version(header.version)
        let epoch = ClusterEpoch(header.cluster_epoch)
        switch header.body_case {
        case BATON__KVHEADER__BODY_BLOCKS:
            self = try reader.blocks(header, epoch, payload)
            return
        case BATON__KVHEADER__BODY_HELLO:
            let hello = try reader.required(header.hello, "hello").pointee
            self = .hello(
                KVHello(
                    worker: try reader.worker(hello.worker), epoch: epoch,
                    modelHash: try reader.text(hello.model_hash, "model_hash", maxBytes: 128)))
        case BATON__KVHEADER__BODY_OPEN: self = .message(.open(try reader.open(header, epoch)))
        case BATON__KVHEADER__BODY_COMMIT: self = .message(.commit(try reader.commit(header, epoch)))
        case BATON__KVHEADER__BODY_ABORT: self = .message(.abort(epoch, try reader.attempt(header.attempt)))
        default: throw .missing(message: "KV message", field: "body")
        }
        try reader.frameCount(payload, 0)
    }
}

extension Baton__KVHeader {
    fileprivate mutating func set(_ message: KVMessage, checksum: UInt32, byteCount: Int, _ arena: Arena) {
        switch message {
        case .open(let open):
            address(open.epoch, open.attempt, arena)
            body_case = BATON__KVHEADER__BODY_OPEN
            self.open = arena.make(baton__kvopen__init) {
                $0.model_hash = arena.text(open.modelHash)
                $0.geometry = arena.geometry(open.geometry)
                $0.token_count = UInt32(clamping: open.tokenCount)
                $0.sent = UInt32(clamping: open.sent)
            }
        case .blocks(let blocks):
            address(blocks.epoch, blocks.attempt, arena)
            body_case = BATON__KVHEADER__BODY_BLOCKS
            self.blocks = arena.make(baton__kvblocks__init) {
                $0.token_count = UInt32(clamping: blocks.tokenCount)
                $0.range = arena.range(blocks.range)
                $0.byte_count = UInt32(clamping: byteCount)
                $0.checksum = checksum
            }
        case .commit(let commit):
            address(commit.epoch, commit.attempt, arena)
            body_case = BATON__KVHEADER__BODY_COMMIT
            self.commit = arena.make(baton__kvcommit__init) {
                $0.token_count = UInt32(clamping: commit.tokenCount)
                $0.next_index = UInt32(clamping: commit.index)
                $0.n_next_requests = commit.next.count
                $0.next_requests = arena.array(commit.next.map(\.request.rawValue))
                $0.n_next_tokens = commit.next.count
                $0.next_tokens = arena.array(commit.next.map { UInt32(clamping: $0.token) })
            }
        case .abort(let epoch, let attempt):
            address(epoch, attempt, arena)
            body_case = BATON__KVHEADER__BODY_ABORT
            abort = arena.make(baton__kvabort__init)
        }
    }

    fileprivate mutating func address(_ epoch: ClusterEpoch, _ attempt: AttemptID, _ arena: Arena) {
        cluster_epoch = epoch.rawValue
        self.attempt = arena.attempt(attempt)
    }
}

extension Arena {
    fileprivate func range(_ range: LayerBlockRange) -> UnsafeMutablePointer<Baton__KVRange> {
        make(baton__kvrange__init) {
            $0.layer = UInt32(clamping: range.layer)
            $0.first = UInt32(clamping: range.first)
            $0.count = UInt32(clamping: range.count)
        }
    }
}

extension FieldReader {
    fileprivate func blocks(
        _ header: Baton__KVHeader, _ epoch: ClusterEpoch, _ payload: [Frame]
    ) throws(WireError) -> KVSending {
        let blocks = try required(header.blocks, "blocks").pointee
        let range = try self.range(blocks.range)
        let byteCount = try count(blocks.byte_count, "byte_count", in: 1...1 << 28)
        // Whole blocks in each frame, and in all of them as many as the range names.
        var blockCount = 0
        for frame in payload {
            guard frame.count > 0, frame.count.isMultiple(of: byteCount) else {
                throw .payloadLength(message: message, expected: byteCount, actual: frame.count)
            }
            blockCount += frame.count / byteCount
        }
        guard blockCount == range.count else { throw .frameCount(message: message, expected: range.count, actual: blockCount) }
        let message = KVBlocks(
            epoch: epoch, attempt: try attempt(header.attempt), tokenCount: try count(blocks.token_count, "token_count"),
            range: range)
        return .blocks(message, KVPayload(frames: payload, blockByteCount: byteCount, checksum: blocks.checksum))
    }

    fileprivate func open(_ header: Baton__KVHeader, _ epoch: ClusterEpoch) throws(WireError) -> KVOpen {
        let open = try required(header.open, "open").pointee
        return KVOpen(
            epoch: epoch, attempt: try attempt(header.attempt),
            modelHash: try text(open.model_hash, "model_hash", maxBytes: 128), geometry: try geometry(open.geometry),
            tokenCount: try count(open.token_count, "token_count"), sent: try count(open.sent, "sent"))
    }

    fileprivate func commit(_ header: Baton__KVHeader, _ epoch: ClusterEpoch) throws(WireError) -> KVCommit {
        let commit = try required(header.commit, "commit").pointee
        guard commit.n_next_tokens == commit.n_next_requests, commit.n_next_tokens <= Int(Submission.maxChoices) else {
            throw .value(
                message: message, field: "next_tokens", value: "\(commit.n_next_tokens) for \(commit.n_next_requests) requests")
        }
        var next: [NextToken] = []
        for position in 0..<commit.n_next_tokens {
            next.append(
                NextToken(
                    request: RequestID(commit.next_requests[position]),
                    token: try index(commit.next_tokens[position], "next_tokens")))
        }
        return KVCommit(
            epoch: epoch, attempt: try attempt(header.attempt), tokenCount: try count(commit.token_count, "token_count"),
            index: try index(commit.next_index, "next_index"), next: next)
    }

    fileprivate func range(_ pointer: UnsafeMutablePointer<Baton__KVRange>?) throws(WireError) -> LayerBlockRange {
        let range = try required(pointer, "range").pointee
        return LayerBlockRange(
            layer: try count(range.layer, "layer"), first: try count(range.first, "first"),
            count: try count(range.count, "count", in: 1...Int(Int32.max)))
    }
}

extension KVReceiving: FramedMessage {
    public func frames() throws(WireError) -> [Frame] {
        let arena = Arena()
        let header: UnsafeMutablePointer<KVHeader> = arena.make(baton__kvheader__init) { header in
            header.version = Header.version
            switch self {
            case .welcome(let welcome):
                header.cluster_epoch = welcome.epoch.rawValue
                header.body_case = BATON__KVHEADER__BODY_WELCOME
                header.welcome = arena.make(baton__kvwelcome__init) {
                    $0.worker = arena.text(welcome.worker.name)
                    $0.model_hash = arena.text(welcome.modelHash)
                    $0.registered = welcome.isRegistered ? 1 : 0
                }
            case .reply(let reply): header.set(reply, arena)
            }
        }
        return [try Header.pack(header, message: "KV reply")]
    }

    public init(frames: [Frame]) throws(WireError) {
        let reader = FieldReader("KV reply")
        try reader.frameCount(frames, 1)
        self = try Header.unpack(frames[0], message: "KV reply", with: baton__kvheader__unpack) {
            (header: UnsafeMutablePointer<KVHeader>) throws(WireError) -> KVReceiving in
            try KVReceiving(header.pointee, reader)
        }
    }

    private init(_ header: KVHeader, _ reader: FieldReader) throws(WireError) {
        try reader.version(header.version)
        let epoch = ClusterEpoch(header.cluster_epoch)
        switch header.body_case {
        case BATON__KVHEADER__BODY_WELCOME:
            let welcome = try reader.required(header.welcome, "welcome").pointee
            self = .welcome(
                KVWelcome(
                    worker: try reader.worker(welcome.worker), epoch: epoch,
                    modelHash: try reader.text(welcome.model_hash, "model_hash", maxBytes: 128),
                    isRegistered: welcome.registered != 0))
        case BATON__KVHEADER__BODY_CREDIT:
            let credit = try reader.required(header.credit, "credit").pointee
            self = .reply(
                .credit(
                    epoch, try reader.attempt(header.attempt), limit: try reader.count(credit.limit, "limit"),
                    held: try reader.count(credit.held, "held")))
        case BATON__KVHEADER__BODY_MISSING:
            let missing = try reader.required(header.missing, "missing").pointee
            var ranges: [LayerBlockRange] = []
            for index in 0..<missing.n_ranges { ranges.append(try reader.range(missing.ranges[index])) }
            self = .reply(.missing(epoch, try reader.attempt(header.attempt), ranges))
        case BATON__KVHEADER__BODY_COMPLETE: self = .reply(.complete(epoch, try reader.attempt(header.attempt)))
        case BATON__KVHEADER__BODY_REFUSED:
            let refused = try reader.required(header.refused, "refused").pointee
            self = .reply(
                .refused(epoch, try reader.attempt(header.attempt), try reader.text(refused.reason, "reason")))
        default: throw .missing(message: "KV reply", field: "body")
        }
    }
}

extension Baton__KVHeader {
    fileprivate mutating func set(_ reply: KVReply, _ arena: Arena) {
        switch reply {
        case .credit(let epoch, let attempt, let limit, let held):
            address(epoch, attempt, arena)
            body_case = BATON__KVHEADER__BODY_CREDIT
            credit = arena.make(baton__kvcredit__init) {
                $0.limit = UInt32(clamping: limit)
                $0.held = UInt32(clamping: held)
            }
        case .missing(let epoch, let attempt, let ranges):
            address(epoch, attempt, arena)
            body_case = BATON__KVHEADER__BODY_MISSING
            missing = arena.make(baton__kvmissing__init) {
                $0.n_ranges = ranges.count
                $0.ranges = arena.array(ranges.map { Optional(arena.range($0)) })
            }
        case .complete(let epoch, let attempt):
            address(epoch, attempt, arena)
            body_case = BATON__KVHEADER__BODY_COMPLETE
            complete = arena.make(baton__kvcomplete__init)
        case .refused(let epoch, let attempt, let reason):
            address(epoch, attempt, arena)
            body_case = BATON__KVHEADER__BODY_REFUSED
            refused = arena.make(baton__kvrefused__init) { $0.reason = arena.text(reason, atMost: 800) }
        }
    }
}
