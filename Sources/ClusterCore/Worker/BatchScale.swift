/// How many rows the batch may have, decided anew at every boundary between two iterations.
///
/// Three limits, of which the tightest counts; each has its own hysteresis, so that none flaps:
///
/// - **Blocks** (every policy but `off`; the threshold policy of BATON, arXiv 2410.18701). At the high watermark nobody is
///   admitted; when the free blocks would not last for ``lookahead`` iterations there is one row less, so that the
///   lowest-ranked is parked *before* the pool runs dry and no row ever sits an iteration out for it; below the low
///   watermark there is one row more at each boundary. A row whose growth is reserved needs nobody to give way.
/// - **Memory** that the system is short of (``Memory``) admits nobody, whatever the pool says.
/// - **Time**: above the target nobody is admitted, below 0.95 of it one more; see ``BatchPace`` for `smdp`. Rows that run
///   are never parked for this.
///
/// With one row the batch always goes on.
public struct BatchScale: Sendable {
    public enum Policy: String, Sendable, Hashable, CaseIterable {
        /// Watermarks, and the target of the iteration time if there is one.
        case threshold
        /// Beside these, the number of rows that costs least by ``BatchPace``.
        case smdp
        /// All rows, always.
        case off
    }

    /// Shares in percent; `low` < `high`.
    public struct Watermarks: Sendable, Hashable {
        public var low: Int
        public var high: Int

        public init(low: Int, high: Int) {
            self.low = low
            self.high = high
        }
    }

    public struct Configuration: Sendable, Hashable {
        public var policy: Policy
        /// Of the pool's blocks, held by rows of the batch.
        public var blocks: Watermarks
        /// Of the memory that the process may use, taken by whomever.
        public var memory: Watermarks
        /// Of the iteration time; `nil`: none.
        public var target: Duration?
        public var weights: BatchPace.Weights

        public init(
            policy: Policy = .off, blocks: Watermarks = Watermarks(low: 75, high: 90),
            memory: Watermarks = Watermarks(low: 85, high: 92), target: Duration? = nil,
            weights: BatchPace.Weights = BatchPace.Weights()
        ) {
            self.policy = policy
            self.blocks = blocks
            self.memory = memory
            self.target = target
            self.weights = weights
        }
    }

    /// What the batch looks like at a boundary.
    struct Reading: Sendable {
        var rows: Int
        /// Blocks that the rows hold or have reserved.
        var heldBlocks: Int
        var blockCount: Int
        /// Blocks that are missing for the rows to grow through the next ``lookahead`` iterations.
        var shortfall: Int
        /// Averaged over the last few; `nil` before the first.
        var iterationTime: Duration?
    }

    /// Iterations for which free blocks have to last: within them the store has copied what is parked.
    static let lookahead = 4
    /// Iterations after a change of the time's limit before the next row is admitted: the average has to follow.
    static let patience = 8
    /// Iterations between two looks for the cheapest number of rows.
    static let reviewInterval = 64

    let configuration: Configuration
    let maxSequences: Int
    private(set) var isMemoryShort = false
    var pace = BatchPace()
    private var blockLimit: Int
    private var timeLimit: Int
    private var paceLimit: Int
    private var iterationsUntilMore = 0
    private var iterationsUntilReview = reviewInterval

    init(_ configuration: Configuration, maxSequences: Int) {
        for marks in [configuration.blocks, configuration.memory] {
            precondition(marks.low > 0 && marks.low < marks.high && marks.high <= 100, "\(marks)")
        }
        self.configuration = configuration
        self.maxSequences = maxSequences
        (blockLimit, timeLimit, paceLimit) = (maxSequences, maxSequences, maxSequences)
    }

    var isOff: Bool { configuration.policy == .off }

    /// Rows that the batch may have, 1 ... `maxSequences`.
    var rowLimit: Int { isOff ? maxSequences : max(1, min(blockLimit, timeLimit, paceLimit)) }

    mutating func note(_ memory: Memory) {
        guard !isOff else { return }
        let marks = configuration.memory
        if memory.usedPercent >= marks.high { isMemoryShort = true }
        if memory.usedPercent < marks.low { isMemoryShort = false }
    }

    /// To be asked once at each boundary.
    mutating func review(_ reading: Reading) {
        guard !isOff else { return }
        reviewBlocks(reading)
        reviewTime(reading)
        reviewPace()
    }

    private mutating func reviewBlocks(_ reading: Reading) {
        let marks = configuration.blocks
        let used = reading.heldBlocks * 100
        if reading.shortfall > 0, reading.rows > 1 {
            blockLimit = min(blockLimit, reading.rows - 1)
        } else if isMemoryShort || used >= marks.high * reading.blockCount {
            blockLimit = min(blockLimit, max(1, reading.rows))
        } else if reading.rows == 0 {
            blockLimit = maxSequences
        } else if used < marks.low * reading.blockCount {
            blockLimit = min(maxSequences, blockLimit + 1)
        }
    }

    private mutating func reviewTime(_ reading: Reading) {
        guard let target = configuration.target, let time = reading.iterationTime, reading.rows > 0 else { return }
        iterationsUntilMore = max(0, iterationsUntilMore - 1)
        if time > target {
            guard timeLimit > reading.rows else { return }
            timeLimit = reading.rows
            iterationsUntilMore = Self.patience
        } else if time < target * 0.95, reading.rows >= timeLimit, iterationsUntilMore == 0 {
            timeLimit = min(maxSequences, timeLimit + 1)
            iterationsUntilMore = Self.patience
        }
    }

    private mutating func reviewPace() {
        guard configuration.policy == .smdp else { return }
        iterationsUntilReview -= 1
        guard iterationsUntilReview <= 0 else { return }
        iterationsUntilReview = Self.reviewInterval
        if let best = pace.cheapestRowCount(upTo: maxSequences, configuration.weights) { paceLimit = best }
    }

    func checkInvariants() {
        precondition((1...maxSequences).contains(rowLimit), "\(rowLimit) of \(maxSequences) rows")
    }
}

extension BatchScale {
    /// Memory of the machine or of the container, whichever is tighter, in bytes.
    public struct Memory: Sendable, Hashable {
        /// That may still be taken.
        public var available: Int
        public var total: Int

        public init(available: Int, total: Int) {
            self.available = available
            self.total = total
        }

        /// Taken by whomever, in percent, rounded down; 0 where nothing is known.
        var usedPercent: Int {
            guard total > 0 else { return 0 }
            let used = min(total, max(0, total - max(0, available)))
            return Int(Double(used) / Double(total) * 100)
        }
    }
}
