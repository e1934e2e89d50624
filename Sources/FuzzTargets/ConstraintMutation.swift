/// Changes regular expressions and grammars by pieces that mean something in them.
enum ConstraintMutation {
    private static let pieces = [
        "(", ")", "(?:", "(?<n>", "[", "]", "[^", "{2}", "{0,3}", "{1,}", "{,2}", "*", "+", "?", "|", ".", "^", "$", "\\", "\\d", "\\S", "\\u00e9", "\\x41",
        "\\u{1F600}", "\\U0001F600", "a-z", "-", "\"", "\"ab\"", "root", " ::= ", "\n", "\nb ::= ", " # c\n", "é", "日", "\0", "9999", "(a|b)*", "[^\\s\\S]",
    ]

    static func mutate(_ text: [UInt8], _ random: inout FuzzRandom, byBytes: ([UInt8]) -> [UInt8]) -> [UInt8] {
        guard !random.chance(of: 3) else { return byBytes(text) }
        var text = text
        for _ in 0...random.below(3) {
            let start = random.below(text.count + 1), count = random.below(min(8, text.count - start) + 1)
            switch random.below(4) {
            case 0: text.removeSubrange(start..<start + count)
            case 1: text.insert(contentsOf: Array(text[start..<start + count]), at: random.below(text.count + 1))
            case 2: text.replaceSubrange(start..<start + count, with: Array(pieces[random.below(pieces.count)].utf8))
            default: text.insert(contentsOf: Array(pieces[random.below(pieces.count)].utf8), at: start)
            }
        }
        return text
    }
}
