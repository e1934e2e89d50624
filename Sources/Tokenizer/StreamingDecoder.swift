import Generation

/// Turns tokens into text as they come.
///
/// The parts put together equal ``Tokenizer/decode(_:skipSpecialTokens:)`` of all the tokens, and each part is valid
/// text: bytes of a character wait until it is whole. A token costs time in proportion to its own length, whatever
/// came before. Invalid bytes become U+FFFD, as soon as it is certain that they are invalid; with byte-fallback
/// vocabularies a run of byte tokens is judged as a whole, so its text comes when the run ends.
public struct StreamingDecoder: Sendable {
    private let tokenizer: Tokenizer
    private let skipsSpecialTokens: Bool
    private let keptTokens: [TokenID]
    private var tokenStages: [TokenStage]
    private var joiner: Joiner
    private var textStages: [TextStage]

    /// - Parameter keptTokens: special tokens that are not skipped.
    public init(tokenizer: Tokenizer, skipSpecialTokens: Bool = true, keptTokens: [TokenID] = []) {
        self.tokenizer = tokenizer
        skipsSpecialTokens = skipSpecialTokens
        self.keptTokens = keptTokens
        tokenStages = tokenizer.decoder.tokenSteps.map(TokenStage.init)
        joiner = Joiner(join: tokenizer.decoder.join)
        textStages = tokenizer.decoder.textSteps.map(TextStage.init)
    }

    /// The text that is certain once `token` is known; often empty. Ids that no token has are passed over.
    public mutating func append(_ token: TokenID) -> String {
        let skips = skipsSpecialTokens && !keptTokens.contains(token)
        guard let written = tokenizer.writtenForm(of: token, skippingSpecial: skips) else { return "" }
        var tokens = [written]
        for index in tokenStages.indices { tokens = tokenStages[index].append(tokens) }
        var text = joiner.append(tokens)
        for index in textStages.indices { text = textStages[index].append(text) }
        return String(decoding: text, as: UTF8.self)
    }

    /// The text that was held back. The decoder is at its beginning again afterwards.
    public mutating func finish() -> String {
        var tokens: [[UInt8]] = []
        for index in tokenStages.indices {
            tokens = tokenStages[index].append(tokens) + tokenStages[index].finish()
        }
        var text = joiner.append(tokens) + joiner.finish()
        for index in textStages.indices { text = textStages[index].append(text) + textStages[index].finish() }
        self = StreamingDecoder(tokenizer: tokenizer, skipSpecialTokens: skipsSpecialTokens, keptTokens: keptTokens)
        return String(decoding: text, as: UTF8.self)
    }
}

/// A ``Decoder/TokenStep`` under way.
private struct TokenStage: Sendable {
    let step: Decoder.TokenStep
    private var isFirst = true
    /// The run of byte tokens that has not ended yet.
    private var run: [UInt8] = []

    init(step: Decoder.TokenStep) {
        self.step = step
    }

    mutating func append(_ tokens: [[UInt8]]) -> [[UInt8]] {
        switch step {
        case .replace(let pattern, let content):
            return tokens.map { $0.replacing(pattern, with: content) }
        case .strip(let strip):
            return tokens.map { token in
                var stage = TextStage(step: .strip(strip))
                return stage.append(token) + stage.finish()
            }
        case .metaspace(let replacement, let dropsFirst):
            return tokens.map { token in
                defer { isFirst = false }
                return token.replacing(replacement, with: isFirst && dropsFirst ? [] : [0x20])
            }
        case .byteFallback:
            return tokens.flatMap { token in
                if let byte = Decoder.byte(named: token) {
                    run.append(byte)
                    return [[UInt8]]()
                }
                return finish() + [token]
            }
        }
    }

    mutating func finish() -> [[UInt8]] {
        guard !run.isEmpty else { return [] }
        defer { run = [] }
        return (try? UTF8Span(validating: run.span)) != nil ? [run]
            : Array(repeating: Array("\u{FFFD}".utf8), count: run.count)
    }

}

extension [UInt8] {
    func replacing(_ pattern: [UInt8], with content: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var end = 0
        for match in Matcher.occurrences(of: pattern, in: self[...]) {
            result += self[end..<match.lowerBound] + content
            end = match.upperBound
        }
        return end == 0 ? self : result + self[end...]
    }
}

/// A ``Decoder/Join`` under way.
private struct Joiner: Sendable {
    let join: Decoder.Join
    private var isFirst = true
    private var repair = UTF8Repair()

    init(join: Decoder.Join) {
        self.join = join
    }

    mutating func append(_ tokens: [[UInt8]]) -> [UInt8] {
        switch join {
        case .concatenation: return Array(tokens.joined())
        case .spaces:
            var text: [UInt8] = []
            for token in tokens {
                if !isFirst { text.append(0x20) }
                isFirst = false
                text += token
            }
            return text
        case .byteLevel:
            // A token with a character outside the alphabet (an added token, say) stands for itself.
            return repair.append(tokens.flatMap { ByteAlphabet.decode($0[...]) ?? $0 })
        }
    }

    mutating func finish() -> [UInt8] { repair.finish() }
}

/// A ``Decoder/TextStep`` under way.
private struct TextStage: Sendable {
    let step: Decoder.TextStep
    /// Characters taken from the front so far; `nil` once something else was there.
    private var strippedCount: Int? = 0
    /// The end of the text so far, whose fate depends on what follows.
    private var held: [UInt8] = []

    init(step: Decoder.TextStep) {
        self.step = step
    }

    mutating func append(_ text: [UInt8]) -> [UInt8] {
        switch step {
        case .strip(let strip): stripped(text, by: strip)
        case .replace(let pattern, let content): replaced(text, pattern, with: content)
        }
    }

    mutating func finish() -> [UInt8] {
        defer { held = [] }
        // What a strip holds is what it takes away.
        if case .strip = step { return [] }
        return held
    }

    private mutating func stripped(_ text: [UInt8], by strip: Decoder.Strip) -> [UInt8] {
        var rest = text[...]
        while let count = strippedCount, !rest.isEmpty {
            if count < strip.start, rest.starts(with: strip.content) {
                rest = rest.dropFirst(strip.content.count)
                strippedCount = count + 1
            } else {
                strippedCount = nil
            }
        }
        guard strip.stop > 0 else { return Array(rest) }
        held += rest
        var end = held.endIndex
        var count = 0
        while count < strip.stop, held[..<end].suffix(strip.content.count).elementsEqual(strip.content) {
            end -= strip.content.count
            count += 1
        }
        defer { held.removeFirst(end) }
        return Array(held[..<end])
    }

    private mutating func replaced(_ text: [UInt8], _ pattern: [UInt8], with content: [UInt8]) -> [UInt8] {
        held += text
        var result: [UInt8] = []
        var end = 0
        for match in Matcher.occurrences(of: pattern, in: held[...]) {
            result += held[end..<match.lowerBound] + content
            end = match.upperBound
        }
        // A beginning of the pattern may become a match with the next part.
        var keep = min(pattern.count - 1, held.count - end)
        while !held.suffix(keep).elementsEqual(pattern.prefix(keep)) { keep -= 1 }
        result += held[end..<held.count - keep]
        held.removeFirst(held.count - keep)
        return result
    }
}
