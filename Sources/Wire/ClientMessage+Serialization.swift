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
        if case .submit(_, let submission) = self { try Self.check(submission) }
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
                payload = [
                    submission.prompt.frame, Payload.biases(submission.sampling.logitBias),
                    Payload.text(submission.constraint?.source ?? ""),
                ]
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

    /// What is wrong is said to the caller: the other side could only drop such a message.
    private static func check(_ submission: Submission) throws(WireError) {
        func check(_ value: Int?, _ field: String, in range: ClosedRange<Int>) throws(WireError) {
            guard let value, !range.contains(value) else { return }
            throw .value(message: "client message", field: field, value: "\(value)")
        }
        try check(submission.maxTokens.map(Int.init), "max_tokens", in: 0...Int(Int32.max))
        try check(Int(submission.minTokens), "min_tokens", in: 0...Int(Int32.max))
        try check(Int(submission.choices), "choices", in: 1...Int(Submission.maxChoices))
        try check(submission.logprobs.map(Int.init), "logprobs", in: 0...TokenLogprobs.maxTop)
        try check(submission.promptLogprobs.map(Int.init), "prompt_logprobs", in: 0...TokenLogprobs.maxTop)
        try check(submission.stopTokens.count, "stop_tokens", in: 0...Submission.maxStopTokens)
        try check(submission.stopTokens.min().map(Int.init), "stop_tokens", in: 0...Int(Int32.max))
        try check(submission.keptTokens.count, "kept_tokens", in: 0...Submission.maxKeptTokens)
        try check(submission.keptTokens.min().map(Int.init), "kept_tokens", in: 0...Int(Int32.max))
        try check(submission.sampling.logitBias.count, "logit_bias", in: 0...SamplingParameters.maxBiasedTokens)
        try check(submission.constraint?.source.utf8.count, "constraint", in: 0...Constraint.maxByteCount)
        if let bad = submission.sampling.logitBias.first(where: { $0.token < 0 || !$0.bias.isFinite }) {
            throw .value(message: "client message", field: "logit_bias", value: "\(bad.bias) for token \(bad.token)")
        }
        try check(submission.cacheSalt.utf8.count, "cache_salt", in: 0...Submission.maxCacheSaltBytes)
        try check(submission.group.map { Int($0.prefixCount) }, "group_prefix_count", in: 1...Int(Int32.max))
        try check(submission.group.map { Int($0.memberCount) }, "group_member_count", in: 1...Int(Int32.max))
        try checkStops(submission.stopStrings)
    }

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
            try reader.frameCount(payload, 3)
            self = .submit(key: submit.key, try reader.submission(submit, payload))
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
            $0.has_max_tokens = submission.maxTokens == nil ? 0 : 1
            $0.max_tokens = UInt32(clamping: submission.maxTokens ?? 0)
            $0.min_tokens = UInt32(clamping: submission.minTokens)
            $0.includes_stop_string = submission.includesStopString ? 1 : 0
            $0.n_stop_tokens = submission.stopTokens.count
            $0.stop_tokens = array(submission.stopTokens.map { UInt32(clamping: $0) })
            $0.n_kept_tokens = submission.keptTokens.count
            $0.kept_tokens = array(submission.keptTokens.map { UInt32(clamping: $0) })
            $0.choices = UInt32(clamping: submission.choices)
            $0.has_logprobs = submission.logprobs == nil ? 0 : 1
            $0.logprobs = UInt32(clamping: submission.logprobs ?? 0)
            $0.has_prompt_logprobs = submission.promptLogprobs == nil ? 0 : 1
            $0.prompt_logprobs = UInt32(clamping: submission.promptLogprobs ?? 0)
            $0.constraint_kind = submission.constraint?.kind.wireValue ?? 0
            $0.cache_salt = text(submission.cacheSalt)
            if let group = submission.group {
                $0.has_group = 1
                $0.group = group.id
                $0.group_prefix_count = UInt32(clamping: group.prefixCount)
                $0.group_member_count = UInt32(clamping: group.memberCount)
            }
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
    fileprivate func submission(_ submit: Baton__Submit, _ payload: [Frame]) throws(WireError) -> Submission {
        let (frame, sampling) = (payload[0], try sampling(submit.sampling, biases: payload[1]))
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
        let maxTokens = submit.has_max_tokens == 0 ? nil : try index(submit.max_tokens, "max_tokens")
        let stopTokens = try tokens(submit.stop_tokens, submit.n_stop_tokens, "stop_tokens", atMost: Submission.maxStopTokens)
        let keptTokens = try tokens(submit.kept_tokens, submit.n_kept_tokens, "kept_tokens", atMost: Submission.maxKeptTokens)
        var timeout: Duration?
        if submit.has_timeout != 0 {
            guard submit.timeout_milliseconds <= ClientMessage.maxTimeoutMilliseconds else {
                throw .value(message: message, field: "timeout", value: "\(submit.timeout_milliseconds) ms")
            }
            timeout = .milliseconds(Int64(submit.timeout_milliseconds))
        }
        return Submission(
            prompt: prompt, sampling: sampling, seed: submit.has_seed != 0 ? sampling.seed : nil, maxTokens: maxTokens,
            minTokens: try index(submit.min_tokens, "min_tokens"), stopStrings: stops,
            includesStopString: submit.includes_stop_string != 0, stopTokens: stopTokens,
            ignoreEndTokens: submit.ignore_end_tokens != 0, keptTokens: keptTokens,
            choices: Int32(try count(submit.choices, "choices", in: 1...Int(Submission.maxChoices))),
            logprobs: submit.has_logprobs == 0 ? nil : Int32(try topCount(submit.logprobs, "logprobs")),
            promptLogprobs: submit.has_prompt_logprobs == 0
                ? nil : Int32(try topCount(submit.prompt_logprobs, "prompt_logprobs")),
            constraint: try constraint(submit.constraint_kind, payload[2]), priority: try priority(submit.priority),
            cacheSalt: try text(submit.cache_salt, "cache_salt", maxBytes: Submission.maxCacheSaltBytes),
            group: submit.has_group == 0 ? nil : try prefixGroup(submit), timeout: timeout)
    }

    private func tokens(
        _ ids: UnsafeMutablePointer<UInt32>?, _ count: Int, _ field: String, atMost limit: Int
    ) throws(WireError) -> [TokenID] {
        guard count <= limit else { throw .value(message: message, field: field, value: "\(count) tokens") }
        var tokens: [TokenID] = []
        if let ids { for position in 0..<count { tokens.append(try index(ids[position], field)) } }
        return tokens
    }
}
