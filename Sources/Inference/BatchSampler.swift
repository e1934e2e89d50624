import Generation
import Grammar
import Kernels

/// Samples and scores rows of logits on the threads of a team, each as ``Sampler`` alone would.
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
        /// Must not be chosen, whatever the mask says.
        public var masked: [TokenID]
        /// Log-probabilities are wanted, and of so many of the most probable tokens.
        public var logprobs: Int?

        public init(
            parameters: SamplingParameters, prompt: [TokenID] = [], generated: [TokenID] = [], mask: TokenMask? = nil,
            choice: UInt32 = 0, index: UInt32, masked: [TokenID] = [], logprobs: Int? = nil
        ) {
            self.parameters = parameters
            self.prompt = prompt
            self.generated = generated
            self.mask = mask
            self.choice = choice
            self.index = index
            self.masked = masked
            self.logprobs = logprobs
        }
    }

    /// Something to do with a row of logits.
    public enum Work: Sendable {
        case sample(Row)
        /// The log-probability of a token that is known, and of so many of the most probable ones.
        case score(TokenID, top: Int)
    }

    /// A thread's sampler and what it found.
    private struct Lane: Sendable {
        var sampler: Sampler
        var found: [(work: Int, token: Result<ScoredToken, SamplingError>)] = []

        mutating func perform(_ work: Work, _ logits: UnsafeBufferPointer<Float>) throws(SamplingError) -> ScoredToken {
            switch work {
            case .score(let token, let top):
                return ScoredToken(token, try sampler.logprobs(of: token, logits: logits, top: top))
            case .sample(let row):
                let token = try sampler.sample(
                    logits: logits, parameters: row.parameters, prompt: row.prompt, generated: row.generated,
                    mask: row.mask, choice: row.choice, index: row.index, masked: row.masked)
                guard let top = row.logprobs else { return ScoredToken(token) }
                return ScoredToken(token, try sampler.logprobs(of: token, logits: logits, top: top))
            }
        }
    }

    private let team: ThreadTeam
    private var lanes: [Lane]

    public init(kernels: KernelSet, team: ThreadTeam) {
        self.team = team
        lanes = (0..<team.maxThreads).map { _ in Lane(sampler: Sampler(kernels: kernels)) }
    }

    /// One token, or the reason why there is none, for each of `rows`, whose logits are those of the same index.
    public func sample(_ logits: Logits, rows: [Row], threads: Int) -> [Result<TokenID, SamplingError>] {
        let work = rows.enumerated().map { (row: $0, work: Work.sample($1)) }
        return perform(work, on: logits, threads: threads).map { $0.map(\.token) }
    }

    /// The outcome of each piece of work on the row of `logits` that goes with it; several may share a row.
    public func perform(
        _ work: [(row: Int, work: Work)], on logits: Logits, threads: Int
    ) -> [Result<ScoredToken, SamplingError>] {
        precondition(work.allSatisfy { (0..<logits.count).contains($0.row) }, "\(work.map(\.row)) of \(logits.count) rows")
        precondition((1...lanes.count).contains(threads), "\(threads) threads of \(lanes.count)")
        var working = Array(lanes.prefix(threads))
        lanes.removeFirst(threads) // No second reference, or the scratch would be copied.
        team.forEachRange(of: work.count, chunk: 1, lanes: &working) { range, lane in
            for i in range {
                let (row, task) = work[i]
                lane.found.append((i, Result { () throws(SamplingError) in try lane.perform(task, logits[row]) }))
            }
        }
        var outcomes = [Result<ScoredToken, SamplingError>](repeating: .failure(.nothingToChoose), count: work.count)
        for i in working.indices {
            for (index, outcome) in working[i].found { outcomes[index] = outcome }
            working[i].found.removeAll(keepingCapacity: true)
        }
        lanes.insert(contentsOf: working, at: 0)
        return outcomes
    }
}
