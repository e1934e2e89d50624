import Generation

/// Logits with bias, penalties and masks, and what counting tokens takes: each step costs the length of the text so far and
/// one copy of the logits, and allocates nothing.
struct PenaltyScratch: Sendable {
    private(set) var values: [Float] = []
    /// How often a token was seen, valid where `stamp` is the present one.
    private var counts: [Int32] = []
    private var stamps: [UInt32] = []
    private var stamp: UInt32 = 0

    /// Copies the logits and adds the biases. Ids outside the vocabulary are passed over.
    mutating func begin(_ logits: UnsafeBufferPointer<Float>, _ biases: [TokenBias]) {
        values.removeAll(keepingCapacity: true)
        values.append(contentsOf: logits)
        for entry in biases {
            if let id = position(entry.token) { values[id] += entry.bias }
        }
    }

    mutating func mask(_ tokens: [TokenID]) {
        for token in tokens {
            if let id = position(token) { values[id] = -.infinity }
        }
    }

    /// Repetition counts prompt and answer, once per distinct token; presence and frequency count the answer alone. Ids
    /// outside the vocabulary are passed over.
    mutating func penalize(_ p: SamplingParameters, prompt: [TokenID], generated: [TokenID]) {
        if p.repetitionPenalty != 1 {
            beginCounting()
            for token in prompt { repeated(token, penalty: p.repetitionPenalty) }
            for token in generated { repeated(token, penalty: p.repetitionPenalty) }
        }
        guard p.presencePenalty != 0 || p.frequencyPenalty != 0 else { return }
        beginCounting()
        for token in generated { _ = count(token) }
        for token in generated {
            guard let id = position(token), counts[id] > 0 else { continue }
            let frequency = Float(counts[id]) * p.frequencyPenalty
            values[id] = values[id] - frequency - p.presencePenalty
            counts[id] = 0
        }
    }

    private mutating func repeated(_ token: TokenID, penalty: Float) {
        guard let id = position(token), count(token) == 1 else { return }
        values[id] = values[id] > 0 ? values[id] / penalty : values[id] * penalty
    }

    private func position(_ token: TokenID) -> Int? { values.indices.contains(Int(token)) ? Int(token) : nil }

    private mutating func beginCounting() {
        if stamps.count != values.count || stamp == .max {
            stamps = [UInt32](repeating: 0, count: values.count)
            counts = [Int32](repeating: 0, count: values.count)
            stamp = 0
        }
        stamp += 1
    }

    /// How often `token` was counted, this time included.
    private mutating func count(_ token: TokenID) -> Int32 {
        guard let id = position(token) else { return 0 }
        if stamps[id] != stamp {
            stamps[id] = stamp
            counts[id] = 0
        }
        counts[id] += 1
        return counts[id]
    }
}
