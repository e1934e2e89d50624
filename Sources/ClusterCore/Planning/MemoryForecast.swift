/// The most KV blocks that requests under way will hold at one time, if each ends when it is expected to.
///
/// All grow by a token an iteration, and what ends gives its blocks back before the others have grown to their full length; so
/// the peak is below the sum of what each will hold at most, and it lies at one of the ends. (LightLLM's scheduler, arXiv
/// 2507.10150, looks ahead in the same way; here shared prefixes are counted once.)
struct MemoryForecast: Sendable {
    private struct Row: Sendable {
        /// Tokens in blocks of its own, which grow.
        var tokens: Int
        /// Blocks that do not.
        var sharedBlocks: Int
        /// Iterations until it ends.
        var remaining: Int
    }

    let blockSize: Int
    private var rows: [Row] = []

    init(blockSize: Int) {
        precondition(blockSize > 0, "blocks of \(blockSize) tokens")
        self.blockSize = blockSize
    }

    /// - Parameters:
    ///   - tokens: computed or not, that are not in a shared prefix; at least 1.
    ///   - remaining: tokens still to be generated.
    mutating func add(tokens: Int, remaining: Int) {
        rows.append(Row(tokens: max(tokens, 1), sharedBlocks: 0, remaining: max(remaining, 0)))
    }

    /// - Parameter remaining: iterations until the last of those who share them ends.
    mutating func add(sharedBlocks: Int, remaining: Int) {
        rows.append(Row(tokens: 0, sharedBlocks: sharedBlocks, remaining: max(remaining, 0)))
    }

    /// Blocks, if the last one of every row is as badly filled as it can be.
    func peak() -> Int {
        var (peak, tokens, count, shared) = (0, 0, 0, 0)
        for row in rows.sorted(by: { $0.remaining > $1.remaining }) {
            tokens += row.tokens
            count += row.tokens > 0 ? 1 : 0
            shared += row.sharedBlocks
            // Just before the row ends: those so far are all that still run.
            peak = max(peak, shared + (tokens + count * (row.remaining + blockSize - 1)) / blockSize)
        }
        return peak
    }
}
