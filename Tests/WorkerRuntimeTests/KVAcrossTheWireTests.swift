import ClusterCore
import Foundation
import Generation
import Inference
import Kernels
import Logging
import Testing
import Transport
import Wire

/// A query that was prefilled here and is decoded there has the logits of one that never moved, to the bit.
@Suite struct KVAcrossTheWireTests {
    private static let blockSize = 16

    @Test(arguments: ["llama2", "llama3", "mistral", "qwen2", "qwen3"], [WeightFormat.float32, .bfloat16])
    func logitsHaveTheSameBitsAfterKVCrossedTheWire(checkpoint: String, format: WeightFormat) async throws {
        try await cross(checkpoint, format, .auto)
    }

    @Test(arguments: ["llama2", "llama3", "mistral", "qwen2", "qwen3"])
    func int8KVHasTheSameBitsAfterItCrossedTheWire(checkpoint: String) async throws {
        try await cross(checkpoint, .bfloat16, .int8)
    }

    private func cross(_ checkpoint: String, _ format: WeightFormat, _ kvFormat: KVFormat) async throws {
        let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/checkpoints/\(checkpoint)").path
        let team = try ThreadTeam(maxThreads: 1)
        let kernels = try KernelSet.select(environment: ProcessInfo.processInfo.environment)
        let model = try Model(path: directory, format: format, kernels: kernels, team: team, threads: 1)
        let engine = try Engine(model: model, team: team)
        let tokens = (0..<75).map { TokenID(($0 * 37 + 11) % model.configuration.vocabularySize) }
        let blockCount = (tokens.count + Self.blockSize - 1) / Self.blockSize

        // Here: whole, then the last token as a decode row.
        let stayed = try cache(model, kvFormat, blocks: blockCount)
        let straight = (0..<Int32(blockCount)).map { $0 }
        _ = try forward(engine, tokens.dropLast(), stayed, straight)
        let expected = try forward(engine, tokens.suffix(1), stayed, straight)

        // There: prefilled in chunks in one pool, sent, and decoded from other blocks of another pool.
        let source = try cache(model, kvFormat, blocks: blockCount)
        for chunk in stride(from: 0, to: tokens.count - 1, by: 7) {
            _ = try forward(engine, tokens[chunk..<min(chunk + 7, tokens.count - 1)], source, straight)
        }
        let target = try cache(model, kvFormat, blocks: 3 * blockCount)
        let scattered = (0..<Int32(blockCount)).map { 3 * (Int32(blockCount) - 1 - $0) + 1 }
        try await Crossing.carry(from: source, straight, to: target, scattered)
        let moved = try forward(engine, tokens.suffix(1), target, scattered)

        #expect(moved == expected)
    }

    private func cache(_ model: Model, _ format: KVFormat, blocks: Int) throws -> KVCache {
        try KVCache(
            layout: model.kvLayout(blockSize: Self.blockSize, format: format),
            layerCount: model.configuration.layerCount, blockCount: blocks)
    }

    /// Runs a slice of the tokens at its own positions: the digest of the last row's logits.
    private func forward(
        _ engine: Engine, _ tokens: ArraySlice<TokenID>, _ kv: KVCache, _ table: [Int32]
    ) throws -> UInt64 {
        var batch = TokenBatch()
        batch.append(tokens, at: Int32(tokens.startIndex), blockTable: table)
        return logitsDigest(try engine.forward(batch, kv: kv, threads: 1)[0])
    }
}

/// Both ends of a transfer over a real socket.
private actor Crossing {
    nonisolated let thread: SocketThread
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private var receiver: KVReceiver?
    private var sender: KVSender?
    private var isOpen = false
    private var intactBlocks = 0
    private var damagedBlocks = 0

    private init() throws { thread = try SocketThread(name: "crossing") }

    static func carry(from source: KVCache, _ sourceTable: [Int32], to target: KVCache, _ targetTable: [Int32]) async throws {
        let crossing = try Crossing()
        let destination = try await crossing.open(into: target, targetTable)
        let attempt = AttemptID(request: RequestID(1), ordinal: 1)
        let deadline = ContinuousClock.now + .seconds(10)
        while await !crossing.isOpen, ContinuousClock.now < deadline {
            await crossing.greet(destination, attempt)
            try await Task.sleep(for: .milliseconds(5))
        }
        await crossing.send(source, sourceTable, attempt, to: destination)
        let expected = source.layerCount * sourceTable.count
        while await crossing.intactBlocks < expected, ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(5))
        }
        let (intact, damaged) = (await crossing.intactBlocks, await crossing.damagedBlocks)
        #expect(intact == expected)
        #expect(damaged == 0)
        await crossing.close()
    }

    private func open(into kv: KVCache, _ table: [Int32]) throws -> KVDestination {
        let welcome = KVWelcome(worker: WorkerID("there"), epoch: ClusterEpoch(1), modelHash: "m", isRegistered: true)
        let receiver = try KVReceiver(
            thread: thread, bind: Endpoint("tcp://127.0.0.1:*"), security: .loopbackOnly, maxFrameBytes: 1 << 20,
            logger: logger,
            handler: KVReceiver.Handler(
                message: { [weak self] _, _ in self?.assumeIsolated { $0.isOpen = true } },
                destination: { _, blocks in
                    (0..<blocks.range.count).map {
                        kv.mutableBytes(layer: blocks.range.layer, block: table[blocks.range.first + $0])
                    }
                },
                stored: { [weak self] _, blocks, isIntact in
                    self?.assumeIsolated {
                        if isIntact { $0.intactBlocks += blocks.range.count } else { $0.damagedBlocks += 1 }
                    }
                },
                welcome: { welcome }))
        self.receiver = receiver
        sender = KVSender(
            thread: thread, hello: KVHello(worker: WorkerID("here"), epoch: ClusterEpoch(1), modelHash: "m"),
            logger: logger, receive: { _ in }, interrupted: { _ in })
        return KVDestination(worker: WorkerID("there"), endpoint: receiver.endpoint.map { "\($0)" } ?? "")
    }

    private func greet(_ destination: KVDestination, _ attempt: AttemptID) {
        sender?.send(.abort(ClusterEpoch(1), attempt), to: destination)
    }

    private func send(_ kv: KVCache, _ table: [Int32], _ attempt: AttemptID, to destination: KVDestination) {
        for layer in 0..<kv.layerCount {
            let blocks = KVBlocks(
                epoch: ClusterEpoch(1), attempt: attempt, tokenCount: table.count * kv.blockSize,
                range: LayerBlockRange(layer: layer, first: 0, count: table.count))
            sender?.send(blocks, from: table.map { kv.bytes(layer: layer, block: $0) }, to: destination) {
                withExtendedLifetime(kv) {}
            }
        }
    }

    private func close() {
        sender?.close()
        receiver?.close()
        thread.stop()
    }
}
