import ClusterCore
import Generation
import Grammar
import Inference

/// What is to be made of the logits of a step, and for whom: scores of prompts, then samples, row by row.
struct StepAgenda {
    private enum Purpose {
        case sample(AttemptID)
        case score
    }

    /// The tokens that may come next, where a constraint says so.
    typealias Masking = (AttemptID, SamplingContext) -> Result<TokenMask, GrammarError>?

    private var work: [(row: Int, work: BatchSampler.Work)] = []
    private var purposes: [Purpose] = []
    /// Chunks that asked for scores, and how many.
    private var scored: [(attempt: AttemptID, count: Int)] = []
    /// Samples that cannot be: their constraint allows nothing, or cannot be followed.
    private var failures: [AttemptID: SampleFailure] = [:]
    private let masking: Masking

    init(masking: @escaping Masking) { self.masking = masking }

    var count: Int { work.count }

    /// - Parameter logitRowCount: rows with logits up to this one, which is the last of them.
    mutating func append(_ row: DecodeIteration.Row, logitRowCount: Int) {
        append(row.attempt, row.sampling, row: logitRowCount - 1)
    }

    /// - Parameter logitRowCount: rows with logits up to those of this chunk, which are the last of them.
    mutating func append(_ chunk: PrefillStep.Chunk, logitRowCount: Int) {
        if let scoring = chunk.scoring {
            // The row that is sampled from comes last; it is one of the scoring ones only if these reach the chunk's end.
            let end = scoring.first - 1 + scoring.targets.count
            let isShared = chunk.samples.isEmpty || end == chunk.start + chunk.tokens.count
            let first = logitRowCount - scoring.targets.count - (isShared ? 0 : 1)
            for (offset, target) in scoring.targets.enumerated() {
                append(.score, .score(target, top: scoring.top), row: first + offset)
            }
            scored.append((chunk.attempt, scoring.targets.count))
        }
        for sample in chunk.samples {
            append(sample.attempt, sample.context, row: logitRowCount - 1)
        }
    }

    private mutating func append(_ attempt: AttemptID, _ context: SamplingContext, row: Int) {
        var sampled = BatchSampler.Row(context)
        switch masking(attempt, context) {
        case nil: break
        case .success(let mask): sampled.mask = mask
        case .failure(let error): failures[attempt] = SampleFailure("\(error)")
        }
        append(.sample(attempt), .sample(sampled), row: row)
    }

    private mutating func append(_ purpose: Purpose, _ task: BatchSampler.Work, row: Int) {
        precondition(row >= work.last?.row ?? 0, "row \(row) after \(work.map(\.row))")
        purposes.append(purpose)
        work.append((row, task))
    }

    /// The work on some of the logit rows, which are counted from the first of them.
    func work(on rows: Range<Int>) -> [(row: Int, work: BatchSampler.Work)] {
        // In order of rows: found by halving.
        let first = firstWork(at: rows.lowerBound), end = firstWork(at: rows.upperBound)
        return work[first..<end].map { ($0.row - rows.lowerBound, $0.work) }
    }

    private func firstWork(at row: Int) -> Int {
        var low = 0, high = work.count
        while low < high {
            let middle = (low + high) / 2
            if work[middle].row < row { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// - Parameter results: one for each piece of work, in order.
    func outcome(_ results: [Result<ScoredToken, SampleFailure>]) -> WorkerEngine.Outcome {
        precondition(results.count == work.count, "\(results.count) results of \(work.count)")
        var samples: [Sample] = [], logprobs: [Result<TokenLogprobs, SampleFailure>] = []
        for (purpose, result) in zip(purposes, results) {
            switch purpose {
            case .sample(let attempt):
                if let failure = failures[attempt] {
                    samples.append(Sample(attempt: attempt, token: .failure(failure)))
                    continue
                }
                samples.append(
                    Sample(attempt: attempt, token: result.map(\.token), logprobs: (try? result.get())?.logprobs))
            case .score:
                logprobs.append(result.flatMap { token in
                    token.logprobs.map { .success($0) } ?? .failure(SampleFailure("token \(token.token) was not scored"))
                })
            }
        }
        var rest = logprobs[...]
        let scores = scored.map { attempt, count in
            let own = rest.prefix(count)
            rest = rest.dropFirst(count)
            return ChunkScores(attempt: attempt, scores: Result { () throws(SampleFailure) in
                var tokens: [TokenLogprobs] = []
                for entry in own { tokens.append(try entry.get()) }
                return tokens
            })
        }
        return WorkerEngine.Outcome(samples: samples, scores: scores)
    }
}

extension BatchSampler.Row {
    init(_ context: SamplingContext) {
        let history = context.history ?? [], promptCount = min(context.promptCount, history.count)
        self.init(
            parameters: context.parameters, prompt: Array(history[..<promptCount]), generated: Array(history[promptCount...]),
            choice: context.parameters.choice, index: UInt32(clamping: context.index), masked: context.maskedTokens,
            logprobs: context.logprobs)
    }
}
