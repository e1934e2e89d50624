import Kernels

/// One step of the forward pass. Its functions run in the order of the file, layer by layer; each splits its output rows,
/// or columns, or heads over the threads. How many these are may change before each part.
struct ForwardStep {
    let model: Model
    let team: ThreadTeam
    let scratch: ForwardScratch
    let clock: StepClock
    let batch: TokenBatch
    let kv: KVCache
    private let sharing: SharedAttention
    private var threads = 1
    /// What the plans of the attention were made for.
    private var plannedThreads = 0

    init(engine: Engine, batch: TokenBatch, kv: KVCache) {
        model = engine.model
        team = engine.team
        scratch = engine.scratch
        clock = engine.clock
        sharing = engine.sharedAttention
        self.batch = batch
        self.kv = kv
    }

    /// The next part of the step has as many threads as `crew` says.
    private mutating func relieve(_ crew: () -> Int) {
        threads = crew()
        precondition((1...team.maxThreads).contains(threads), "\(threads) threads of \(team.maxThreads)")
    }

    /// Runs `body` for every row, on more than one thread if there is enough to do.
    private func forEachRow(_ count: Int, width: Int, _ body: @Sendable (_ row: Int, _ thread: Int) -> Void) {
        let worthwhile = count * width >= 16_384 ? threads : 1
        team.forEachRange(of: count, chunk: max(1, count / (worthwhile * 4)), threads: worthwhile) { rows, thread in
            for row in rows { body(row, thread) }
        }
    }

    /// Hidden rows from the embedding, and each row's rope table.
    mutating func embed(crew: () -> Int) throws {
        relieve(crew)
        let hidden = try scratch.hidden.rows(batch.rowCount), rope = try scratch.rope.rows(batch.rowCount)
        let batch = batch, model = model, half = model.configuration.headDim / 2
        forEachRow(batch.rowCount, width: model.configuration.hiddenSize) { row, _ in
            model.weights.embedding.copyRow(Int(batch.tokens[row]), to: hidden.base + row * hidden.stride)
            let cosine = rope.base + row * rope.stride
            Elementary.rope(position: batch.positions[row], frequencies: model.inverseFrequencies, cosine: cosine,
                            sine: cosine + half)
        }
        clock.mark(.elementwise)
    }

    mutating func run(layer index: Int, crew: () -> Int, onLayer: (Int) -> Void) throws {
        relieve(crew)
        let layer = model.weights.layers[index], isLast = index == model.weights.layers.count - 1
        try normalize(weight: layer.inputNorm, adding: index > 0, rows: batch.rowCount)
        let qkv = try scratch.qkv.rows(batch.rowCount)
        clock.mark(.elementwise)
        layer.qkv.multiply(
            scratch.normed.view(batch.rowCount), into: qkv, later: later(.qkv, layer: index), team: team, threads: threads)
        clock.mark(.gemm)
        try storeKeysAndValues(layer, index: index)
        onLayer(index)
        // After the last layer's K and V, only rows whose logits are wanted are needed.
        let rows = isLast ? batch.logitRows.count : batch.rowCount
        clock.mark(.elementwise)
        if rows == 0 { return }
        relieve(crew)
        try attend(layer: index, onlyLogitRows: isLast)
        clock.mark(.attention)
        if isLast { try keepLogitRows() }
        let attention = try scratch.attention.rows(rows), attended = scratch.attended.view(rows)
        forEachRow(rows, width: attention.columns) { row, _ in
            attended.set(row: row, to: attention.base + row * attention.stride)
        }
        let delta = try scratch.delta.rows(rows)
        clock.mark(.elementwise)
        relieve(crew)
        layer.output.multiply(attended, into: delta, later: later(.output, layer: index + 1), team: team, threads: threads)
        clock.mark(.gemm)
        if let bias = layer.outputBias { add(bias, to: delta) }
        try normalize(weight: layer.attentionNorm, adding: true, rows: rows)
        try feedForward(layer, index: index, rows: rows, crew: crew)
    }

    private func later(_ part: KVReadAhead.Part, layer: Int) -> ReadAhead? {
        scratch.readAhead.share(of: part, layer: layer, kv: kv, model: model)
    }

    /// The residual stream takes in `delta` (if `adding`), and its norm becomes the input of the next product.
    private func normalize(weight: [Float], adding: Bool, rows: Int) throws {
        let hidden = try scratch.hidden.rows(batch.rowCount), delta = try scratch.delta.rows(rows)
        let normed = scratch.normed.view(rows), lanes = scratch.rowPerThread
        let kernels = model.kernels, epsilon = model.configuration.rmsNormEpsilon
        forEachRow(rows, width: hidden.columns) { row, thread in
            let x = hidden.base + row * hidden.stride, out = lanes.base + thread * lanes.stride
            if adding { kernels.add(delta.base + row * delta.stride, to: x, count: hidden.columns) }
            kernels.rmsNorm(x, weight: weight, into: out, epsilon: epsilon)
            normed.set(row: row, to: out)
        }
    }

    private func add(_ bias: [Float], to rows: Rows) {
        let kernels = model.kernels
        forEachRow(rows.count, width: rows.columns) { row, _ in
            kernels.add(bias, to: rows.base + row * rows.stride, count: bias.count)
        }
    }

    /// Biases, head norms and rope on `qkv`, then K and V into the cache.
    private func storeKeysAndValues(_ layer: ModelWeights.Layer, index: Int) throws {
        let c = model.configuration, kernels = model.kernels, kv = kv, tables = scratch.rowTables
        let positions = batch.positions, sequences = batch.sequences, isPadding = batch.isPadding
        let qkv = try scratch.qkv.rows(batch.rowCount), rope = try scratch.rope.rows(batch.rowCount)
        forEachRow(batch.rowCount, width: qkv.columns) { row, _ in
            let q = qkv.base + row * qkv.stride, k = q + c.queryWidth, v = k + c.kvWidth
            if let bias = layer.qkvBias { kernels.add(bias, to: q, count: bias.count) }
            if let norm = layer.queryNorm { Self.normalizeHeads(q, c.headCount, norm, kernels, c.rmsNormEpsilon) }
            if let norm = layer.keyNorm { Self.normalizeHeads(k, c.kvHeadCount, norm, kernels, c.rmsNormEpsilon) }
            let cosine = rope.base + row * rope.stride
            kernels.rotate(q, heads: c.headCount + c.kvHeadCount, headDim: c.headDim, cosine: cosine,
                           sine: cosine + c.headDim / 2)
            if isPadding[Int(sequences[row])] { return }
            let position = Int(positions[row]), block = tables.block(row: row, index: position / kv.blockSize)
            kv.layout.store(k: k, v: v, slot: position % kv.blockSize, of: kv.address(layer: index, block: block),
                            kernels: kernels)
        }
    }

    private static func normalizeHeads(
        _ x: UnsafeMutablePointer<Float>, _ heads: Int, _ weight: [Float], _ kernels: KernelSet, _ epsilon: Float
    ) {
        for head in 0..<heads {
            let values = x + head * weight.count
            kernels.rmsNorm(values, weight: weight, into: values, epsilon: epsilon)
        }
    }

    private mutating func attend(layer: Int, onlyLogitRows: Bool) throws {
        // Threads may join a long one, which has to be cut for them then.
        let isOpen = team.relief != nil && batch.rowCount >= AttentionPass.leastRowsOfLong
        let planned = isOpen ? team.maxThreads : threads
        if planned != plannedThreads {
            scratch.planAttention(of: batch, sharing: sharing, threads: planned)
            plannedThreads = planned
        }
        let (plan, parts) = try scratch.attentionPlan(layer: layer, onlyLogitRows: onlyLogitRows)
        let pass = AttentionPass(
            plan: plan, q: try scratch.qkv.rows(batch.rowCount),
            out: try scratch.attention.rows(onlyLogitRows ? batch.logitRows.count : batch.rowCount), parts: parts,
            perThread: scratch.perThread, tables: scratch.rowTables, kv: kv, layer: layer,
            kernels: model.kernels)
        pass.run(on: team)
        clock.countSaved(byteCount: plan.savedKeys * (kv.bytesPerBlockPerLayer / kv.blockSize))
    }

    /// Moves the residual rows whose logits are wanted to the front.
    private func keepLogitRows() throws {
        let hidden = try scratch.hidden.rows(batch.rowCount)
        for (index, row) in batch.logitRows.enumerated() where index != Int(row) {
            (hidden.base + index * hidden.stride).update(from: hidden.base + Int(row) * hidden.stride, count: hidden.columns)
        }
    }

    private mutating func feedForward(_ layer: ModelWeights.Layer, index: Int, rows: Int, crew: () -> Int) throws {
        let activated = scratch.activated.view(rows)
        clock.mark(.elementwise)
        relieve(crew)
        layer.gateUp.multiplyGated(
            scratch.normed.view(rows), into: activated, scratch: scratch.gatedPerThread,
            whole: layer.gateUp.usesOpenBLAS ? try scratch.gateUp.rows(rows) : nil, later: later(.gateUp, layer: index + 1),
            team: team, threads: threads)
        relieve(crew)
        layer.down.multiply(
            activated, into: try scratch.delta.rows(rows), later: later(.down, layer: index + 1), team: team, threads: threads)
        clock.mark(.gemm)
    }

    /// The wanted rows become the head's input.
    mutating func normalizeLogitRows(crew: () -> Int) throws {
        let rows = batch.logitRows.count
        if rows == 0 { return }
        relieve(crew)
        try normalize(weight: model.weights.finalNorm, adding: true, rows: rows)
        clock.mark(.elementwise)
    }

    /// Logits of some of the wanted rows. Which rows share a product changes no bit.
    mutating func project(_ rows: Range<Int>, crew: () -> Int) throws -> Logits {
        relieve(crew)
        let logits = try scratch.logits.rows(rows.count)
        let normed = scratch.normed.view(batch.logitRows.count).slice(rows)
        model.weights.head.multiply(normed, into: logits, team: team, threads: threads)
        clock.mark(.head)
        return Logits(rows: logits, count: rows.count)
    }
}
