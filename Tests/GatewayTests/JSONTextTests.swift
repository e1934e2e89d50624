import JSONReader
import Testing

@testable import Gateway

@Suite struct JSONTextTests {
    private func text(_ json: JSONText) -> String { String(decoding: json.utf8, as: UTF8.self) }

    @Test func valuesAreWritten() {
        #expect(text(.null) == "null")
        #expect(text(true) == "true")
        #expect(text(-5) == "-5")
        #expect(text(.number(0.1)) == "0.1")
        #expect(text(.number(-9999)) == "-9999.0")
        #expect(text(.number(.infinity)) == "null")
        #expect(text(["a": [1, "b", nil], "c": [:]]) == #"{"a":[1,"b",null],"c":{}}"#)
        #expect(text(JSONText(String?.none)) == "null")
    }

    @Test func everyTextReadsBack() throws {
        for text in ["", "a\"b\\c/d", "\n\r\t\u{0}\u{1F}\u{7F}", "é🙂\u{2028}", "</script>"] {
            let document = try JSONDocument(file: "x", source: JSONText.string(text).utf8)
            #expect(document.root.text == text)
        }
    }

    @Test func whatWasReadIsWrittenAlike() throws {
        let source = #"{"a":[1,2.50,-0e1,true,false,null],"b":{"c":"d\n"}}"#
        let document = try JSONDocument(file: "x", source: Array(source.utf8))
        #expect(text(JSONText(document.root)) == source)
    }
}
