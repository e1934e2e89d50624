import JSONReader
import Testing

@testable import Tokenizer

@Suite struct PatternTests {
    private static func pattern(_ source: String) throws(TokenizerError) -> Pattern {
        try Pattern(source, from: JSONDocument.file("f.json", Array("\"\"".utf8)).root)
    }

    private static func matches(_ source: String, _ text: String) throws -> [String] {
        let bytes = Array(text.utf8)
        return try pattern(source).matches(in: bytes[...]).map { String(decoding: bytes[$0], as: UTF8.self) }
    }

    @Test func matching() throws {
        #expect(try Self.matches(#"\p{L}+|\s"#, "añb 1c") == ["añb", " ", "c"])
        #expect(try Self.matches(#"x*"#, "axxé") == ["", "xx", ""])
        #expect(try Self.matches(#"^.|\.$"#, "ab.\ncd.\n") == ["a", ".", "c", "."])
        #expect(try Self.matches(#"(?i:'s)"#, "'s'S'ſ") == ["'s", "'S", "'ſ"])
        #expect(try Self.matches(#"\u0041\x42\x{1F980}"#, "AB🦀") == ["AB🦀"])
    }

    @Test("White space is Unicode's, inside a class and outside")
    func whiteSpace() throws {
        let text = "\t\u{B}\r\n \u{85}\u{A0}\u{1680}\u{2003}\u{2028}\u{202F}\u{3000}"
        for source in [#"\s+"#, #"[\s]+"#] {
            #expect(try Self.matches(source, text + "\u{180E}\u{200B}") == [text])
        }
        #expect(try Self.matches(#"\S+"#, " \u{180E}\u{200B}\u{85}") == ["\u{180E}\u{200B}"])
    }

    @Test(
        "What might mean something else is refused",
        arguments: [
            #"\w+"#, #"\b"#, #"\h"#, #"\1"#, #"\K"#, #"\R"#, #"[\S]"#, #"[[:alpha:]]"#, "[a&&b]", "[]a]", "[a", "(?m)a", "a(?i)b",
            "(?<n>a)", "(*UTF)a", #"\p{Han}"#, #"\pL"#, #"\p{^L}"#, "a{,2}", "a{2}+", "a{2}?", "a{x}", "a{2", #"\x4"#, #"\x85"#,
            #"\u12"#, #"\x{D800}"#, #"\x{+41}"#, #"\p{L"#, "a\\", #"(?#c)"#,
        ])
    func unsupported(source: String) throws {
        #expect {
            try Self.pattern(source)
        } throws: { error in
            guard case .unsupported(file: "f.json", key: "(root)", let value)? = error as? TokenizerError else { return false }
            return value.contains("at ")
        }
    }

    @Test func invalid() throws {
        for (source, defect) in [("", .emptyPattern), ("(a", .patternDoesNotCompile), (String(repeating: "a", count: 1 << 15), .patternTooLong)]
            as [(String, TokenizerError.Defect)] {
            #expect(throws: TokenizerError.invalid(file: "f.json", key: "(root)", value: "\"\"", defect: defect)) {
                try Self.pattern(source)
            }
        }
    }

    @Test("A pattern that backtracks without end is stopped")
    func runaway() throws {
        let source = "(?:a+)+[^ab]"
        #expect(throws: TokenizerError.matchLimitExceeded(pattern: source)) {
            try Self.matches(source, String(repeating: "a", count: 60) + "b!")
        }
    }
}
