import ClusterCore
import Generation
import Inference
import Kernels

/// What it costs a running batch that a query enters or leaves it, against the length of its longest row: the decode
/// worker's own boundary (``DecodeRole``) with a real KV cache, in both layouts, and nothing else.
public final class InsertBenchmark {
    /// What happens at the boundary that is measured.
    public enum Event: String, Sendable, Hashable, CaseIterable {
        /// Nobody enters or leaves: what a boundary costs anyway.
        case nothing
        /// A query of a quarter of the longest enters.
        case insertShorter = "insert-shorter"
        /// A query of twice the length of all others enters.
        case insertLongest = "insert-longest"
        /// The longest has left: its padding goes.
        case trim
    }

    public struct Measurement: Sendable, Hashable {
        public var event: Event
        public var layout: BatchLayout
        /// Tokens of the longest row, before it has left or after it has entered.
        public var longest: Int
        public var blocksCopied: Int
        public var bytesCopied: Int
        /// Of the boundary: decision and copies.
        public var time: Duration
    }

    private let model: Model
    private let engine: Engine
    private let threads: Int
    private let rows: Int
    private let longest: Int
    private let kv: KVCache
    private let geometry: KVGeometry

    private static let blockSize = 16

    /// - Parameters:
    ///   - rows: of the batch, the one that enters or leaves among them; at least 2.
    ///   - longest: tokens of the longest row; at least 64.
    /// - Throws: `KernelError` if memory is refused.
    public init(model: Model, team: ThreadTeam, threads: Int, kvFormat: KVFormat, rows: Int, longest: Int) throws {
        precondition(rows >= 2 && longest >= 64, "\(rows) rows of \(longest) tokens")
        self.model = model
        self.threads = threads
        self.rows = rows
        self.longest = longest
        engine = try Engine(model: model, team: team)
        let layout = model.kvLayout(blockSize: Self.blockSize, format: kvFormat), c = model.configuration
        let blocks = (rows + 1) * (longest / Self.blockSize + 2)
        kv = try KVCache(layout: layout, layerCount: c.layerCount, blockCount: blocks)
        geometry = KVGeometry(
            layerCount: c.layerCount, blockSize: Self.blockSize, keyValueHeads: c.kvHeadCount, headDimension: c.headDim,
            bytesPerElement: layout.format.byteCount, bytesPerScale: layout.scaleByteCount)
        // Memory that was never written costs page faults when it is, and reads from the cache until then.
        for layer in 0..<kv.layerCount {
            for block in 0..<Int32(kv.blockCount) {
                kv.mutableBytes(layer: layer, block: block).initializeMemory(as: UInt8.self, repeating: 0x3c)
            }
        }
    }

    /// One boundary with `event`, in a batch made for it.
    public func measure(_ event: Event, layout: BatchLayout) -> Measurement {
        var batch = makeBatch(for: event, layout)
        let former = batch.counters.batch
        var iteration: DecodeIteration?
        let time = ContinuousClock().measure { iteration = boundary(of: &batch) }
        let counters = batch.counters.batch
        precondition(iteration?.rows.count == (event == .trim ? rows - 1 : rows), "\(event) leaves \(batch.load)")
        return Measurement(
            event: event, layout: layout, longest: longest, blocksCopied: Int(counters.blocksCopied - former.blocksCopied),
            bytesCopied: Int(counters.bytesCopied - former.bytesCopied), time: time)
    }

    /// One iteration of the whole batch with its longest row, as far as the model's positions reach.
    public func iterationTime() throws -> Duration {
        var role = makeBatch(for: .nothing, .blockTables)
        guard let iteration = boundary(of: &role) else { preconditionFailure("no rows in \(role.load)") }
        var batch = TokenBatch()
        for row in iteration.rows {
            let position = min(row.position, model.configuration.maxPositions - 1)
            batch.append(CollectionOfOne(row.input), at: Int32(position), blockTable: row.blockTable.map { Int32($0.rawValue) })
        }
        return try ContinuousClock().measure { _ = try engine.forward(batch, kv: kv, threads: threads) }
    }

    // MARK: The batch

    /// Everything up to the boundary that `event` is about.
    private func makeBatch(for event: Event, _ layout: BatchLayout) -> DecodeRole {
        var role = DecodeRole(DecodeRole.Configuration(
            clusterEpoch: ClusterEpoch(1), workerEpoch: WorkerEpoch(1), modelHash: "", geometry: geometry,
            blockCount: kv.blockCount, maxSequences: rows, maxModelLength: longest + 8, layout: layout))
        let half = longest / 2
        var lengths = Array(repeating: half, count: rows - 1)
        switch event {
        case .nothing, .trim: lengths.append(longest)
        case .insertShorter: lengths[0] = longest
        case .insertLongest: break
        }
        for (number, length) in lengths.enumerated() {
            // The longest ends with its second token if it is to leave.
            receive(number, length, maxTokens: event == .trim && length == longest ? 2 : 8, by: &role)
        }
        iterate(&role)
        switch event {
        case .nothing, .trim: break
        case .insertShorter: receive(rows, longest / 4, maxTokens: 8, by: &role)
        case .insertLongest: receive(rows, longest, maxTokens: 8, by: &role)
        }
        return role
    }

    /// A query of `length` tokens, the one to be decoded first included, arrives as a whole.
    private func receive(_ number: Int, _ length: Int, maxTokens: Int32, by role: inout DecodeRole) {
        let attempt = AttemptID(request: RequestID(UInt64(number) + 1), ordinal: 1), count = length - 1
        let epoch = role.configuration.clusterEpoch, peer = PeerID(1), now = Instant(nanoseconds: 0)
        let order = SequenceOrder(
            attempt: attempt, tokens: Array(repeating: 1, count: count), promptCount: count, sampling: .greedy,
            stop: StopConditions(maxTokens: maxTokens), priority: .normal)
        _ = role.handle(.message(.grant(Grant(sequence: order, budget: 0))), at: now)
        let open = KVOpen(epoch: epoch, attempt: attempt, modelHash: "", geometry: geometry, tokenCount: count, sent: 0)
        _ = role.handle(.kv(peer, .open(open)), at: now)
        for layer in 0..<geometry.layerCount {
            let range = LayerBlockRange(layer: layer, first: 0, count: geometry.blockCount(forTokens: count))
            let blocks = KVBlocks(epoch: epoch, attempt: attempt, tokenCount: count, range: range)
            _ = role.handle(.blocksStored(peer, blocks), at: now)
        }
        let next = TokenEvent(attempt: attempt, index: 0, token: 1)
        _ = role.handle(.kv(peer, .commit(KVCommit(epoch: epoch, attempt: attempt, tokenCount: count, next: next))), at: now)
    }

    /// What a decode worker's shell does between two iterations.
    private func boundary(of role: inout DecodeRole) -> DecodeIteration? {
        let (iteration, actions) = role.nextIteration(at: Instant(nanoseconds: 0))
        for case .copyBlock(let from, let to) in actions { kv.copyBlock(Int32(from.rawValue), to: Int32(to.rawValue)) }
        return iteration
    }

    private func iterate(_ role: inout DecodeRole) {
        guard let rows = boundary(of: &role)?.rows else { return }
        let samples = rows.map { Sample(attempt: $0.attempt, token: .success(1)) }
        _ = role.handle(.iterationFinished(samples), at: Instant(nanoseconds: 0))
    }
}
