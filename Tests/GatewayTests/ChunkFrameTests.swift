import Testing

@testable import Gateway

@Suite struct ChunkFrameTests {
    private func head(fingerprint: String?) -> AnswerHead {
        AnswerHead(id: "cmpl-\"1\"", seed: 1, created: 5, model: "a\\b", fingerprint: fingerprint)
    }

    private func text(_ write: (inout [UInt8]) -> Void) -> String {
        var bytes: [UInt8] = []
        write(&bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    private let usage = Usage(promptTokens: 1, completionTokens: 2, cachedTokens: 0)
    private let choice: JSONText = ["index": 0, "text": "é\n"]

    /// A frame saves work; it does not change what is written.
    @Test(arguments: [String?.none, "fp_1"])
    func aChunkIsTheObjectThatItWouldBe(fingerprint: String?) {
        let head = head(fingerprint: fingerprint), object = head.object("kind", choices: [choice])
        for (report, expected) in [
            (UsageReport.never, object), (.last, object.adding("usage", .null)), (.always, object.adding("usage", usage.json)),
        ] {
            let frame = ChunkFrame(head, kind: "kind", report)
            let expected = "data: " + String(decoding: expected.utf8, as: UTF8.self) + "\n\n"
            #expect(text { frame.write(choice, usage, to: &$0) } == expected)
        }
    }

    @Test func theLastChunkTellsTheUsageIfItIsWanted() {
        let object = head(fingerprint: "fp_1").object("kind", choices: []).adding("usage", usage.json)
        let expected = "data: " + String(decoding: object.utf8, as: UTF8.self) + "\n\n"
        for (report, last) in [(UsageReport.never, ""), (.last, expected), (.always, expected)] {
            let frame = ChunkFrame(head(fingerprint: "fp_1"), kind: "kind", report)
            #expect(text { frame.writeLast(usage, to: &$0) } == last)
        }
    }

    /// The shortcut for the chunks that are nearly all of a stream writes what the long way does.
    @Test(arguments: ["", "é\n", "\u{0}\"\\\u{7F}"])
    func aTextChunkIsTheChunkOfItsText(_ shown: String) throws {
        func choice(_ text: JSONText) -> JSONText { ["index": 3, "delta": ["content": text], "finish_reason": nil] }
        for report in [UsageReport.never, .last] {
            let frame = ChunkFrame(head(fingerprint: "fp_1"), kind: "kind", report)
            let chunk = try #require(frame.textChunk(choice))
            let long = text { frame.write(choice(.string(shown)), usage, to: &$0) }
            #expect(text { chunk.write(shown, to: &$0) } == long)
        }
        #expect(ChunkFrame(head(fingerprint: nil), kind: "kind", .always).textChunk(choice) == nil, "each has a usage of its own")
    }
}
