@testable import Inference
import Testing

@Suite struct JSONTests {
    private func parse(_ text: String) throws(JSONError) -> JSON { try JSON(parsing: text.utf8) }

    @Test func valuesAreRead() throws {
        #expect(try parse(#" {"a": [1, -2.5, 1e3, true, false, null], "b\n\u00e9\ud83d\ude00": "x"} "#) == .object([
            "a": .array([.integer(1), .number(-2.5), .number(1000), .bool(true), .bool(false), .null]),
            "b\n\u{e9}\u{1f600}": .string("x"),
        ]))
        #expect(try parse("9223372036854775807") == .integer(.max))
        #expect(try parse("9223372036854775808") == .number(9_223_372_036_854_775_808))
        #expect(try parse("[]") == .array([]) && parse("{}") == .object([:]))
    }

    @Test(arguments: [
        ("", .unexpectedEnd), ("{", .unexpectedEnd), ("[1", .unexpectedEnd), ("[1 2]", .unexpectedByte), ("{1:2}", .unexpectedByte),
        ("nul", .unexpectedEnd), ("nulx", .unexpectedByte), ("1 1", .trailing), ("01", .number), ("1.", .number), ("-", .number),
        ("1e999", .number), ("1-2", .number), ("\"\\x\"", .escape), ("\"\\ud800x\"", .unexpectedByte), ("\"\\ud800\\u0041\"", .escape),
        ("\"\\udc00\"", .escape), ("\"\\u12g4\"", .escape), ("\"a\nb\"", .unexpectedByte), (#"{"a":1,"a":2}"#, .duplicateKey),
        (String(repeating: "[", count: 40), .depth), ("?", .unexpectedByte),
    ] as [(String, JSONError.Reason)])
    func nonsenseIsRefused(text: String, reason: JSONError.Reason) {
        let error = #expect(throws: JSONError.self) { try parse(text) }
        #expect(error?.reason == reason)
    }

    @Test func invalidUTF8IsRefused() {
        let error = #expect(throws: JSONError.self) { try JSON(parsing: [0x22, 0xff, 0x22]) }
        #expect(error?.reason == .utf8)
    }
}
