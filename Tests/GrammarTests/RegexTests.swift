import Grammar
import Testing

@Suite struct RegexTests {
    private static let cases: [(pattern: String, accepted: [String], refused: [String])] = [
        ("abc", ["abc"], ["", "ab", "abcd"]),
        ("a|bc|", ["a", "bc", ""], ["b", "abc"]),
        ("(?:ab)*c+d?", ["c", "abcd", "ababcc"], ["ab", "abab", "cdd"]),
        ("a{2}b{1,}c{0,2}", ["aab", "aabbbcc"], ["ab", "aaac", "aabccc"]),
        ("x*?y+?", ["y", "xxyy"], ["x"]),
        ("[a-c]x[^a-c]", ["axd", "bx日"], ["dxd", "axa"]),
        ("[]a]", [], ["a]"]),
        ("[-a]+[a-]", ["a-", "--", "-a"], ["b"]),
        (".", ["a", "é", "日", "😀", "\u{0}"], ["\n", "\u{2028}", "ab"]),
        ("\\d\\w\\s\\D\\W\\S", ["1_ x-x"], ["a_ x-x"]),
        ("\\x41\\u00e9\\u{1F600}\\ud83d\\ude00", ["Aé😀😀"], ["Aé😀"]),
        ("\\.\\*\\/\\[\\t", [".*/[\t"], ["a"]),
        ("^abc$", ["abc"], ["^abc$"]),
        ("(^a|b)c", ["ac", "bc"], ["c"]),
        ("a^b|c", ["c"], ["ab", "a^b"]),
        ("a$|a$b|d", ["a", "d"], ["ab"]),
        ("(?<name>a)(b)", ["ab"], ["a"]),
        ("[\u{80}-\u{10FFFF}]", ["\u{80}", "\u{7FF}", "\u{800}", "\u{FFFF}", "\u{10000}", "\u{10FFFF}"], ["\u{7F}", "a"]),
        ("[\u{900}-\u{12345}]", ["\u{900}", "\u{D7FF}", "\u{E000}", "\u{12345}"], ["\u{8FF}", "\u{12346}"]),
    ]

    @Test(arguments: cases.indices)
    func matchesWhatItShould(index: Int) throws {
        let (pattern, accepted, refused) = Self.cases[index]
        guard pattern != "[]a]" else {
            // An empty class matches nothing, so neither does this.
            #expect(throws: GrammarError.self) { try compile(.regex(pattern)) }
            return
        }
        let grammar = try compile(.regex(pattern))
        for text in accepted { #expect(grammar.accepts(text.utf8), "\(pattern) should match \(text)") }
        for text in refused { #expect(!grammar.accepts(text.utf8), "\(pattern) should not match \(text)") }
    }

    @Test(arguments: [
        "(", ")", "a)", "[a", "*a", "a**", "a{2,1}", "a{,3}", "a{x}", "(?=a)", "(?!a)", "(?<=a)b", "\\1", "\\k<n>", "\\b", "\\p{L}", "\\q", "[b-a]", "\\",
        "\\x4", "\\u{110000}", "\\ud800", "(?i)a", "^*", "a{99999999}", "{", "}", "]", "(?<a", "\\00", "[\\d-z]",
    ])
    func refusesWhatItCannotRead(pattern: String) {
        #expect(throws: GrammarError.self, "\(pattern)") { try compile(.regex(pattern)) }
    }

    @Test func errorsSayWhere() {
        #expect(throws: GrammarError.syntax(source: .regex, offset: 7, "back references cannot be enforced")) {
            try compile(.regex("é(a)\\1"))
        }
    }

    @Test func nothingToMatchIsAnError() {
        #expect(throws: GrammarError.unsatisfiable) { try compile(.regex("a[^\\s\\S]")) }
    }
}
