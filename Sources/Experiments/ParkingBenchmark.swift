import ClusterCore
import Generation
import Inference
import Kernels
import Logging
import WorkerRuntime

/// What it costs that a query's KV is parked and comes back, beside computing as many tokens again: the workers' own
/// store (``ParkingStore``), in the wire's format and with its checks, over KV that the same engine has just computed.
public final class ParkingBenchmark {
    /// One length, once: all of it in neighbouring moments.
    public struct Measurement: Sendable, Hashable {
        public var tokens: Int
        /// Of the KV in all layers.
        public var byteCount: Int
        /// Of a prompt of so many tokens, from nothing to its logits.
        public var prefill: Duration
        public var costs: [ParkingLot.Tier: Cost]
    }

    public struct Cost: Sendable, Hashable {
        /// The blocks are copied out.
        public var park: Duration
        /// Other blocks are filled from the copy, and the copy is given up.
        public var resume: Duration
    }

    /// The store did what a worker would take for lost KV.
    public struct Refusal: Error, CustomStringConvertible {
        public var tier: ParkingLot.Tier
        public var tokens: Int
        public var directory: String
        public var description: String {
            "\(tokens) tokens did not come back from the tier “\(tier)”, with files in \(directory)"
        }
    }

    private let engine: Engine
    private let model: Model
    private let threads: Int
    private let chunk: Int
    private let kv: KVCache
    private let store: ParkingStore
    private let directory: String
    /// The first half of the pool is computed, the second is what comes back.
    private let half: Int
    private var parkedCount: UInt64 = 0

    private static let blockSize = 16

    /// - Parameters:
    ///   - longest: tokens of the longest query; within the model's positions.
    ///   - chunk: prompt tokens of a step.
    ///   - directory: for the tier of files; must exist.
    /// - Throws: `KernelError` if memory is refused.
    public init(
        model: Model, team: ThreadTeam, threads: Int, kvFormat: KVFormat, longest: Int, chunk: Int, directory: String
    ) throws {
        precondition(longest >= 1 && longest <= model.configuration.maxPositions && chunk >= 1, "\(longest) tokens by \(chunk)")
        self.model = model
        self.threads = threads
        self.chunk = chunk
        self.directory = directory
        engine = try Engine(model: model, team: team)
        half = (longest + Self.blockSize - 1) / Self.blockSize
        kv = try KVCache(
            layout: model.kvLayout(blockSize: Self.blockSize, format: kvFormat), layerCount: model.configuration.layerCount,
            blockCount: 2 * half)
        store = ParkingStore(kv: kv, modelHash: "", directory: directory, logger: Logger(label: "parking"))
    }

    /// - Parameter tiers: in the order in which they are measured.
    /// - Throws: ``Refusal``, or what the engine throws.
    public func measure(tokens: Int, tiers: [ParkingLot.Tier]) throws -> Measurement {
        precondition((1...half * Self.blockSize).contains(tokens), "\(tokens) tokens in \(half) blocks")
        let blocks = (tokens + Self.blockSize - 1) / Self.blockSize
        let prefill = try ContinuousClock().measure { try self.prefill(tokens) }
        var costs: [ParkingLot.Tier: Cost] = [:]
        for tier in tiers { costs[tier] = try cost(tokens, blocks, tier) }
        return Measurement(
            tokens: tokens, byteCount: blocks * kv.layout.byteCount * kv.layerCount, prefill: prefill, costs: costs)
    }

    private func cost(_ tokens: Int, _ blocks: Int, _ tier: ParkingLot.Tier) throws -> Cost {
        parkedCount += 1
        var parked = ParkedKV(
            id: ParkID(parkedCount), epoch: ClusterEpoch(1), attempt: AttemptID(request: RequestID(parkedCount), ordinal: 1),
            tokenCount: tokens, tier: tier, blocks: (0..<blocks).map { BlockID(UInt32($0)) })
        let clock = ContinuousClock()
        var isWhole = false
        let park = clock.measure { isWhole = store.park(parked) }
        // Whoever is resumed gets other blocks than it had.
        parked.blocks = (half..<half + blocks).map { BlockID(UInt32($0)) }
        let resume = clock.measure {
            isWhole = isWhole && store.restore(parked)
            store.discard(parked.id)
        }
        guard isWhole else { throw Refusal(tier: tier, tokens: tokens, directory: directory) }
        return Cost(park: park, resume: resume)
    }

    private func prefill(_ tokens: Int) throws {
        let table = (0..<Int32((tokens + Self.blockSize - 1) / Self.blockSize)).map { $0 }
        let vocabulary = model.configuration.vocabularySize
        for start in stride(from: 0, to: tokens, by: chunk) {
            let end = min(start + chunk, tokens)
            var batch = TokenBatch()
            batch.append(
                (start..<end).map { TokenID(($0 &* 2_654_435_761 >> 7) % vocabulary) }, at: Int32(start), blockTable: table,
                logits: end == tokens ? .last : .none)
            _ = try engine.forward(batch, kv: kv, threads: threads)
        }
    }
}
