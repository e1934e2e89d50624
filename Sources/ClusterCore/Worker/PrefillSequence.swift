import Generation

/// One prompt on a prefill worker, from its order until its KV is acknowledged.
struct PrefillSequence: Sendable {
    var order: SequenceOrder
    var destination: KVDestination
    /// Empty until the first chunk is planned, then for the whole prompt.
    var blocks: [BlockID] = []
    /// Per layer, how many of the first blocks hold their final KV.
    var readyBlocks: [Int]
    /// The token sampled from the prompt.
    var first: TokenEvent?
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

    /// Goes on as another attempt, whose transfer starts from nothing with all that is ready.
    mutating func retarget(
        as attempt: AttemptID, to destination: KVDestination, timings: TransferTimings, at now: Instant
    ) {
        order.attempt = attempt
        self.destination = destination
        first?.attempt = attempt
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
        /// Referenced for the step, whatever becomes of the sequence.
        var blocks: [BlockID]
        /// The sequence is still wanted, under this name or a newer one.
        var isLive = true

        init(_ chunk: PrefillQueue.Chunk, of order: SequenceOrder, in blocks: [BlockID]) {
            attempt = order.attempt
            range = chunk.range
            endsPrompt = chunk.endsPrompt
            self.blocks = blocks
        }
    }

    var chunks: [Chunk]
    /// Layers whose KV the step has written.
    var layersStored = 0
}
