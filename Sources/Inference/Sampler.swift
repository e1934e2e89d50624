import Generation
import Grammar
import Kernels

/// Chooses the next token from logits: a function of the logits, the parameters, the tokens so far, the choice and the
/// token index, and of nothing else, so that a replay on another worker chooses the same.
///
/// In this order: the mask, outside of which logits are minus infinity; bias; penalties; single masked tokens; temperature;
/// top-k; top-p over what top-k kept, renormalised; min-p; one draw. Weights are our
/// own `exp` of (logit - largest) / temperature in float32. With top-k or top-p, candidates are ordered by (logit
/// descending, id ascending), so that ties never depend on a sort's mood, and their weights are summed in double in that
/// order. Otherwise the whole vocabulary is drawn from in the order of ids, with the sums of `bk_kernels.softmax_weights`.
///
/// Keeps scratch between calls: one sampler per thread.
public struct Sampler: Sendable {
    private let kernels: KernelSet
    private var penalties = PenaltyScratch()
    /// Logits within a mask.
    private var allowed: [Float] = []
    private var weights: [Float] = []
    private var blockSums: [Double] = []
    private var found: [Int32] = []
    private var candidates: [Candidate] = []
    private var top: [TokenLogprob] = []

    private struct Candidate: Sendable {
        var id: TokenID
        var logit: Float
        var weight: Float

        static func precedes(_ a: Candidate, _ b: Candidate) -> Bool {
            a.logit > b.logit || (a.logit == b.logit && a.id < b.id)
        }
    }

    public init(kernels: KernelSet) { self.kernels = kernels }

    /// - Parameters:
    ///   - logits: `[vocabulary]`, as the forward pass left them.
    ///   - prompt: counts for the repetition penalty.
    ///   - generated: tokens of the answer so far (also those emitted before a replay); count for all penalties.
    ///   - mask: the tokens that may be chosen; `nil`: all.
    ///   - choice: index of the answer among the `n` of a request.
    ///   - index: index of the token within the answer, from 0.
    ///   - masked: tokens that must not be chosen either. Ids outside the vocabulary are passed over.
    /// - Throws: ``SamplingError`` for logits that are not numbers, a mask that allows none of them, or parameters outside
    ///   their range.
    public mutating func sample(
        logits: UnsafeBufferPointer<Float>, parameters: SamplingParameters, prompt: [TokenID], generated: [TokenID],
        mask: TokenMask? = nil, choice: UInt32, index: UInt32, masked: [TokenID] = []
    ) throws(SamplingError) -> TokenID {
        try Self.check(parameters)
        guard let mask else {
            return try sample(
                logits, parameters, prompt: prompt, generated: generated, choice: choice, index: index, masked: masked)
        }
        // Penalties might push even the only logit out of the numbers.
        if !parameters.usesPenalties, masked.isEmpty, let forced = try mask.onlyChoice(among: logits) { return forced }
        if mask.isEmpty { throw .emptyMask }
        var values: [Float] = []
        swap(&values, &allowed)
        defer { swap(&values, &allowed) }
        mask.apply(to: logits, into: &values)
        return try values.withUnsafeBufferPointer { (buffer) throws(SamplingError) -> TokenID in
            try sample(
                buffer, parameters, prompt: prompt, generated: generated, choice: choice, index: index, masked: masked)
        }
    }

    private mutating func sample(
        _ logits: UnsafeBufferPointer<Float>, _ parameters: SamplingParameters, prompt: [TokenID], generated: [TokenID],
        choice: UInt32, index: UInt32, masked: [TokenID]
    ) throws(SamplingError) -> TokenID {
        guard parameters.usesPenalties || !parameters.logitBias.isEmpty || !masked.isEmpty else {
            return try choose(from: logits, parameters, choice: choice, index: index)
        }
        var scratch = PenaltyScratch()
        swap(&scratch, &penalties)
        defer { swap(&scratch, &penalties) }
        scratch.begin(logits, parameters.logitBias)
        scratch.penalize(parameters, prompt: prompt, generated: generated)
        scratch.mask(masked)
        let values = scratch.values
        return try values.withUnsafeBufferPointer { (buffer) throws(SamplingError) -> TokenID in
            try choose(from: buffer, parameters, choice: choice, index: index)
        }
    }

    /// The log-probability of `token` and of the `count` most probable tokens, by the log-softmax of the logits as the
    /// forward pass left them. Weights are our own `exp` in float32, summed in double in the order of
    /// `bk_kernels.softmax_weights`; the logarithm is ours too.
    /// - Throws: ``SamplingError`` for logits that are not numbers.
    public mutating func logprobs(
        of token: TokenID, logits: UnsafeBufferPointer<Float>, top count: Int
    ) throws(SamplingError) -> TokenLogprobs {
        precondition(logits.indices.contains(Int(token)), "token \(token) of \(logits.count)")
        let largest = logits[Int(try greatest(of: logits))]
        kernels.softmaxWeights(logits, largest: largest, temperature: 1, least: 0, into: &weights, sums: &blockSums)
        let logSum = Elementary.log2(blockSums.reduce(0, +)) * 0.6931471805599453
        func logprob(_ logit: Float) -> Float { Float(min(0, Double(logit) - Double(largest) - logSum)) }
        collectTop(count, of: logits)
        return TokenLogprobs(
            logprob: logprob(logits[Int(token)]), top: top.map { TokenLogprob(token: $0.token, logprob: logprob($0.logprob)) })
    }

    /// Leaves the largest logits in `top`, the lower id first among equals.
    private mutating func collectTop(_ count: Int, of logits: UnsafeBufferPointer<Float>) {
        top.removeAll(keepingCapacity: true)
        guard count > 0 else { return }
        var least = -Float.infinity
        for id in logits.indices where logits[id] > least || top.count < count {
            let place = top.firstIndex { $0.logprob < logits[id] } ?? top.count
            if top.count == count { top.removeLast() }
            top.insert(TokenLogprob(token: TokenID(id), logprob: logits[id]), at: place)
            if top.count == count { least = top[count - 1].logprob }
        }
    }

    private static func check(_ p: SamplingParameters) throws(SamplingError) {
        guard p.temperature.isFinite, p.temperature >= 0 else { throw .parameter("temperature", p.temperature) }
        guard p.topP > 0, p.topP <= 1 else { throw .parameter("top_p", p.topP) }
        guard p.topK >= 0 else { throw .parameter("top_k", Float(p.topK)) }
        guard p.minP >= 0, p.minP <= 1 else { throw .parameter("min_p", p.minP) }
        guard p.repetitionPenalty.isFinite, p.repetitionPenalty > 0 else {
            throw .parameter("repetition_penalty", p.repetitionPenalty)
        }
        guard p.presencePenalty.isFinite else { throw .parameter("presence_penalty", p.presencePenalty) }
        guard p.frequencyPenalty.isFinite else { throw .parameter("frequency_penalty", p.frequencyPenalty) }
    }

    private mutating func choose(
        from logits: UnsafeBufferPointer<Float>, _ p: SamplingParameters, choice: UInt32, index: UInt32
    ) throws(SamplingError) -> TokenID {
        let best = try greatest(of: logits)
        if p.temperature == 0 { return best }
        // Without top-k and top-p no order is needed but that of the ids.
        let inOrder = p.topK == 0 && p.topP == 1
        kernels.softmaxWeights(logits, largest: logits[Int(best)], temperature: p.temperature,
                               least: inOrder ? p.minP : 0, into: &weights, sums: &blockSums)
        let u = Philox(key: p.seed).uniform(choice: choice, index: index, draw: 0)
        if inOrder { return drawInOrder(minP: p.minP, u: u, best: best) }
        collectCandidates(logits, p)
        return drawCandidate(minP: p.minP, u: u, best: best)
    }

    /// Lowest id of the largest logit.
    private func greatest(of logits: UnsafeBufferPointer<Float>) throws(SamplingError) -> TokenID {
        switch kernels.largest(of: logits) {
        case .index(let id): return TokenID(id)
        case .none: throw .nothingToChoose
        case .invalid: throw .notANumber(token: TokenID(logits.firstIndex { $0.isNaN || $0 == .infinity } ?? 0))
        }
    }

    /// The block that the draw falls into by the blocks' sums, then the token in it.
    private func drawInOrder(minP: Float, u: Double, best: TokenID) -> TokenID {
        let target = u * blockSums.reduce(0, +)
        var reached = 0.0
        for (block, sum) in blockSums.enumerated() {
            guard reached + sum > target else {
                reached += sum
                continue
            }
            let start = block * KernelSet.sumBlock
            var last = best
            for id in start..<min(start + KernelSet.sumBlock, weights.count) where weights[id] >= minP && weights[id] > 0 {
                reached += Double(weights[id])
                last = TokenID(id)
                if reached > target { break }
            }
            return last
        }
        return best
    }

    /// Leaves in `candidates`, in order, what top-k and top-p keep.
    private mutating func collectCandidates(_ logits: UnsafeBufferPointer<Float>, _ p: SamplingParameters) {
        let wanted = p.topK == 0 ? logits.count : min(Int(p.topK), logits.count)
        // Sorting a vocabulary is slow and nearly all of it is noise: sort the likely ones, and more only if top-k or
        // top-p asks for them. The outcome is that of a full sort.
        let sum = p.topK == 0 ? blockSums.reduce(0, +) : 0
        for threshold: Float in [0x1p-10, 0x1p-20, 0x1p-40, 0] {
            gather(logits, above: threshold)
            if candidates.count < wanted, p.topK != 0, threshold > 0 { continue }
            candidates.sort(by: Candidate.precedes)
            if candidates.count > wanted { candidates.removeLast(candidates.count - wanted) }
            let total = p.topK == 0 ? sum : candidates.reduce(0.0) { $0 + Double($1.weight) }
            if keepNucleus(share: p.topP, of: total) || threshold == 0 { return }
            if p.topK != 0 { return }
        }
    }

    private mutating func gather(_ logits: UnsafeBufferPointer<Float>, above threshold: Float) {
        candidates.removeAll(keepingCapacity: true)
        for id in kernels.indexes(of: weights, atLeast: threshold, scratch: &found) {
            candidates.append(Candidate(id: id, logit: logits[Int(id)], weight: weights[Int(id)]))
        }
    }

    /// Cuts the candidates behind the one that reaches the share; false if they do not reach it.
    private mutating func keepNucleus(share: Float, of total: Double) -> Bool {
        if share == 1 { return true }
        let target = Double(share) * total
        var reached = 0.0
        for (i, candidate) in candidates.enumerated() {
            reached += Double(candidate.weight)
            if reached >= target {
                candidates.removeLast(candidates.count - i - 1)
                return true
            }
        }
        return false
    }

    private func drawCandidate(minP: Float, u: Double, best: TokenID) -> TokenID {
        var total = 0.0
        for candidate in candidates where candidate.weight >= minP { total += Double(candidate.weight) }
        let target = u * total
        var reached = 0.0
        for candidate in candidates where candidate.weight >= minP {
            reached += Double(candidate.weight)
            if reached > target { return candidate.id }
        }
        return best
    }
}

public enum SamplingError: Error, Sendable, Hashable, CustomStringConvertible {
    case notANumber(token: TokenID)
    case nothingToChoose
    /// The constraint of the answer leaves no token.
    case emptyMask
    case parameter(String, Float)

    public var description: String {
        switch self {
        case .notANumber(let token): "the logit of token \(token) is not a finite number"
        case .nothingToChoose: "every logit is minus infinity"
        case .emptyMask: "the constraint of the answer allows no token here"
        case .parameter(let name, let value): "\(name) = \(value) is outside its range"
        }
    }
}
