import Testing

@testable import Jobs

@Suite struct LineSplitterTests {
    private func lines(_ text: String, pieces size: Int, limit: Int = 100) throws -> [LineSplitter.Line] {
        var splitter = LineSplitter(limit: limit)
        let bytes = Array(text.utf8)
        var lines: [LineSplitter.Line] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            lines += try splitter.take(Array(bytes[start..<min(start + size, bytes.count)]))
        }
        if let last = splitter.finish() { lines.append(last) }
        return lines
    }

    @Test func linesAreTheSameInPiecesOfAnySize() throws {
        let text = "{\"a\": 1}\r\n\n  \t\n{\"é\": \"🙂\"}\n{}"
        let expected = [(0, "{\"a\": 1}"), (3, "{\"é\": \"🙂\"}"), (4, "{}")]
        for size in 1...40 {
            let found = try lines(text, pieces: size).map { ($0.number, String(decoding: $0.text, as: UTF8.self)) }
            #expect(found.map(\.0) == expected.map(\.0) && found.map(\.1) == expected.map(\.1), "pieces of \(size)")
        }
    }

    @Test func aLineThatIsTooLongIsNamed() throws {
        #expect(throws: LineSplitter.TooLong(number: 1)) { try lines("short\n" + String(repeating: "x", count: 12), pieces: 3, limit: 10) }
        #expect(try lines("1234567890\r\n", pieces: 5, limit: 10).count == 1)
    }

    @Test func nothingHasNoLines() throws {
        #expect(try lines("", pieces: 1).isEmpty)
        #expect(try lines("\n\r\n", pieces: 1).isEmpty)
    }
}
