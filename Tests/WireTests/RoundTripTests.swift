import ClusterCore
import Generation
import Testing

@testable import Wire

@Suite struct RoundTripTests {
    private func expectRoundTrips<Message: FramedMessage & Equatable>(
        _ seed: UInt64, _ samples: (inout SeededGenerator) -> [Message]
    ) throws {
        var random = SeededGenerator(seed: seed)
        for _ in 0..<50 {
            for message in samples(&random) {
                let frames = try message.frames()
                #expect(frames[0].count <= Header.maxByteCount)
                #expect(try Message(frames: frames) == message)
            }
        }
    }

    @Test func control() throws { try expectRoundTrips(11) { $0.control() } }
    @Test func kvReceiving() throws { try expectRoundTrips(12) { $0.kvReceiving() } }
    @Test func client() throws { try expectRoundTrips(13) { $0.client() } }
    @Test func server() throws { try expectRoundTrips(14) { $0.server() } }

    @Test func kvSending() throws {
        var random = SeededGenerator(seed: 15)
        for _ in 0..<50 {
            for message in random.kvSending() {
                let back = try KVSending(frames: try message.frames())
                switch (message, back) {
                case (.hello(let sent), .hello(let received)): #expect(sent == received)
                case (.message(let sent), .message(let received)): #expect(sent == received)
                case (.blocks(let sent, let bytes), .blocks(let received, let receivedBytes)):
                    #expect(sent == received)
                    #expect(bytes.checksum == receivedBytes.checksum)
                    #expect(bytes.frames.map(\.bytes) == receivedBytes.frames.map(\.bytes))
                default: Issue.record("\(message) came back as \(back)")
                }
            }
        }
    }

    /// Also of the receiver's side of the connection: a header says by itself what it is.
    @Test func aFamilyRefusesTheMessagesOfTheOther() throws {
        let hello = KVSending.hello(KVHello(worker: WorkerID("p"), epoch: ClusterEpoch(1), modelHash: ""))
        #expect(throws: WireError.missing(message: "KV reply", field: "body")) {
            try KVReceiving(frames: hello.frames())
        }
        let reply = KVReceiving.reply(.complete(ClusterEpoch(1), AttemptID(request: RequestID(1), ordinal: 1)))
        #expect(throws: WireError.missing(message: "KV message", field: "body")) { try KVSending(frames: reply.frames()) }
    }

    /// A model of the largest shape that is allowed still has a size.
    @Test func theGreatestGeometryDoesNotOverflow() {
        let greatest = KVGeometry(
            layerCount: 4096, blockSize: 4096, keyValueHeads: 4096, headDimension: 4096, bytesPerElement: 8,
            bytesPerScale: 8)
        #expect(greatest.bytesPerLayerBlock == 1 << 40 + 1 << 28)
    }

    @Test(arguments: [
        (Duration.seconds(-1), UInt64(0)), (.zero, 0), (.microseconds(1), 1), (.seconds(1) + .nanoseconds(999), 1_000_000),
        (.seconds(Int64.max), .max),
    ])
    func durationsSaturate(_ duration: Duration, _ expected: UInt64) {
        #expect(duration.microseconds == expected)
    }

    /// Whatever the length of a text that only people read, it is cut, and the message can be said and understood.
    @Test(arguments: ["x", "é", "字", "👩‍👩‍👧‍👦", "e\u{301}\u{302}\u{303}"])
    func longTextsAreCut(_ unit: String) throws {
        let text = String(repeating: unit, count: 5000)
        let attempt = AttemptID(request: RequestID(1), ordinal: 1)
        let envelope = Envelope(clusterEpoch: ClusterEpoch(1), workerEpoch: WorkerEpoch(1), sequence: 1)
        let controls: [ControlMessage] = [
            .worker(envelope, .prefillFailed(attempt, .refused(text))),
            .worker(envelope, .decodeFailed(attempt, .computation(text))),
            .coordinator(envelope, .registrationRefused(text)),
        ]
        for message in controls { _ = try ControlMessage(frames: message.frames()) }
        _ = try KVReceiving(frames: KVReceiving.reply(.refused(ClusterEpoch(1), attempt, text)).frames())
        _ = try ClientMessage(frames: ClientMessage.hello(clientName: text).frames())
        let status = ClusterStatus(
            epoch: ClusterEpoch(1), modelName: text, waiting: 0, running: 0, draining: false, workers: [])
        let servers: [ServerMessage] = [
            .failed(key: 1, RequestFailure(code: .failed, message: text)), .status(status),
            .hello(ServerHello(epoch: ClusterEpoch(1), modelName: text, maxModelLength: 1)),
            .event(ClusterEvent(time: .zero, request: nil, kind: .retried(text))),
            .event(ClusterEvent(time: .zero, request: nil, kind: .workerLost(WorkerID("w"), text))),
        ]
        for message in servers { _ = try ServerMessage(frames: message.frames()) }
    }

    @Test func aTimeoutBeyondAllBoundsIsAsLongAsPossible() throws {
        let submission = Submission(prompt: .text("a"), sampling: .greedy, timeout: .seconds(Int64.max))
        let back = try ClientMessage(frames: ClientMessage.submit(key: 1, submission).frames())
        guard case .submit(_, let received) = back else {
            Issue.record("came back as \(back)")
            return
        }
        #expect(received.timeout == .milliseconds(Int64(1) << 40))
    }

    @Test(arguments: [-1, Int32.min])
    func aNegativeBoundIsNotSaid(_ maxTokens: Int32) {
        let submission = Submission(prompt: .text("a"), sampling: .greedy, maxTokens: maxTokens)
        let expected = WireError.value(message: "client message", field: "max_tokens", value: "\(maxTokens)")
        #expect(throws: expected) { try ClientMessage.submit(key: 1, submission).frames() }
    }
}
