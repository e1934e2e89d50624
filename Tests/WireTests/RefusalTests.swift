import ClusterCore
import Generation
import Testing

@testable import Wire

/// A message that must be refused, and how.
struct Refusal: Sendable, CustomTestStringConvertible {
    let family: Family
    let title: String
    let frames: [[UInt8]]
    let error: WireError

    init(_ family: Family, _ title: String, _ frames: [[UInt8]], _ error: WireError) {
        self.family = family
        self.title = title
        self.frames = frames
        self.error = error
    }

    var testDescription: String { "\(family.rawValue): \(title)" }
}

@Suite struct RefusalTests {
    @Test(arguments: Refusal.ofHeaders + Refusal.ofControl + Refusal.ofKV + Refusal.ofClients + Refusal.ofServers)
    func namesWhatIsWrong(_ refusal: Refusal) {
        #expect(throws: refusal.error) { try refusal.family.reencode(refusal.frames.map { Frame($0) }) }
        #expect(!refusal.error.description.isEmpty)
    }

    /// The table above leaves out no kind of error.
    @Test func everyErrorIsReached() {
        let all = Refusal.ofHeaders + Refusal.ofControl + Refusal.ofKV + Refusal.ofClients + Refusal.ofServers
        let kinds = Set(all.map { $0.error.kind })
        #expect(kinds == Set(["frameCount", "headerTooLong", "malformedHeader", "unknownFields", "version", "missing",
            "value", "notText", "payloadLength"]))
    }

    @Test(arguments: Family.allCases)
    func unknownFieldsAreFoundAtTheEndOfAnyHeader(_ family: Family) throws {
        var random = SeededGenerator(seed: 21)
        for frames in try family.samples(&random) {
            var header = RawHeader()
            header.varint(1000, 1)
            let extended = [Frame(frames[0].bytes + header.bytes)] + frames.dropFirst()
            // A header that was full before is too long now; the samples' are not.
            #expect(throws: WireError.unknownFields(message: family.name)) { try family.reencode(extended) }
        }
    }

    @Test(arguments: Family.allCases)
    func oneFrameTooManyIsRefused(_ family: Family) throws {
        var random = SeededGenerator(seed: 22)
        for frames in try family.samples(&random) {
            #expect(throws: WireError.self) { try family.reencode(frames + [Frame([])]) }
            guard frames.count > 1, !isStatus(family, frames) else { continue }
            #expect(throws: WireError.self) { try family.reencode(frames.dropLast()) }
        }
    }

    @Test(arguments: Family.allCases)
    func noPrefixOfAHeaderTraps(_ family: Family) throws {
        var random = SeededGenerator(seed: 23)
        for frames in try family.samples(&random) {
            let bytes = frames[0].bytes
            for count in 0..<bytes.count {
                // Cut between two fields, what is left may be a message; cut within one it is not.
                do {
                    _ = try family.reencode([Frame(Array(bytes[..<count]))] + frames.dropFirst())
                } catch {
                    #expect(error is WireError)
                }
            }
        }
    }

    /// A list of workers is as long as it is.
    private func isStatus(_ family: Family, _ frames: [Frame]) -> Bool {
        guard family == .server, case .status = try? ServerMessage(frames: frames) else { return false }
        return true
    }

    /// 4096 bytes can ask for 1000 objects; their memory is bounded all the same.
    @Test func smallRepeatedFieldsStayWithinTheBudget() throws {
        let header = RawHeader.with {
            $0.message(3) { $0.varint(1, 1) }
            $0.message(22) { missing in for _ in 0..<600 { missing.message(1) { $0.varint(3, 1) } } }
        }
        #expect(header.count <= Header.maxByteCount)
        let empty = RawHeader.with { $0.message(22) { missing in for _ in 0..<2000 { missing.message(1) } } }
        #expect(empty.count <= Header.maxByteCount)
        // 2000 ranges of 40 bytes and more are beyond 64 KiB.
        #expect(throws: WireError.malformedHeader(message: "KV reply")) { try KVReceiving(frames: [Frame(empty)]) }
        let message = try KVReceiving(frames: [Frame(header)])
        guard case .reply(.missing(_, _, let ranges)) = message else {
            Issue.record("came back as \(message)")
            return
        }
        #expect(ranges.count == 600)
    }

    @Test func ourOwnHeadersAreBoundedToo() {
        let ranges = (0..<2000).map { LayerBlockRange(layer: $0, first: 1, count: 1) }
        let reply = KVReceiving.reply(.missing(ClusterEpoch(1), AttemptID(request: RequestID(1), ordinal: 1), ranges))
        let error = #expect(throws: WireError.self) { try reply.frames() }
        guard case .headerTooLong("KV reply", let count) = error else {
            Issue.record("threw \(String(describing: error))")
            return
        }
        #expect(count > Header.maxByteCount)
    }

    @Test func theFirstOfTwoBodiesIsForgotten() throws {
        let bytes = RawHeader.with {
            $0.message(10) { $0.text(1, "a client") }
            $0.message(12) { $0.varint(1, 7) }
        }
        #expect(try ClientMessage(frames: [Frame(bytes)]) == .cancel(key: 7))
    }
}

extension WireError {
    /// The case's name.
    var kind: String { Mirror(reflecting: self).children.first?.label ?? "" }
}
