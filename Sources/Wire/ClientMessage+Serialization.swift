import CProtobufC
import CWire
import ClusterCore
import Generation

extension ClientMessage: FramedMessage {
    /// Strings that may end an answer early, and the length of each.
    static let maxStopStrings = 16
    static let maxStopStringBytes = 128
    /// 35 years.
    static let maxTimeoutMilliseconds: UInt64 = 1 << 40

    public func frames() throws(WireError) -> [Frame] {
        if case .submit(_, let submission) = self, let maxTokens = submission.maxTokens, maxTokens < 1 {
            // 0 would be read as "as many as possible".
            throw .value(message: "client message", field: "max_tokens", value: "\(maxTokens)")
        }
        if case .submit(_, let submission) = self { try Self.checkStops(submission.stopStrings) }
        let arena = Arena()
        var payload: [Frame] = []
        let header: UnsafeMutablePointer<Baton__ClientHeader> = arena.make(baton__client_header__init) { header in
            header.version = Header.version
            switch self {
            case .hello(let name):
                header.body_case = BATON__CLIENT_HEADER__BODY_HELLO
                header.hello = arena.make(baton__client_hello__init) { $0.client_name = arena.text(name, atMost: 800) }
            case .submit(let key, let submission):
                header.body_case = BATON__CLIENT_HEADER__BODY_SUBMIT
                header.submit = arena.submit(key, submission)
                payload = [submission.prompt.frame]
            case .cancel(let key):
                header.body_case = BATON__CLIENT_HEADER__BODY_CANCEL
                header.cancel = arena.make(baton__client_cancel__init) { $0.key = key }
            case .ping:
                header.body_case = BATON__CLIENT_HEADER__BODY_PING
                header.ping = arena.make(baton__client_ping__init)
            case .status:
                header.body_case = BATON__CLIENT_HEADER__BODY_STATUS
                header.status = arena.make(baton__status_query__init)
            case .watch:
                header.body_case = BATON__CLIENT_HEADER__BODY_WATCH
                header.watch = arena.make(baton__watch__init)
            }
        }
        return [try Header.pack(header, message: "client message")] + payload
    }

    /// Said to the caller: the other side could only drop such a message.
    private static func checkStops(_ stops: [String]) throws(WireError) {
        guard stops.count <= maxStopStrings else {
            throw .value(message: "client message", field: "stop_strings", value: "\(stops.count) strings")
        }
        if let long = stops.first(where: { $0.utf8.count > maxStopStringBytes }) {
            throw .value(message: "client message", field: "stop_strings", value: "text of \(long.utf8.count) bytes")
        }
    }

    public init(frames: [Frame]) throws(WireError) {
        guard let first = frames.first else { throw .frameCount(message: "client message", expected: 1, actual: 0) }
        self = try Header.unpack(first, message: "client message", with: baton__client_header__unpack) {
            (header: UnsafeMutablePointer<Baton__ClientHeader>) throws(WireError) -> ClientMessage in
            try ClientMessage(header.pointee, payload: Array(frames.dropFirst()))
        }
    }

    private init(_ header: Baton__ClientHeader, payload: [Frame]) throws(WireError) {
        let reader = FieldReader("client message")
        try reader.version(header.version)
        if header.body_case == BATON__CLIENT_HEADER__BODY_SUBMIT {
            let submit = try reader.required(header.submit, "submit").pointee
            try reader.frameCount(payload, 1)
            self = .submit(key: submit.key, try reader.submission(submit, prompt: payload[0]))
            return
        }
        try reader.frameCount(payload, 0)
        switch header.body_case {
        case BATON__CLIENT_HEADER__BODY_HELLO:
            let hello = try reader.required(header.hello, "hello").pointee
            self = .hello(clientName: try reader.text(hello.client_name, "client_name"))
        case BATON__CLIENT_HEADER__BODY_CANCEL:
            self = .cancel(key: try reader.required(header.cancel, "cancel").pointee.key)
        case BATON__CLIENT_HEADER__BODY_PING: self = .ping
        case BATON__CLIENT_HEADER__BODY_STATUS: self = .status
        case BATON__CLIENT_HEADER__BODY_WATCH: self = .watch
        default: throw .missing(message: "client message", field: "body")
        }
    }
}

extension Prompt {
    fileprivate var frame: Frame {
        switch self {
        case .text(let text): Payload.text(text)
        case .tokens(let tokens): Payload.tokens(tokens)
        }
    }
}

extension Arena {
    fileprivate func submit(_ key: UInt64, _ submission: Submission) -> UnsafeMutablePointer<Baton__Submit> {
        make(baton__submit__init) {
            $0.key = key
            if case .tokens = submission.prompt { $0.prompt_kind = 1 }
            $0.sampling = sampling(submission.sampling)
            $0.has_seed = submission.seed == nil ? 0 : 1
            if let seed = submission.seed { $0.sampling.pointee.seed = seed }
            $0.max_tokens = UInt32(clamping: submission.maxTokens ?? 0)
            $0.n_stop_strings = submission.stopStrings.count
            $0.stop_strings = array(submission.stopStrings.map { text($0) })
            $0.ignore_end_tokens = submission.ignoreEndTokens ? 1 : 0
            $0.priority = Int32(submission.priority.rawValue)
            if let timeout = submission.timeout {
                $0.has_timeout = 1
                $0.timeout_milliseconds = min(timeout.microseconds / 1000, ClientMessage.maxTimeoutMilliseconds)
            }
        }
    }
}

extension FieldReader {
    fileprivate func submission(_ submit: Baton__Submit, prompt frame: Frame) throws(WireError) -> Submission {
        let sampling = try sampling(submit.sampling)
        let prompt: Prompt
        switch submit.prompt_kind {
        case 0: prompt = .text(try Payload.text(frame, message: message, field: "prompt"))
        case 1: prompt = .tokens(try Payload.tokens(frame, message: message))
        default: throw .value(message: message, field: "prompt_kind", value: "\(submit.prompt_kind)")
        }
        guard submit.n_stop_strings <= ClientMessage.maxStopStrings else {
            throw .value(message: message, field: "stop_strings", value: "\(submit.n_stop_strings) strings")
        }
        var stops: [String] = []
        for index in 0..<submit.n_stop_strings {
            stops.append(
                try text(submit.stop_strings[index], "stop_strings", maxBytes: ClientMessage.maxStopStringBytes))
        }
        let maxTokens = submit.max_tokens == 0 ? nil : try index(submit.max_tokens, "max_tokens")
        var timeout: Duration?
        if submit.has_timeout != 0 {
            guard submit.timeout_milliseconds <= ClientMessage.maxTimeoutMilliseconds else {
                throw .value(message: message, field: "timeout", value: "\(submit.timeout_milliseconds) ms")
            }
            timeout = .milliseconds(Int64(submit.timeout_milliseconds))
        }
        return Submission(
            prompt: prompt, sampling: sampling, seed: submit.has_seed != 0 ? sampling.seed : nil, maxTokens: maxTokens,
            stopStrings: stops, ignoreEndTokens: submit.ignore_end_tokens != 0, priority: try priority(submit.priority),
            timeout: timeout)
    }
}
