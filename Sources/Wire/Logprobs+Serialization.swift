import Generation

/// Log-probabilities of some tokens in a frame of their own, little-endian. For each token: how many numbers follow (0: it
/// has none), its own logarithm (float32), then token (32 bits) and logarithm of each of the most probable ones. A frame
/// without a byte says that no token has any.
enum LogprobFrame {
    static func frame(_ entries: [TokenLogprobs?]) -> Frame {
        guard entries.contains(where: { $0 != nil }) else { return Frame([]) }
        var bytes: [UInt8] = []
        func append(_ word: UInt32) { withUnsafeBytes(of: word.littleEndian) { bytes += $0 } }
        for entry in entries {
            guard let entry else {
                append(0)
                continue
            }
            append(UInt32(clamping: entry.top.count + 1))
            append(entry.logprob.bitPattern)
            for other in entry.top {
                append(UInt32(bitPattern: other.token))
                append(other.logprob.bitPattern)
            }
        }
        return Frame(bytes)
    }

    /// - Parameter count: tokens that the frame is about.
    static func entries(_ frame: Frame, count: Int, message: String) throws(WireError) -> [TokenLogprobs?] {
        if frame.count == 0 { return Array(repeating: nil, count: count) }
        // Every token takes a word at least, so a count that the frame cannot hold takes no memory.
        guard frame.count % 4 == 0, count <= frame.count / 4 else {
            throw .payloadLength(message: message, expected: 4 * count, actual: frame.count)
        }
        var reader = WordReader(words: frame.count / 4, frame: frame, message: message)
        var entries: [TokenLogprobs?] = []
        entries.reserveCapacity(count)
        for _ in 0..<count { entries.append(try reader.entry()) }
        guard reader.isAtEnd else {
            throw .payloadLength(message: message, expected: 4 * reader.position, actual: frame.count)
        }
        return entries
    }
}

private struct WordReader {
    let words: Int
    let frame: Frame
    let message: String
    private(set) var position = 0

    init(words: Int, frame: Frame, message: String) {
        self.words = words
        self.frame = frame
        self.message = message
    }

    var isAtEnd: Bool { position == words }

    mutating func entry() throws(WireError) -> TokenLogprobs? {
        let size = try word()
        guard size > 0 else { return nil }
        guard size <= 1 + TokenLogprobs.maxTop else {
            throw .value(message: message, field: "logprobs", value: "\(size) entries")
        }
        let own = try logprob()
        var top: [TokenLogprob] = []
        for _ in 1..<size {
            let token = try word()
            guard let id = TokenID(exactly: token) else { throw .value(message: message, field: "logprobs", value: "token \(token)") }
            top.append(TokenLogprob(token: id, logprob: try logprob()))
        }
        return TokenLogprobs(logprob: own, top: top)
    }

    private mutating func logprob() throws(WireError) -> Float {
        let value = Float(bitPattern: try word())
        guard value <= 0 else { throw .value(message: message, field: "logprobs", value: "\(value)") }
        return value
    }

    private mutating func word() throws(WireError) -> UInt32 {
        guard position < words else {
            throw .payloadLength(message: message, expected: 4 * (position + 1), actual: frame.count)
        }
        defer { position += 1 }
        return frame.withUnsafeBytes {
            UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: 4 * position, as: UInt32.self))
        }
    }
}

extension Payload {
    /// Tokens, and their log-probabilities in the next frame.
    static func scored(_ tokens: [ScoredToken]) -> [Frame] {
        [self.tokens(tokens.map(\.token)), LogprobFrame.frame(tokens.map(\.logprobs))]
    }

    static func scored(_ frames: ArraySlice<Frame>, message: String) throws(WireError) -> [ScoredToken] {
        guard let first = frames.first, let last = frames.last, frames.count == 2 else {
            throw .frameCount(message: message, expected: 2, actual: frames.count)
        }
        let tokens = try self.tokens(first, message: message)
        let logprobs = try LogprobFrame.entries(last, count: tokens.count, message: message)
        return zip(tokens, logprobs).map { ScoredToken($0, $1) }
    }

    /// 8 bytes each: token, bias.
    static func biases(_ biases: [TokenBias]) -> Frame {
        var bytes: [UInt8] = []
        for entry in biases {
            withUnsafeBytes(of: entry.token.littleEndian) { bytes += $0 }
            withUnsafeBytes(of: entry.bias.bitPattern.littleEndian) { bytes += $0 }
        }
        return Frame(bytes)
    }

    static func biases(_ frame: Frame, message: String) throws(WireError) -> [TokenBias] {
        guard frame.count % 8 == 0, frame.count / 8 <= SamplingParameters.maxBiasedTokens else {
            throw .payloadLength(message: message, expected: min(frame.count / 8, SamplingParameters.maxBiasedTokens) * 8, actual: frame.count)
        }
        let biases = frame.withUnsafeBytes { bytes in
            stride(from: 0, to: bytes.count, by: 8).map { start in
                TokenBias(
                    token: TokenID(littleEndian: bytes.loadUnaligned(fromByteOffset: start, as: TokenID.self)),
                    bias: Float(
                        bitPattern: UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: start + 4, as: UInt32.self))))
            }
        }
        if let bad = biases.first(where: { $0.token < 0 || !$0.bias.isFinite }) {
            throw .value(message: message, field: "logit_bias", value: "\(bad.bias) for token \(bad.token)")
        }
        return biases
    }
}

extension FieldReader {
    func constraint(_ kind: UInt32, _ source: Frame) throws(WireError) -> Constraint? {
        guard source.count <= Constraint.maxByteCount else {
            throw .value(message: message, field: "constraint", value: "text of \(source.count) bytes")
        }
        let text = try Payload.text(source, message: message, field: "constraint")
        if kind == 0 { return nil }
        guard let kind = Constraint.Kind.allCases.first(where: { $0.wireValue == kind }) else {
            throw .value(message: message, field: "constraint_kind", value: "\(kind)")
        }
        return Constraint(kind: kind, source: text)
    }

    /// So many of the most probable tokens.
    func topCount(_ value: UInt32, _ field: String) throws(WireError) -> Int {
        try count(value, field, in: 0...TokenLogprobs.maxTop)
    }
}

extension Constraint.Kind {
    var wireValue: UInt32 {
        switch self {
        case .jsonObject: 1
        case .jsonSchema: 2
        case .regex: 3
        case .grammar: 4
        }
    }
}
