import ClusterCore
import Generation

/// A model whose every token depends on every bit of KV it is given.
///
/// The KV of a token in a layer (its *slot*) is a hash of the layer, the position, the token and all slots before it
/// in that layer; the next token is a hash of all slots in all layers, the seed and the index. Stale, missing, foreign
/// or repeated KV therefore shows as another token.
struct FakeModel {
    let layerCount: Int
    let vocabulary: Int

    /// Hash of no slots.
    static let empty: UInt64 = 0x6A09_E667_F3BC_C908

    func slot(layer: Int, position: Int, token: TokenID, before: UInt64) -> UInt64 {
        SplitMix.mix(SplitMix.mix(UInt64(layer) << 32 | UInt64(position), UInt64(UInt32(bitPattern: token))), before)
    }

    func fold(_ before: UInt64, _ slot: UInt64) -> UInt64 { SplitMix.mix(before, slot) }

    /// - Parameters:
    ///   - folds: per layer, the hash of all slots.
    ///   - masked: what must not be sampled; never the whole vocabulary.
    func sample(
        _ folds: [UInt64], _ sampling: SamplingParameters, index: Int32, masked: [TokenID] = []
    ) -> TokenID {
        var hash = SplitMix.mix(sampling.seed, UInt64(sampling.choice) << 32 | UInt64(UInt32(bitPattern: index)))
        for fold in folds { hash = SplitMix.mix(hash, fold) }
        var token = TokenID(hash % UInt64(vocabulary))
        while masked.contains(token) { token = (token + 1) % TokenID(vocabulary) }
        return token
    }

    /// How probable `token` is after those slots, and `top` others.
    func logprobs(_ folds: [UInt64], _ token: TokenID, top: Int) -> TokenLogprobs {
        func logprob(_ token: TokenID) -> Float {
            let hash = folds.reduce(UInt64(UInt32(bitPattern: token))) { SplitMix.mix($0, $1) }
            return -Float(hash % 4096) / 256
        }
        return TokenLogprobs(
            logprob: logprob(token), top: (0..<TokenID(top)).map { TokenLogprob(token: $0, logprob: logprob($0)) })
    }

    /// The tokens of a prompt with their scores.
    func scores(of prompt: [TokenID], top: Int) -> [ScoredToken] {
        prompt.indices.map { position in
            if position == 0 { return ScoredToken(prompt[0]) }
            let folds = (0..<layerCount).map { layer in
                slots(layer: layer, of: Array(prompt[..<position])).reduce(Self.empty, fold)
            }
            return ScoredToken(prompt[position], logprobs(folds, prompt[position], top: top))
        }
    }

    /// What an undisturbed run answers.
    func answer(
        to prompt: [TokenID], _ sampling: SamplingParameters, _ stop: StopConditions, logprobs top: Int? = nil
    ) -> Answer {
        var folds = Array(repeating: Self.empty, count: layerCount)
        var position = 0
        func extend(by token: TokenID) {
            for layer in folds.indices {
                folds[layer] = fold(
                    folds[layer], slot(layer: layer, position: position, token: token, before: folds[layer]))
            }
            position += 1
        }
        for token in prompt { extend(by: token) }
        var tokens: [ScoredToken] = []
        if stop.maxTokens == 0 { return Answer(tokens: tokens, reason: .length) }
        while true {
            let index = Int32(tokens.count)
            let token = sample(folds, sampling, index: index, masked: stop.maskedTokens(at: index))
            tokens.append(ScoredToken(token, top.map { logprobs(folds, token, top: $0) }))
            if let reason = stop.finishReason(after: token, at: index) { return Answer(tokens: tokens, reason: reason) }
            extend(by: token)
        }
    }

    struct Answer {
        var tokens: [ScoredToken]
        var reason: FinishReason
    }

    /// One layer's slots of a sequence.
    func slots(layer: Int, of tokens: [TokenID]) -> [UInt64] {
        var before = Self.empty
        return tokens.enumerated().map { position, token in
            let slot = slot(layer: layer, position: position, token: token, before: before)
            before = fold(before, slot)
            return slot
        }
    }
}

/// The KV memory of one worker process. It outlives registrations, and begins as rubbish.
struct FakeKV {
    let blockSize: Int
    private let blockCount: Int
    /// `[layers, blocks, blockSize]`
    private var slots: [UInt64]

    init(layerCount: Int, blockCount: Int, blockSize: Int, seed: UInt64) {
        self.blockSize = blockSize
        self.blockCount = blockCount
        var rubbish = SplitMix(state: seed)
        slots = (0..<layerCount * blockCount * blockSize).map { _ in rubbish.next() }
    }

    /// The slot of a sequence's position in one layer.
    subscript(layer: Int, position: Int, table: [BlockID]) -> UInt64 {
        get { slots[start(layer, table[position / blockSize]) + position % blockSize] }
        set { slots[start(layer, table[position / blockSize]) + position % blockSize] = newValue }
    }

    /// The hash of the first `count` slots of a sequence in one layer.
    func fold(layer: Int, count: Int, table: [BlockID], _ model: FakeModel) -> UInt64 {
        (0..<count).reduce(FakeModel.empty) { model.fold($0, self[layer, $1, table]) }
    }

    func read(layer: Int, blocks: [BlockID]) -> [UInt64] {
        blocks.flatMap { slots[start(layer, $0)..<start(layer, $0) + blockSize] }
    }

    mutating func write(_ payload: [UInt64], layer: Int, blocks: [BlockID]) {
        precondition(payload.count == blocks.count * blockSize, "\(payload.count) slots for \(blocks.count) blocks")
        for (index, block) in blocks.enumerated() {
            let start = start(layer, block)
            slots.replaceSubrange(start..<start + blockSize, with: payload[index * blockSize..<(index + 1) * blockSize])
        }
    }

    mutating func copyBlock(from: BlockID, to: BlockID, layerCount: Int) {
        for layer in 0..<layerCount { write(read(layer: layer, blocks: [from]), layer: layer, blocks: [to]) }
    }

    private func start(_ layer: Int, _ block: BlockID) -> Int { (layer * blockCount + Int(block.rawValue)) * blockSize }
}
