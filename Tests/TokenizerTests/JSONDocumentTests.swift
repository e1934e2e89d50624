import Testing

@testable import Tokenizer

@Suite struct JSONDocumentTests {
    private static func parse(_ text: String) throws(TokenizerError) -> JSONValue {
        try JSONDocument(file: "f.json", source: Array(text.utf8)).root
    }

    @Test func values() throws {
        let root = try Self.parse(#" { "a" : [ 1, -2.5e+3, true , false, null, {} , [] ], "b\n\u00e9\ud83e\udd80\/" : "x\ty" } "#)
        let members = Array(try root.members())
        #expect(try members.map { try $0.key.string() } == ["a", "b\né🦀/"])
        #expect(try members[0].value.elements().map(\.kind) == [.number, .number, .true, .false, .null, .object, .array])
        #expect(try members[1].value.string() == "x\ty")
        #expect(try root.required("a").elements().first { _ in true }?.integer(below: 2, else: .idOutOfRange) == 1)
        #expect(try root.optional("c")?.index == nil)
    }

    @Test("Paths lead to the value, through arrays, objects and keys that are no names")
    func paths() throws {
        let root = try Self.parse(#"{"a":{"b c":[0,{"d":1,"":2}]},"e":3}"#)
        let outer = try #require(Array(root.required("a").members()).first).value
        let inner = try #require(Array(outer.elements()).last)
        #expect(try inner.required("d").path == #"a["b c"][1].d"#)
        #expect(try Array(inner.members())[1].value.path == #"a["b c"][1][""]"#)
        #expect(try Array(inner.members())[1].key.path == #"a["b c"][1][""]"#)
        #expect(try root.required("e").path == "e")
        #expect(root.path == "(root)")
    }

    @Test(
        "Everything that is not JSON is refused with its place",
        arguments: [
            ("", 0, .unexpectedEnd), ("{", 1, .unexpectedEnd), ("[1", 2, .unexpectedEnd), ("\"a", 2, .unexpectedEnd),
            ("\"\\", 2, .unexpectedEnd), ("\"\\u12", 5, .unexpectedEnd), ("tru", 3, .unexpectedEnd),
            ("{a:1}", 1, .unexpectedByte), ("[1,]", 3, .unexpectedByte), ("{\"a\" 1}", 5, .unexpectedByte),
            ("[1 2]", 3, .unexpectedByte), ("nul!", 3, .unexpectedByte), ("+1", 0, .unexpectedByte),
            ("1 2", 2, .trailingBytes), ("{}}", 2, .trailingBytes), ("01", 1, .trailingBytes),
            ("-", 1, .invalidNumber), ("1.", 2, .invalidNumber), ("1e+", 3, .invalidNumber), ("-a", 1, .invalidNumber),
            (#""\x""#, 2, .invalidEscape), (#""\u12g4""#, 5, .invalidEscape), ("\"a\nb\"", 2, .controlCharacter),
            ("\"\\n\u{1}\"", 3, .controlCharacter), (#""\ud83e""#, 7, .loneSurrogate), (#""\udd80""#, 7, .loneSurrogate),
            (#""\ud83e\u0041""#, 13, .loneSurrogate),
        ] as [(String, Int, TokenizerError.JSONProblem)])
    func malformed(text: String, offset: Int, problem: TokenizerError.JSONProblem) {
        #expect(throws: TokenizerError.malformedJSON(file: "f.json", offset: offset, problem: problem)) {
            try Self.parse(text)
        }
    }

    @Test func invalidUTF8() {
        #expect(throws: TokenizerError.malformedJSON(file: "f.json", offset: 2, problem: .invalidUTF8)) {
            try JSONDocument(file: "f.json", source: [0x22, 0x41, 0xC3, 0x22])
        }
    }

    @Test func size() throws {
        let text = Array("[1]".utf8)
        _ = try JSONDocument(file: "f.json", source: text, maximumByteCount: 3)
        #expect(throws: TokenizerError.malformedJSON(file: "f.json", offset: 0, problem: .tooLarge)) {
            try JSONDocument(file: "f.json", source: text, maximumByteCount: 2)
        }
    }

    @Test func depth() throws {
        _ = try Self.parse(String(repeating: "[", count: 128) + String(repeating: "]", count: 128))
        #expect(throws: TokenizerError.malformedJSON(file: "f.json", offset: 128, problem: .tooDeep)) {
            try Self.parse(String(repeating: "[", count: 1_000_000))
        }
    }
}
