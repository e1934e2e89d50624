import ClusterCore
import Logging
import Testing

@testable import Transport
@testable import Wire

/// One worker's end of KV transfers: a receiver, a sender, or both.
private actor KVStation {
    nonisolated let thread: SocketThread
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    private let name: String
    private let modelHash: String
    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private var receiver: KVReceiver?
    private var sender: KVSender?
    /// Where blocks are stored: zeros at first.
    let memory: Memory
    private(set) var messages: [KVMessage] = []
    private(set) var stored: [Stored] = []
    private(set) var replies: [KVReply] = []
    private(set) var interruptions: [WorkerID] = []
    private(set) var peers: Set<PeerID> = []

    struct Stored: Equatable {
        var blocks: KVBlocks
        var isIntact: Bool
    }

    init(_ name: String, modelHash: String = "abc", memory: Memory) throws {
        thread = try SocketThread(name: name)
        self.name = name
        self.modelHash = modelHash
        self.memory = memory
    }

    deinit { thread.stop() }

    /// - Returns: where it is bound.
    func bind() throws -> KVDestination {
        let welcome = KVWelcome(worker: WorkerID(name), epoch: ClusterEpoch(1), modelHash: modelHash, isRegistered: true)
        let receiver = try KVReceiver(
            thread: thread, bind: Endpoint(loopback), security: .loopbackOnly, maxFrameBytes: 1 << 20, logger: logger,
            handler: KVReceiver.Handler(
                message: { peer, message in
                    self.peers.insert(peer)
                    self.messages.append(message)
                },
                destination: { _, blocks in blocks.range.layer == 99 ? nil : self.memory.blocks(blocks.range) },
                stored: { _, blocks, isIntact in self.stored.append(Stored(blocks: blocks, isIntact: isIntact)) },
                welcome: { welcome }))
        self.receiver = receiver
        return KVDestination(worker: WorkerID(name), endpoint: receiver.endpoint.map { "\($0)" } ?? "")
    }

    func startSending() {
        sender = KVSender(
            thread: thread, hello: KVHello(worker: WorkerID(name), epoch: ClusterEpoch(1), modelHash: modelHash),
            logger: logger, receive: { self.replies.append($0) }, interrupted: { self.interruptions.append($0) })
    }

    func send(_ message: KVMessage, to destination: KVDestination) { sender?.send(message, to: destination) }

    func send(_ blocks: KVBlocks, to destination: KVDestination, release: @escaping @Sendable () -> Void) {
        let frames = memory.blocks(blocks.range).map { UnsafeRawBufferPointer($0) }
        sender?.send(blocks, from: frames, to: destination, release: release)
    }

    func reply(_ reply: KVReply) { for peer in peers { receiver?.reply(reply, to: peer) } }

    var byteCount: Int { receiver?.byteCount ?? 0 }

    func close() {
        sender?.close()
        receiver?.close()
        (sender, receiver) = (nil, nil)
    }
}

/// Layer blocks of 64 KiB, 8 to a layer.
private final class Memory: @unchecked Sendable {
    // @unchecked: a test writes it before it is lent and reads it after it was stored.
    static let blockBytes = 1 << 16
    private let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 16 * blockBytes, alignment: 64)

    init(filled: Bool = false) {
        for index in bytes.indices { bytes[index] = filled ? UInt8(truncatingIfNeeded: index &* 31 &+ index >> 8) : 0 }
    }

    deinit { bytes.deallocate() }

    func blocks(_ range: LayerBlockRange) -> [UnsafeMutableRawBufferPointer] {
        (range.first..<range.first + range.count).map { block in
            let start = (range.layer % 2 * 8 + block) * Self.blockBytes
            return UnsafeMutableRawBufferPointer(rebasing: bytes[start..<start + Self.blockBytes])
        }
    }

    func copy(_ range: LayerBlockRange) -> [UInt8] { blocks(range).flatMap { [UInt8]($0) } }
}

@Suite struct KVLinkTests {
    private let epoch = ClusterEpoch(1)
    private let attempt = AttemptID(request: RequestID(5), ordinal: 1)

    private var open: KVMessage {
        let geometry = KVGeometry(layerCount: 2, blockSize: 16, keyValueHeads: 8, headDimension: 64, bytesPerElement: 4)
        return .open(KVOpen(epoch: epoch, attempt: attempt, modelHash: "abc", geometry: geometry, tokenCount: 100))
    }

    private func blocks(layer: Int, first: Int, count: Int) -> KVBlocks {
        KVBlocks(
            epoch: epoch, attempt: attempt, tokenCount: 100,
            range: LayerBlockRange(layer: layer, first: first, count: count))
    }

    /// A sender whose `open` has arrived at a receiver.
    private func connected() async throws -> (source: KVStation, target: KVStation, destination: KVDestination) {
        let (source, target) = (
            try KVStation("p0", memory: Memory(filled: true)), try KVStation("d0", memory: Memory())
        )
        let destination = try await target.bind()
        await source.startSending()
        let arrived = await eventually {
            if await target.messages.isEmpty { await source.send(open, to: destination) }
            return await !target.messages.isEmpty
        }
        #expect(arrived)
        return (source, target, destination)
    }

    @Test func blocksArriveWholeAndAreReleasedOnce() async throws {
        let (source, target, destination) = try await connected()
        let released = Tally()
        let sent = [blocks(layer: 0, first: 0, count: 7), blocks(layer: 1, first: 0, count: 3), blocks(layer: 1, first: 3, count: 4)]
        for blocks in sent { await source.send(blocks, to: destination) { released.add() } }
        #expect(await eventually { await target.stored.count == 3 })
        #expect(await target.stored == sent.map { KVStation.Stored(blocks: $0, isIntact: true) })
        for blocks in sent { #expect(await target.memory.copy(blocks.range) == source.memory.copy(blocks.range)) }
        #expect(await eventually { released.count == 3 })
        #expect(await target.byteCount == 14 * Memory.blockBytes)
        await target.reply(.complete(epoch, attempt))
        #expect(await eventually { await source.replies.last == .complete(epoch, attempt) })
        await source.close()
        await target.close()
        #expect(released.count == 3)
    }

    @Test func unwantedBlocksAreCountedAndDropped() async throws {
        let (source, target, destination) = try await connected()
        let released = Tally()
        await source.send(blocks(layer: 99, first: 0, count: 1), to: destination) { released.add() }
        await source.send(.abort(epoch, attempt), to: destination)
        #expect(await eventually { await target.messages.last == .abort(epoch, attempt) })
        #expect(await target.stored.isEmpty)
        #expect(await target.byteCount == Memory.blockBytes)
        #expect(await eventually { released.count == 1 })
        await source.close()
        await target.close()
    }

    @Test func blocksForNobodyAreReleasedOnce() async throws {
        let source = try KVStation("p0", memory: Memory(filled: true))
        await source.startSending()
        let released = Tally()
        for endpoint in ["tcp://127.0.0.1:1", "tcp://nowhere", "tcp://127.0.0.1:*", ""] {
            let destination = KVDestination(worker: WorkerID("d0"), endpoint: endpoint)
            for _ in 0..<3 { await source.send(blocks(layer: 0, first: 0, count: 2), to: destination) { released.add() } }
        }
        #expect(released.count == 12)
        await source.close()
        source.thread.stop()
        #expect(released.count == 12)
    }

    /// More than sockets and kernel hold lies queued when the sender gives up.
    @Test func blocksThatWereStillQueuedAreReleasedOnce() async throws {
        let deaf = try Station()
        let destination = KVDestination(worker: WorkerID("d0"), endpoint: try await deaf.bindDeaf())
        let source = try KVStation("p0", memory: Memory(filled: true))
        await source.startSending()
        // Until the connection stands everything is released at once.
        let early = Tally()
        var attempts = 0
        let isQueued = await eventually {
            attempts += 1
            await source.send(blocks(layer: 0, first: 0, count: 8), to: destination) { early.add() }
            return early.count < attempts
        }
        #expect(isQueued)
        let released = Tally()
        var sent = 0
        while sent < 20_000, sent - released.count < 20 {
            await source.send(blocks(layer: 0, first: 0, count: 8), to: destination) { released.add() }
            sent += 1
        }
        #expect(sent - released.count >= 20, "\(sent) sent")
        await source.close()
        source.thread.stop()
        #expect(await eventually { released.count == sent && early.count == attempts })
        await deaf.close()
        #expect(released.count == sent)
    }

    @Test func aSenderOfAnotherModelIsRefused() async throws {
        let target = try KVStation("d0", memory: Memory())
        let destination = try await target.bind()
        let stranger = try Station()
        try await stranger.connectBare(to: destination.endpoint)
        func hello(_ modelHash: String) throws -> [[UInt8]] {
            try KVSending.hello(KVHello(worker: WorkerID("p"), epoch: epoch, modelHash: modelHash)).frames().map(\.bytes)
        }
        let own = blocks(layer: 0, first: 0, count: 1)
        let source = Memory(filled: true)
        let payload = KVPayload(lending: source.blocks(own.range).map { UnsafeRawBufferPointer($0) }, of: own, modelHash: "abc", release: {})
        let refused = try [KVSending.message(.abort(epoch, attempt)), .blocks(own, payload)].map {
            try $0.frames().map(\.bytes)
        }
        let welcome = try KVSending.message(.abort(epoch, attempt.next)).frames().map(\.bytes)
        #expect(try await eventually { try await stranger.sendBare(hello("xyz")) })
        for frames in refused + [try hello("abc"), welcome] { #expect(try await stranger.sendBare(frames)) }
        #expect(await eventually { await !target.messages.isEmpty })
        #expect(await target.messages == [.abort(epoch, attempt.next)])
        #expect(await target.stored.isEmpty)
        #expect(await target.byteCount == 0)
        await stranger.close()
        await target.close()
    }

    @Test func whoDoesNotIntroduceItselfIsNotHeard() async throws {
        let target = try KVStation("d0", memory: Memory())
        let destination = try await target.bind()
        let stranger = try Station()
        try await stranger.connectBare(to: destination.endpoint)
        let abort = try KVSending.message(.abort(epoch, attempt)).frames().map(\.bytes)
        #expect(try await eventually { try await stranger.sendBare(abort) })
        let hello = KVSending.hello(KVHello(worker: WorkerID("p"), epoch: epoch, modelHash: ""))
        #expect(try await stranger.sendBare(hello.frames().map(\.bytes)))
        // A question who is there is answered, and is no greeting.
        #expect(await eventually { await stranger.bareMessages.count == 1 })
        let answer = try KVReceiving(frames: #require(await stranger.bareMessages.first).map { Frame($0) })
        #expect(
            answer == .welcome(KVWelcome(worker: WorkerID("d0"), epoch: epoch, modelHash: "abc", isRegistered: true)))
        #expect(try await stranger.sendBare(abort))
        #expect(try await stranger.sendBare(hello.frames().map(\.bytes)))
        #expect(await eventually { await stranger.bareMessages.count == 2 })
        #expect(await target.messages.isEmpty)
        await stranger.close()
        await target.close()
    }

    @Test func damagedAndMislabelledBlocksAreReportedSo() async throws {
        let target = try KVStation("d0", memory: Memory())
        let destination = try await target.bind()
        let stranger = try Station()
        try await stranger.connectBare(to: destination.endpoint)
        let hello = KVSending.hello(KVHello(worker: WorkerID("p"), epoch: epoch, modelHash: "abc"))
        #expect(try await eventually { try await stranger.sendBare(hello.frames().map(\.bytes)) })
        let (own, other) = (blocks(layer: 0, first: 0, count: 1), blocks(layer: 0, first: 1, count: 1))
        let source = Memory(filled: true)
        let payload = KVPayload(lending: source.blocks(own.range).map { UnsafeRawBufferPointer($0) }, of: own, modelHash: "abc", release: {})
        let intact = try KVSending.blocks(own, payload).frames().map(\.bytes)
        var damaged = intact
        damaged[1][1000] ^= 4
        let mislabelled = try KVSending.blocks(other, payload).frames().map(\.bytes)
        for frames in [damaged, mislabelled, intact] { #expect(try await stranger.sendBare(frames)) }
        #expect(await eventually { await target.stored.count == 3 })
        #expect(
            await target.stored == [
                KVStation.Stored(blocks: own, isIntact: false), KVStation.Stored(blocks: other, isIntact: false),
                KVStation.Stored(blocks: own, isIntact: true),
            ])
        #expect(await target.memory.copy(own.range) == source.copy(own.range))
        await stranger.close()
        await target.close()
    }

    @Test func aLostReceiverIsReportedByName() async throws {
        let (source, target, _) = try await connected()
        let before = await source.interruptions
        await target.close()
        #expect(await eventually { await source.interruptions == before + [WorkerID("d0")] })
        await source.close()
    }

    /// libzmq reads lent blocks where they lie.
    @Test func lentFramesAreNotCopied() {
        let memory = Memory(filled: true)
        let lent = UnsafeRawBufferPointer(memory.blocks(LayerBlockRange(layer: 0, first: 0, count: 1))[0])
        let released = Tally()
        let message = MessagePointer(Frame(lending: lent) { released.add() })
        #expect(message.bytes.baseAddress == lent.baseAddress)
        #expect(message.bytes.count == lent.count)
        #expect(released.count == 0)
        withExtendedLifetime(Frame(received: message)) { #expect(released.count == 0) }
        #expect(released.count == 1)
    }
}
