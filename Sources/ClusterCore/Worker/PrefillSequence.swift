import Generation

/// One prompt on a prefill worker, from its order until its KV is acknowledged.
struct PrefillSequence: Sendable {
    var order: SequenceOrder
    /// `nil`: the KV goes nowhere.
    var destination: KVDestination?
    /// Empty until the first chunk is planned, then for the whole prompt.
    var blocks: [BlockID] = []
    /// Of its prefix, until it gets those: a prompt that waits keeps what it waits for.
    var leased: [BlockID] = []
    /// Tokens whose KV was computed here so far, or found.
    var computed = 0
    /// Those that were found.
    var cachedCount = 0
    /// Per layer, how many of the first blocks hold their final KV.
    var readyBlocks: [Int]
    /// The tokens sampled from the prompt: one, or one for each fork; `nil` before.
    var first: [TokenEvent]?
    var transfer: OutgoingTransfer

    init(_ order: PrefillOrder, geometry: KVGeometry, timings: TransferTimings, at now: Instant) {
        self.order = order.sequence
        destination = order.destination
        readyBlocks = Array(repeating: 0, count: geometry.layerCount)
        transfer = OutgoingTransfer(
            layerCount: geometry.layerCount, blockCount: geometry.blockCount(forTokens: order.sequence.tokens.count),
            timings: timings, at: now)
    }

    var rank: Rank { order.rank }
    var hasBegun: Bool { !blocks.isEmpty }

    /// `computed` tokens of the layer are stored now: what has become final is ready to be sent.
    mutating func store(layer: Int, computed: Int, geometry: KVGeometry) {
        let isWhole = computed == order.tokens.count
        let final = isWhole ? geometry.blockCount(forTokens: computed) : computed / geometry.blockSize
        let first = readyBlocks[layer]
        guard final > first else { return }
        readyBlocks[layer] = final
        transfer.add(LayerBlockRange(layer: layer, first: first, count: final - first))
    }

    /// It begins with these blocks: what is known of them is ready in every layer.
    mutating func begin(_ claim: BlockPool.Claim, geometry: KVGeometry) {
        blocks = claim.blocks
        (computed, cachedCount) = (claim.tokenCount, claim.tokenCount)
        for layer in 0..<geometry.layerCount { store(layer: layer, computed: claim.tokenCount, geometry: geometry) }
    }

    /// Goes on as another attempt, whose transfer starts from nothing with all that is ready.
    mutating func retarget(
        as attempt: AttemptID, to destination: KVDestination, timings: TransferTimings, at now: Instant
    ) {
        order.attempt = attempt
        self.destination = destination
        if order.forks.isEmpty { first?.renameAll(attempt) }
        transfer = OutgoingTransfer(
            layerCount: transfer.layerCount, blockCount: transfer.blockCount, timings: timings, at: now)
        for (layer, count) in readyBlocks.enumerated() where count > 0 {
            transfer.add(LayerBlockRange(layer: layer, first: 0, count: count))
        }
        if first != nil { transfer.end() }
    }

    func checkInvariants(geometry: KVGeometry) {
        let blockCount = geometry.blockCount(forTokens: order.tokens.count)
        precondition(
            blocks.isEmpty || blocks.count == blockCount, "\(blocks.count) blocks for \(order.tokens.count) tokens")
        precondition(
            readyBlocks.allSatisfy { $0 >= 0 && $0 <= blocks.count }, "\(readyBlocks) of \(blocks.count) ready")
        precondition(first == nil || readyBlocks.allSatisfy { $0 == blockCount }, "sampled with \(readyBlocks) ready")
        transfer.checkInvariants()
    }
}

/// The step that the engine computes now.
struct RunningPrefill: Sendable {
    struct Chunk: Sendable {
        /// As the engine knows it.
        var attempt: AttemptID
        var range: Range<Int>
        var endsPrompt: Bool
        /// Whose samples are due.
        var sampled: [AttemptID]
        /// Position of the first score that is due; `nil` if none is.
        var firstScore: Int?
        /// Referenced for the step, whatever becomes of the sequence.
        var blocks: [BlockID]
        /// The sequence is still wanted, under this name or a newer one.
        var isLive = true

        init(_ chunk: PrefillQueue.Chunk, of order: SequenceOrder, in blocks: [BlockID]) {
            attempt = order.attempt
            range = chunk.range
            endsPrompt = chunk.endsPrompt
            firstScore = ChunkScoring(of: order, in: chunk.range)?.first
            sampled = !chunk.endsPrompt || order.stop.maxTokens == 0 ? [] : order.forks.isEmpty ? [order.attempt] : order.forks.map(\.attempt)
            self.blocks = blocks
        }
    }

    var chunks: [Chunk]
    /// Layers whose KV the step has written.
    var layersStored = 0
}

/// What the engine made of a chunk, told apart from that of others.
struct ChunkOutcome {
    var chunk: RunningPrefill.Chunk
    var samples: ArraySlice<Sample>
    var scores: ChunkScores?

    /// Deals samples and scores out to `chunks`, which asked for them in this order.
    static func deal(
        _ samples: ArraySlice<Sample>, _ scores: [ChunkScores], to chunks: [RunningPrefill.Chunk]
    ) -> [ChunkOutcome] {
        precondition(
            chunks.flatMap(\.sampled) == samples.map(\.attempt)
                && chunks.filter { $0.firstScore != nil }.map(\.attempt) == scores.map(\.attempt),
            "samples \(samples.map(\.attempt)), scores \(scores.map(\.attempt)) for chunks \(chunks)")
        var (samples, scores) = (samples, scores[...])
        return chunks.map { chunk in
            defer { samples = samples.dropFirst(chunk.sampled.count) }
            return ChunkOutcome(
                chunk: chunk, samples: samples.prefix(chunk.sampled.count),
                scores: chunk.firstScore == nil ? nil : scores.popFirst())
        }
    }

    /// What failed, if anything did.
    var failure: SampleFailure? {
        if case .failure(let failure)? = scores?.scores { return failure }
        for sample in samples { if case .failure(let failure) = sample.token { return failure } }
        return nil
    }

    /// The sampled tokens; those of the sequence itself under the name that it has now.
    func events(of order: SequenceOrder) -> [TokenEvent] {
        samples.compactMap { sample in
            try? sample.event(as: order.forks.isEmpty ? order.attempt : sample.attempt, at: order.firstIndex).get()
        }
    }

    /// What to say about the prompt's tokens, in pieces. The end of a prompt is always said, even if nothing was to be scored.
    func scoreReports(of order: SequenceOrder) -> [WorkerMessage] {
        guard order.scoring != nil else { return [] }
        var reports: [WorkerMessage] = []
        var first = chunk.firstScore ?? min(chunk.range.upperBound, order.promptCount)
        var rest = ((try? scores?.scores.get()) ?? [])[...]
        while !rest.isEmpty {
            let piece = Array(rest.prefix(PromptScores.maxCount))
            reports.append(.promptScored(order.attempt, PromptScores(first: first, tokens: piece)))
            (first, rest) = (first + piece.count, rest.dropFirst(piece.count))
        }
        if chunk.endsPrompt, reports.isEmpty {
            reports.append(.promptScored(order.attempt, PromptScores(first: order.promptCount, tokens: [])))
        }
        return reports
    }
}

extension [TokenEvent] {
    fileprivate mutating func renameAll(_ attempt: AttemptID) {
        for index in indices { self[index].attempt = attempt }
    }
}

extension SequenceOrder {
    /// How a worker tells what it sampled from the prompt.
    func report(of first: [TokenEvent]) -> WorkerMessage? {
        if forks.isEmpty { return first.first.map { .prefillFinished(attempt, $0) } }
        return .promptForked(attempt, first)
    }

    /// Whether all that comes of the prompt ends with these tokens.
    func ends(with first: [TokenEvent]) -> Bool {
        first.allSatisfy { stop.finishReason(after: $0.token, at: $0.index) != nil }
    }
}
