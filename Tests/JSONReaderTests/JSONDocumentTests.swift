import JSONReader
import Testing

@Suite struct JSONDocumentTests {
    private static func parse(_ text: String) throws(JSONError) -> JSONValue {
        try JSONDocument(file: "f.json", source: Array(text.utf8)).root
    }

    @Test func values() throws {
        let root = try Self.parse(#" { "a" : [ 1, -2.5e+3, true , false, null, {} , [] ], "b\n\u00e9\ud83e\udd80\/" : "x\ty" } "#)
        let members = Array(try #require(root.object))
        #expect(members.map(\.key.text) == ["a", "b\né🦀/"])
        let elements = Array(try #require(members[0].value.array))
        #expect(elements.map(\.kind) == [.number, .number, .true, .false, .null, .object, .array])
        #expect(elements.map(\.boolean) == [nil, nil, true, false, nil, nil, nil])
        #expect(elements.map(\.number) == [1, -2500, nil, nil, nil, nil, nil])
        #expect(elements[5].object?.first { _ in true } == nil && elements[6].array?.first { _ in true } == nil)
        #expect(members[1].value.text == "x\ty" && members[1].value.array == nil && root.count == 2)
        #expect(root.object?["a"]?.count == 7 && root.object?["c"] == nil && root.array == nil && root.text == nil)
    }

    @Test(
        "Whole numbers that fit are integers, and every number that a double can be near is one",
        arguments: [
            ("0", 0, 0), ("-0", 0, -0.0), ("9223372036854775807", .max, 0x1p63), ("-9223372036854775808", .min, -0x1p63),
            ("9223372036854775808", nil, 0x1p63), ("1.0", nil, 1), ("1e3", nil, 1000), ("-2.5E-1", nil, -0.25),
            ("1e999", nil, nil), ("1e-999", nil, 0), ("true", nil, nil), ("\"1\"", nil, nil),
        ] as [(String, Int?, Double?)])
    func numbers(text: String, integer: Int?, number: Double?) throws {
        let value = try Self.parse(text)
        #expect(value.integer == integer && value.number == number)
    }

    @Test("Keys are the bytes of the text: equivalence in Unicode makes none equal, and escapes make none different")
    func keys() throws {
        let object = try #require(try Self.parse(#"{"é":1,"e\u0301":2,"":3}"#).object)
        #expect(object["\u{E9}"]?.integer == 1 && object["e\u{301}"]?.integer == 2 && object[""]?.integer == 3)
    }

    @Test(arguments: [
        (#"{"a":1,"b":2,"a":3}"#, "a"), (#"{"a":1,"\u0061":3}"#, "a"), (#"{"x":[{},{"y":{"":0,"":0}}]}"#, #"x[1].y[""]"#),
        (#"[{"a":{"a":1}},{"b":{"c":1,"c":2}}]"#, "[1].b.c"),
    ])
    func aKeyThatAppearsTwiceIsRefused(text: String, path: String) {
        #expect(throws: JSONError.duplicateKey(path: path)) { try Self.parse(text) }
    }

    @Test("In objects of every size around the one where hashing begins, and in large ones")
    func duplicatesAmongMany() throws {
        for count in Array(2...20) + [1000, 100_000] {
            let members = (0..<count).map { #""k\#($0)":\#($0)"# }
            #expect(try Self.parse("{" + members.joined(separator: ",") + "}").count == count)
            for place in [0, count / 2, count - 1] {
                #expect(throws: JSONError.duplicateKey(path: "k\(place)")) {
                    try Self.parse("{" + members.joined(separator: ",") + #","\u006b\#(place)":0}"#)
                }
            }
        }
    }

    @Test("Paths lead to the value, through arrays, objects and keys that are no names")
    func paths() throws {
        let root = try Self.parse(#"{"a":{"b c":[0,{"d":1,"":2}]},"e":3}"#)
        let outer = try #require(root.object?["a"]?.object?["b c"])
        let inner = try #require(outer.array?.first { $0.kind == .object })
        let last = try #require(inner.object.map(Array.init)?.last)
        #expect(inner.object?["d"]?.path == #"a["b c"][1].d"#)
        #expect(last.value.path == #"a["b c"][1][""]"# && last.key.path == last.value.path)
        #expect(inner.path(ofMember: "f") == #"a["b c"][1].f"# && root.path(ofMember: "g h") == #"["g h"]"#)
        #expect(root.object?["e"]?.path == "e" && root.path == "(root)")
    }

    @Test("What an error shows is one line of bounded length")
    func shown() throws {
        #expect(try Self.parse(#"["a\nb"]"#).array?.first { _ in true }?.shown == #""a\u{a}b""#)
        let long = String(repeating: "🥢", count: 100)
        #expect(try Self.parse("\"\(long)\"").shown == "\"\(long.prefix(80))…\"")
        #expect(try Self.parse("1" + String(repeating: "0", count: 200)).shown.count == 80)
        #expect(try Self.parse("[1]").shown == "an array" && Self.parse("null").shown == "null")
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
            ("{1:2}", 1, .unexpectedByte), ("1-2", 1, .trailingBytes), ("1.e5", 2, .invalidNumber), ("nul", 3, .unexpectedEnd),
            (#""\ud800x""#, 7, .loneSurrogate), ("?", 0, .unexpectedByte),
        ] as [(String, Int, JSONError.Problem)])
    func malformed(text: String, offset: Int, problem: JSONError.Problem) {
        #expect(throws: JSONError.malformed(offset: offset, problem)) {
            try Self.parse(text)
        }
    }

    @Test func invalidUTF8() {
        #expect(throws: JSONError.malformed(offset: 2, .invalidUTF8)) {
            try JSONDocument(file: "f.json", source: [0x22, 0x41, 0xC3, 0x22])
        }
    }

    @Test func size() throws {
        let text = Array("[1]".utf8)
        _ = try JSONDocument(file: "f.json", source: text, maximumByteCount: 3)
        #expect(throws: JSONError.malformed(offset: 0, .tooLarge)) {
            try JSONDocument(file: "f.json", source: text, maximumByteCount: 2)
        }
    }

    @Test func depth() throws {
        _ = try Self.parse(String(repeating: "[", count: 128) + String(repeating: "]", count: 128))
        #expect(throws: JSONError.malformed(offset: 128, .tooDeep)) {
            try Self.parse(String(repeating: "[", count: 1_000_000))
        }
    }
}
