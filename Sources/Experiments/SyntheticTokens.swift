import Grammar

/// A byte-level vocabulary of any size that is made like real ones: bytes, words with and without a space before, capitals, numbers,
/// punctuation as programs and JSON have it, white space, and words of two, three and four bytes a character.
public enum SyntheticTokens {
    /// - Parameter size: tokens, at least 1,024; the last is special, for the end of an answer.
    public static func vocabulary(size: Int, seed: UInt64) -> TokenVocabulary {
        precondition(size >= 1024, "\(size) tokens")
        var words: [[UInt8]] = (0...255).map { [UInt8($0)] }
        var seen = Set(words), maker = WordMaker(draws: SeededDraws(state: seed))
        for text in punctuation where seen.insert(Array(text.utf8)).inserted { words.append(Array(text.utf8)) }
        while words.count < size - 1 {
            let word = Array(maker.word().utf8)
            if seen.insert(word).inserted { words.append(word) }
        }
        return TokenVocabulary(inner: words + [nil])
    }

    private static let punctuation: [String] = {
        let signs = "\"'`{}[]()<>,:;.=+-*/\\|&!?#$%^~_@".map(String.init)
        let pairs = signs.flatMap { first in signs.map { first + $0 } }
        let json = ["\":", "\",", "\"}", "\"]", "{\"", "[\"", "\": \"", "\", \"", "\"},", "\"],", "}}", "}]", "},{", "},\n", "\":{\"", "\":[", ":\"\",\""]
        let spaces = (1...64).flatMap { [String(repeating: " ", count: $0), "\n" + String(repeating: " ", count: $0)] }
        let lines = (1...16).flatMap { [String(repeating: "\n", count: $0), String(repeating: "\t", count: $0)] }
        let numbers = (0..<1000).map(String.init)
        return signs + pairs + pairs.map { " " + $0 } + json + spaces + lines + numbers + ["true", "false", "null", " true", " false", " null"]
    }()
}

private struct WordMaker {
    var draws: SeededDraws

    private static let onsets = ["", "b", "c", "d", "f", "g", "h", "l", "m", "n", "p", "r", "s", "t", "v", "w", "st", "tr", "ch", "pl", "th"]
    private static let vowels = ["a", "e", "i", "o", "u", "ea", "io", "y"]
    private static let codas = ["", "", "n", "r", "s", "t", "l", "ng", "ck", "ment", "er"]

    mutating func word() -> String {
        let kind = draws.below(100)
        // Cyrillic, Chinese, Korean, emoji.
        if kind < 10 { return scalars(from: 0x430, count: 32, length: 1 + draws.below(6)) }
        if kind < 25 { return scalars(from: 0x4E00, count: 20_000, length: 1 + draws.below(4)) }
        if kind < 30 { return scalars(from: 0xAC00, count: 11_000, length: 1 + draws.below(3)) }
        if kind < 31 { return scalars(from: 0x1F300, count: 700, length: 1) }
        var word = ""
        for _ in 0...draws.below(4) {
            word += Self.onsets[draws.below(Self.onsets.count)] + Self.vowels[draws.below(Self.vowels.count)] + Self.codas[draws.below(Self.codas.count)]
        }
        if kind < 45 { word = word.prefix(1).uppercased() + word.dropFirst() }
        if kind < 50 { word = "_" + word }
        if kind >= 98 { word += ["\"", "\":", "(", ".", ",", "'"][draws.below(6)] }
        return kind % 2 == 0 ? " " + word : word
    }

    private mutating func scalars(from first: UInt32, count: Int, length: Int) -> String {
        var text = String.UnicodeScalarView()
        for _ in 0..<length { if let scalar = Unicode.Scalar(first + UInt32(draws.below(count))) { text.append(scalar) } }
        return (draws.below(4) == 0 ? " " : "") + String(text)
    }
}
