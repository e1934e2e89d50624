import Testing

@testable import Gateway

@Suite struct MultipartReaderTests {
    private static let type = #"multipart/form-data; boundary="a b:c""#

    private func events(_ body: String, pieces size: Int, type: String = MultipartReaderTests.type) throws(APIError) -> (events: [MultipartReader.Event], isDone: Bool) {
        var reader = try MultipartReader(contentType: type)
        let bytes = Array(body.utf8)
        var events: [MultipartReader.Event] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            for event in try reader.take(Array(bytes[start..<min(start + size, bytes.count)])) {
                // Content may come in any pieces.
                if case .content(let new) = event, case .content(let old)? = events.last {
                    events[events.count - 1] = .content(old + new)
                } else {
                    events.append(event)
                }
            }
        }
        return (events, reader.isDone)
    }

    private let form = [
        "preamble\r\n--a b:c \r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--a b:c\r\n",
        "content-type: application/jsonl\r\nCONTENT-DISPOSITION:form-data;name=file ; filename=\"a \\\"b\\\";c.jsonl\"\r\n\r\n",
        "one\r\n--a b:\r\n--a b\r\ntwo\r\n--a b:c\r\nContent-Disposition: form-data; name=empty\r\n\r\n\r\n--a b:c--\r\nepilogue",
    ].joined()

    @Test func partsAreTheSameInPiecesOfAnySize() throws {
        let expected: [MultipartReader.Event] = [
            .part(name: "purpose", fileName: nil), .content(Array("batch".utf8)), .endOfPart,
            .part(name: "file", fileName: "a \"b\";c.jsonl"), .content(Array("one\r\n--a b:\r\n--a b\r\ntwo".utf8)), .endOfPart,
            .part(name: "empty", fileName: nil), .endOfPart,
        ]
        for size in 1...form.utf8.count {
            let found = try events(form, pieces: size)
            #expect(found.events == expected && found.isDone, "pieces of \(size)")
        }
    }

    @Test func aFormThatEndsEarlyIsNotDone() throws {
        for count in 0..<form.utf8.count - "--\r\nepilogue".utf8.count {
            let cut = String(decoding: Array(form.utf8).prefix(count), as: UTF8.self)
            #expect(try !events(cut, pieces: 7).isDone, "\(count) bytes")
        }
    }

    @Test func whatIsNoFormIsRefused() {
        func status(_ body: String, _ type: String = MultipartReaderTests.type) -> Int? {
            do {
                _ = try events(body, pieces: 1000, type: type)
                return nil
            } catch {
                return error.status
            }
        }
        #expect(status("", "application/json") == 415)
        #expect(status("", "multipart/form-data") == 400)
        #expect(status("", "multipart/form-data; boundary=\(String(repeating: "x", count: 71))") == 400)
        #expect(status("--a b:cx\r\n") == 400)
        #expect(status("--a b:c\r\nContent-Type: text/plain\r\n\r\nx") == 400)
        #expect(status("--a b:c\r\nContent-Disposition: attachment; name=x\r\n\r\nx") == 400)
        #expect(status("--a b:c\r\n" + String(repeating: "x", count: 20_000)) == 400)
        #expect(status(String(repeating: "--a b:c\r\nContent-Disposition: form-data; name=x\r\n\r\n\r\n", count: 65)) == 400)
    }
}
