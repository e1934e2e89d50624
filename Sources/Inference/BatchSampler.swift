import Generation
import Grammar
import Kernels

/// Samples the rows of a batch on the threads of a team, each row as ``Sampler`` alone would.
public final class BatchSampler {
    /// What a row is sampled with.
    public struct Row: Sendable {
        public var parameters: SamplingParameters
        public var prompt: [TokenID]
        public var generated: [TokenID]
        /// The tokens that may be chosen; `nil`: all.
        public var mask: TokenMask?
        public var choice: UInt32
        public var index: UInt32

        public init(
            parameters: SamplingParameters, prompt: [TokenID] = [], generated: [TokenID] = [], mask: TokenMask? = nil, choice: UInt32 = 0,
            index: UInt32
        ) {
            self.parameters = parameters
            self.prompt = prompt
            self.generated = generated
            self.mask = mask
            self.choice = choice
            self.index = index
        }
    }

    /// A thread's sampler and what it found.
    private struct Lane: Sendable {
        var sampler: Sampler
        var found: [(row: Int, token: Result<TokenID, SamplingError>)] = []
    }

    private let team: ThreadTeam
    private var lanes: [Lane]

    public init(kernels: KernelSet, team: ThreadTeam) {
        self.team = team
        lanes = (0..<team.maxThreads).map { _ in Lane(sampler: Sampler(kernels: kernels)) }
    }

    /// One token, or the reason why there is none, for each of `rows`, whose logits are those of the same index.
    public func sample(_ logits: Logits, rows: [Row], threads: Int) -> [Result<TokenID, SamplingError>] {
        precondition(rows.count <= logits.count, "\(rows.count) rows, \(logits.count) logits")
        precondition((1...lanes.count).contains(threads), "\(threads) threads of \(lanes.count)")
        var working = Array(lanes.prefix(threads))
        lanes.removeFirst(threads) // No second reference, or the scratch would be copied.
        team.forEachRange(of: rows.count, chunk: 1, lanes: &working) { range, lane in
            for i in range {
                let row = rows[i]
                lane.found.append((i, Result { () throws(SamplingError) in
                    try lane.sampler.sample(
                        logits: logits[i], parameters: row.parameters, prompt: row.prompt, generated: row.generated, mask: row.mask,
                        choice: row.choice, index: row.index)
                }))
            }
        }
        var tokens = [Result<TokenID, SamplingError>](repeating: .failure(.nothingToChoose), count: rows.count)
        for i in working.indices {
            for (row, token) in working[i].found { tokens[row] = token }
            working[i].found.removeAll(keepingCapacity: true)
        }
        lanes.insert(contentsOf: working, at: 0)
        return tokens
    }
}
