import Generation
import Inference
import Kernels
import LentCores

/// Steps of an engine of its own, on the threads of a crew.
final class LeasedSteps {
    enum Workload: Sendable, Hashable {
        /// One chunk of a prompt.
        case prefill(tokens: Int)
        /// Rows that see about `context` keys.
        case decode(rows: Int, context: Int)

        var tokens: Int {
            switch self {
            case .prefill(let tokens): tokens
            case .decode(let rows, _): rows
            }
        }

        fileprivate var blocksPerSequence: Int {
            switch self {
            case .prefill(let tokens): (tokens + LeasedSteps.blockSize - 1) / LeasedSteps.blockSize
            case .decode(_, let context): context / LeasedSteps.blockSize + 1
            }
        }

        fileprivate var sequences: Int {
            switch self {
            case .prefill: 1
            case .decode(let rows, _): rows
            }
        }
    }

    private static let blockSize = 16
    private let engine: Engine
    private let kv: KVCache

    /// - Parameter workloads: all that will be run, for the size of the KV cache.
    init(model: Model, team: ThreadTeam, workloads: [Workload]) throws {
        engine = try Engine(model: model, team: team)
        let blocks = workloads.map { $0.blocksPerSequence * $0.sequences }.max() ?? 1
        kv = try KVCache(
            layout: model.kvLayout(blockSize: Self.blockSize, format: .auto), layerCount: model.configuration.layerCount,
            blockCount: blocks)
        // Memory that was never written would be read from the cache.
        try run(.prefill(tokens: Self.blockSize), on: FixedCrew(team: team, threads: 1, cores: []))
        for block in 1..<max(1, Int32(blocks)) { kv.copyBlock(0, to: block) }
    }

    /// Runs one step and returns how long it took, waits for a core included.
    @discardableResult
    func run(_ workload: Workload, on crew: any EngineCrew) throws -> Duration {
        let batch = batch(of: workload)
        return try ContinuousClock().measure {
            crew.begin(borrowing: true)
            defer { crew.end() }
            _ = try engine.forward(batch, kv: kv, crew: crew.relieve)
        }
    }

    private func batch(of workload: Workload) -> TokenBatch {
        var batch = TokenBatch()
        let perSequence = workload.blocksPerSequence
        let tables = (0..<workload.sequences).map { row in (0..<perSequence).map { Int32(row * perSequence + $0) } }
        switch workload {
        case .prefill(let tokens): batch.append((0..<tokens).map(token), at: 0, blockTable: tables[0])
        case .decode(let rows, let context):
            for row in 0..<rows {
                batch.append(CollectionOfOne(token(row)), at: Int32(context), blockTable: tables[row])
            }
        }
        return batch
    }

    private func token(_ position: Int) -> TokenID {
        TokenID((position &* 2_654_435_761 >> 7) % engine.model.configuration.vocabularySize)
    }
}
