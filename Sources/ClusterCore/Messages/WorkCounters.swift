/// What a worker's engine has computed since the worker registered.
public struct WorkCounters: Sendable, Hashable {
    /// Forward passes. Stands still when the engine hangs with work in hand.
    public var steps: UInt64
    /// Those in which chunks of prompts and rows of the batch were computed together.
    public var sharedSteps: UInt64
    /// Token rows computed of prompts.
    public var prefillTokens: UInt64
    /// Token rows computed of the batch.
    public var decodeTokens: UInt64
    /// Token rows computed for nothing.
    public var idle: IdleCounters
    /// What happened to the rows of the batch.
    public var batch: BatchCounters

    public init(
        steps: UInt64 = 0, sharedSteps: UInt64 = 0, prefillTokens: UInt64 = 0, decodeTokens: UInt64 = 0,
        idle: IdleCounters = IdleCounters(), batch: BatchCounters = BatchCounters()
    ) {
        self.steps = steps
        self.sharedSteps = sharedSteps
        self.prefillTokens = prefillTokens
        self.decodeTokens = decodeTokens
        self.idle = idle
        self.batch = batch
    }

    /// All token rows that the engine has computed.
    public var tokenRows: UInt64 { prefillTokens &+ decodeTokens &+ idle.total }

    /// Token rows in a step, on average; `nil` before the first.
    public var tokensPerStep: Double? { steps == 0 ? nil : Double(tokenRows) / Double(steps) }

    /// Idle computation: token rows computed for nothing, of all; `nil` before the first.
    public var idleRatio: Double? { tokenRows == 0 ? nil : Double(idle.total) / Double(tokenRows) }
}

/// Token rows that were computed and thrown away, by what they stood for.
public struct IdleCounters: Sendable, Hashable {
    /// Tails of prompts that are shorter than the longest beside them.
    public var padding: UInt64
    /// Rows whose query had ended.
    public var finishedRows: UInt64
    /// Rows that waited while prompts were computed.
    public var waitingRows: UInt64

    public init(padding: UInt64 = 0, finishedRows: UInt64 = 0, waitingRows: UInt64 = 0) {
        self.padding = padding
        self.finishedRows = finishedRows
        self.waitingRows = waitingRows
    }

    public var total: UInt64 { padding &+ finishedRows &+ waitingRows }

    static func += (counters: inout IdleCounters, other: IdleCounters) {
        counters.padding += other.padding
        counters.finishedRows += other.finishedRows
        counters.waitingRows += other.waitingRows
    }
}

/// How rows entered and left the running batch, and what that cost.
public struct BatchCounters: Sendable, Hashable {
    /// Queries that entered the batch.
    public var embeds: UInt64
    /// Rows that left it.
    public var removals: UInt64
    /// Queries that were whole at a boundary and had to wait for another.
    public var waits: UInt64
    /// Iterations that rows of the lowest priority sat out for the sake of others, summed over rows.
    public var yields: UInt64
    /// Time in which a row could have been decoded and was not, summed over rows: between the end of its last step and
    /// the start of its next one. No part of the idle token rows.
    public var stall: Duration
    /// Of `stall`: while the batch was not full and its cores were lent to prompts.
    public var lent: Duration
    /// From "KV whole" to the first decoded token, summed over queries.
    public var firstTokenDelay: Duration
    /// How many queries that sum counts, and the longest of them.
    public var firstTokens: UInt64
    public var longestFirstTokenDelay: Duration
    /// What the boundaries at which rows entered the batch or its layout changed took, as measured by the shell.
    public var shapingTime: Duration
    /// How many such boundaries there were.
    public var shapings: UInt64
    /// What the ends of steps at which rows left took, as measured by the shell: their tokens are taken and their blocks given back.
    public var removalTime: Duration
    /// How many such ends there were.
    public var removalEnds: UInt64
    /// Blocks of KV moved because of them, over all layers, and their bytes.
    public var blocksCopied: UInt64
    public var bytesCopied: UInt64

    public init(
        embeds: UInt64 = 0, removals: UInt64 = 0, waits: UInt64 = 0, stall: Duration = .zero,
        firstTokenDelay: Duration = .zero, firstTokens: UInt64 = 0, longestFirstTokenDelay: Duration = .zero,
        shapingTime: Duration = .zero, shapings: UInt64 = 0, blocksCopied: UInt64 = 0, bytesCopied: UInt64 = 0, lent: Duration = .zero,
        removalTime: Duration = .zero, removalEnds: UInt64 = 0, yields: UInt64 = 0
    ) {
        self.embeds = embeds
        self.removals = removals
        self.waits = waits
        self.stall = stall
        self.firstTokenDelay = firstTokenDelay
        self.firstTokens = firstTokens
        self.longestFirstTokenDelay = longestFirstTokenDelay
        self.shapingTime = shapingTime
        self.shapings = shapings
        self.blocksCopied = blocksCopied
        self.bytesCopied = bytesCopied
        self.lent = lent
        self.removalTime = removalTime
        self.removalEnds = removalEnds
        self.yields = yields
    }

    mutating func noteFirstToken(after delay: Duration) {
        firstTokens += 1
        firstTokenDelay += delay
        longestFirstTokenDelay = max(longestFirstTokenDelay, delay)
    }
}
