import Generation
import Kernels

/// Runs the forward pass of one model over ragged token batches.
///
/// Belongs to the thread that uses it, for one step at a time: it keeps scratch between steps and owns the thread team
/// (not Sendable on purpose). The model and the KV cache may be shared.
///
/// A row's logits depend on the model, on the row's token and position, and on the K and V of its own sequence's earlier
/// positions. They have the same bits whatever else is in the batch, however the prompt was cut into chunks, whichever
/// blocks hold it and however many threads run.
public final class Engine {
    public let model: Model
    let team: ThreadTeam
    let scratch: ForwardScratch
    let clock = StepClock()
    /// How the next steps attend to blocks that sequences share.
    public var sharedAttention = SharedAttention.auto

    /// - Throws: `KernelError` if memory is refused.
    public init(model: Model, team: ThreadTeam) throws(KernelError) {
        self.model = model
        self.team = team
        scratch = try ForwardScratch(model: model, maxThreads: team.maxThreads)
    }

    public var maxThreads: Int { team.maxThreads }

    /// Where the time of the steps went since the last ``resetProfile()``.
    public var profile: StepProfile { clock.profile }
    public func resetProfile() { clock.reset() }

    /// Computes one step: stores K and V of all rows in `kv`, returns the logits of `batch.logitRows`.
    ///
    /// - Parameters:
    ///   - threads: threads of this step, at most the team's.
    ///   - cores: where they run, in order (``ThreadTeam/place(on:)``); `nil` leaves them where they are.
    ///   - onLayer: called on the calling thread when K and V of this batch are stored in that layer, while later layers
    ///     have yet to run, so that they can be sent meanwhile.
    /// - Returns: a view of the engine's scratch, valid until the next step.
    /// - Throws: ``ForwardError`` before anything is computed, if the batch does not fit model or cache; `KernelError` if
    ///   memory is refused.
    public func forward(
        _ batch: TokenBatch, kv: KVCache, threads: Int, cores: [Int]? = nil, onLayer: (_ layer: Int) -> Void = { _ in }
    ) throws -> Logits {
        if let cores { try team.place(on: cores) }
        return try forward(batch, kv: kv, crew: { threads }, onLayer: onLayer)
    }

    /// The same, with threads that come and go while the step runs.
    ///
    /// - Parameter crew: asked on the calling thread before each part of the step (a product, an attention) how many
    ///   threads there are from now on, at most the team's. It may take its time, and place the team.
    public func forward(
        _ batch: TokenBatch, kv: KVCache, crew: () -> Int, onLayer: (_ layer: Int) -> Void = { _ in }
    ) throws -> Logits {
        var result: Logits?
        try forward(batch, kv: kv, crew: crew, onLayer: onLayer, logitSlice: batch.logitRows.count) { logits, _ in
            result = logits
        }
        return try result ?? Logits(rows: scratch.logits.rows(1), count: 0)
    }

    /// The same for more rows of logits than there should be memory for: `onLogits` gets them slice by slice.
    ///
    /// - Parameters:
    ///   - logitSlice: logit rows at a time; changes no bit of them.
    ///   - onLogits: called on the calling thread with some rows' logits, valid until it returns, and which of
    ///     `batch.logitRows` they are; in order.
    public func forward(
        _ batch: TokenBatch, kv: KVCache, crew: () -> Int, onLayer: (_ layer: Int) -> Void = { _ in }, logitSlice: Int,
        onLogits: (_ logits: Logits, _ rows: Range<Int>) throws -> Void
    ) throws {
        try check(batch, kv)
        guard batch.rowCount > 0 else { return }
        try scratch.prepare(batch, kv: kv)
        clock.begin()
        var step = ForwardStep(engine: self, batch: batch, kv: kv)
        try step.embed(crew: crew)
        for layer in model.weights.layers.indices { try step.run(layer: layer, crew: crew, onLayer: onLayer) }
        try step.normalizeLogitRows(crew: crew)
        let count = batch.logitRows.count
        for start in stride(from: 0, to: count, by: max(1, logitSlice)) {
            let rows = start..<min(start + max(1, logitSlice), count)
            try onLogits(try step.project(rows, crew: crew), rows)
        }
    }

    private func check(_ batch: TokenBatch, _ kv: KVCache) throws(ForwardError) {
        let configuration = model.configuration
        guard kv.layerCount == configuration.layerCount, kv.layout.kvHeads == configuration.kvHeadCount,
              kv.layout.headDim == configuration.headDim else { throw .cacheOfAnotherModel }
        for row in 0..<batch.rowCount {
            let token = batch.tokens[row], position = batch.positions[row]
            guard token >= 0, Int(token) < configuration.vocabularySize else { throw .token(token, row: row) }
            guard position >= 0, Int(position) < configuration.maxPositions else { throw .position(position, row: row) }
            let table = batch.blockTables[Int(batch.sequences[row])]
            guard Int(position) / kv.blockSize < table.count else { throw .blockMissing(position: position, row: row) }
        }
        for (sequence, last) in Self.lastPositions(batch) {
            let padding = batch.isPadding[sequence] ? kv.nullBlock : nil
            for block in batch.blockTables[sequence].prefix(last / kv.blockSize + 1)
            where (block < 0 || Int(block) >= kv.blockCount) && block != padding { throw .block(block, sequence: sequence) }
        }
    }

    private static func lastPositions(_ batch: TokenBatch) -> [(sequence: Int, last: Int)] {
        var result: [(sequence: Int, last: Int)] = []
        for row in 0..<batch.rowCount where row + 1 == batch.rowCount || batch.sequences[row + 1] != batch.sequences[row] {
            result.append((Int(batch.sequences[row]), Int(batch.positions[row])))
        }
        return result
    }
}

/// Logits of the rows that a batch asked for, `[rows, vocabulary]`, in the engine's own memory: valid until its next step.
public struct Logits: Sendable {
    let rows: Rows
    public let count: Int

    public var vocabularySize: Int { rows.columns }

    /// Logits of the `index`-th wanted row, `[vocabulary]`.
    public subscript(index: Int) -> UnsafeBufferPointer<Float> {
        precondition(index >= 0 && index < count, "logits \(index) of \(count)")
        return UnsafeBufferPointer(rows[index])
    }

    /// A copy of one row.
    public func copy(_ index: Int) -> [Float] { Array(self[index]) }
}

/// A batch that model or cache cannot run.
public enum ForwardError: Error, Sendable, Hashable, CustomStringConvertible {
    case token(TokenID, row: Int)
    case position(Int32, row: Int)
    case blockMissing(position: Int32, row: Int)
    case block(Int32, sequence: Int)
    case cacheOfAnotherModel

    public var description: String {
        switch self {
        case .token(let token, let row): "row \(row): token \(token) is not in the vocabulary"
        case .position(let position, let row): "row \(row): position \(position) is beyond the model's length"
        case .blockMissing(let position, let row): "row \(row): no block for position \(position)"
        case .block(let block, let sequence): "sequence \(sequence): block \(block) is not in the cache"
        case .cacheOfAnotherModel: "the KV cache has another shape than the model"
        }
    }
}
