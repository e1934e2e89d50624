/// Token rows that a step computes and throws away, and what each of them is there for.
struct StepPadding: Sendable, Hashable {
    var rows: [MixedStep.Padding] = []
    var idle = IdleCounters()

    init() {}

    /// Prompts as one dense tensor `[prompts + waiting, longest]`: each prompt is padded to the longest, and the rows that
    /// wait are padding from end to end.
    init(aligning chunks: [PrefillStep.Chunk], beside waiting: Int) {
        let longest = chunks.reduce(0) { max($0, $1.tokens.count) }
        guard longest > 0 else { return }
        for chunk in chunks where chunk.tokens.count < longest {
            rows.append(MixedStep.Padding(start: chunk.tokens.count, count: longest - chunk.tokens.count))
            idle.padding += UInt64(longest - chunk.tokens.count)
        }
        for _ in 0..<waiting { rows.append(MixedStep.Padding(start: 0, count: longest)) }
        idle.waitingRows = UInt64(waiting * longest)
    }

    /// Rows of a batch that have ended and are computed all the same, where the longest row is.
    init(replacing finished: Int, in batch: [DecodeIteration.Row]) {
        guard finished > 0 else { return }
        let position = batch.reduce(0) { max($0, $1.position) }
        rows = Array(repeating: MixedStep.Padding(start: position, count: 1), count: finished)
        idle.finishedRows = UInt64(finished)
    }
}
