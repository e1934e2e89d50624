/// The most queries per minute that an arm could serve with this engine, if scheduling, sockets and sampling were free
/// and the batch always full.
public enum ArmBound {
    /// What a query asks for, on average.
    struct Demand: Sendable, Hashable {
        /// Tokens of its prompt, and of its answer.
        var prompt: Double
        var output: Double
        /// The longest prompt and the longest answer of a batch, on average.
        var longestPrompt: Double
        var longestOutput: Double
        var batch: Int

        /// The first token comes from the prefill.
        var decoded: Double { max(output - 1, 0) }
        var longestDecoded: Double { max(longestOutput - 1, 0) }
    }

    /// - Parameters:
    ///   - queries: as they are sent.
    ///   - batch: rows of the decode batch, for which `rates` were measured.
    /// - Returns: `nil` if a rate is missing that the arm needs.
    public static func queriesPerMinute(
        of arm: ServingArm, queries: [Workload.Query], batch: Int, rates: EngineRates
    ) -> Double? {
        seconds(of: arm, for: Demand(queries, batch: batch), rates: rates).map { 60 / $0 }
    }

    /// Seconds per query.
    static func seconds(of arm: ServingArm, for demand: Demand, rates: EngineRates) -> Double? {
        let (prompt, decoded) = work(of: arm, for: demand)
        return ModeMix.leastTime(prompt: prompt, decoded: decoded, modes: modes(of: arm, rates: rates))
    }

    /// Token rows per query that the arm has to compute, padding included.
    static func work(of arm: ServingArm, for demand: Demand) -> (prompt: Double, decoded: Double) {
        switch arm {
        // Each row of the batch computes the longest prompt and goes on until the longest answer has ended.
        case .static: (demand.longestPrompt, demand.longestDecoded)
        // While a query prefills, every other row of the batch computes as many rows of padding.
        case .orcaPadded: (demand.prompt * Double(demand.batch), demand.decoded)
        case .orca, .batonDense, .baton, .batonLent, .mixed: (demand.prompt, demand.decoded)
        }
    }

    /// How the arm may use the machine.
    static func modes(of arm: ServingArm, rates: EngineRates) -> [EngineMode] {
        let apart = [
            EngineMode(prefill: rates.sideBySide.prefill, decode: rates.sideBySide.decode),
            EngineMode(prefill: rates.prefillOnOne, decode: 0), EngineMode(prefill: 0, decode: rates.decodeOnOne),
        ]
        let inTurn = [EngineMode(prefill: rates.prefillOnTwo, decode: 0), EngineMode(prefill: 0, decode: rates.decodeOnTwo)]
        return switch arm {
        case .static, .orca, .orcaPadded: inTurn
        case .batonDense, .baton: apart
        case .batonLent: apart + inTurn
        case .mixed: inTurn + rates.together.map { EngineMode(prefill: $0.prefill, decode: $0.decode) }
        }
    }
}

extension ArmBound.Demand {
    /// Batches are formed in the order of sending; a last one that is not full counts for nothing.
    init(_ queries: [Workload.Query], batch: Int) {
        precondition(!queries.isEmpty && batch > 0, "\(queries.count) queries in batches of \(batch)")
        let prompts = queries.map(\.prompt.count), outputs = queries.map(\.outputCount)
        func longest(_ lengths: [Int]) -> Double {
            let size = min(batch, lengths.count)
            let batches = (0..<lengths.count / size).map { lengths[$0 * size..<($0 + 1) * size].max() ?? 0 }
            return batches.map(Double.init).mean ?? 0
        }
        self.init(
            prompt: prompts.map(Double.init).mean ?? 0, output: outputs.map(Double.init).mean ?? 0,
            longestPrompt: longest(prompts), longestOutput: longest(outputs), batch: batch)
    }
}
