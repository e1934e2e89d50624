/// A way to use the whole machine for a while, in tokens per second of each phase.
struct EngineMode: Sendable, Hashable {
    var prefill: Double
    var decode: Double
}

/// The least time in which some work can be done by running modes in turn, for any share of the time each.
///
/// A linear program with two constraints (prompt tokens, decoded tokens): least Σ tₘ with Σ tₘ·prefillₘ ≥ prompt and
/// Σ tₘ·decodeₘ ≥ decoded, t ≥ 0. An optimum lies at a vertex, and a vertex uses at most two modes, so that trying all
/// pairs is exact.
enum ModeMix {
    /// - Returns: seconds; `nil` if no mix of these modes ends.
    static func leastTime(prompt: Double, decoded: Double, modes: [EngineMode]) -> Double? {
        precondition(prompt >= 0 && decoded >= 0, "\(prompt) and \(decoded) tokens")
        var least: Double?
        func consider(_ time: Double?) {
            guard let time, time.isFinite else { return }
            least = least.map { min($0, time) } ?? time
        }
        for (index, mode) in modes.enumerated() {
            consider(time(prompt, decoded, mode))
            for other in modes[(index + 1)...] { consider(time(prompt, decoded, mode, other)) }
        }
        return least
    }

    /// One mode, until the slower phase has ended.
    private static func time(_ prompt: Double, _ decoded: Double, _ mode: EngineMode) -> Double? {
        guard prompt == 0 || mode.prefill > 0, decoded == 0 || mode.decode > 0 else { return nil }
        return max(prompt == 0 ? 0 : prompt / mode.prefill, decoded == 0 ? 0 : decoded / mode.decode)
    }

    /// Two modes, of which both constraints are met exactly; `nil` where that takes a negative time.
    private static func time(_ prompt: Double, _ decoded: Double, _ a: EngineMode, _ b: EngineMode) -> Double? {
        let determinant = a.prefill * b.decode - b.prefill * a.decode
        guard determinant != 0 else { return nil }
        let first = (prompt * b.decode - decoded * b.prefill) / determinant
        let second = (decoded * a.prefill - prompt * a.decode) / determinant
        return first >= 0 && second >= 0 ? first + second : nil
    }
}
