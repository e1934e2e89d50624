/// What the cluster says of itself over a cell; memory in bytes.
public struct ClusterMeasures: Sendable, Hashable, Codable {
    /// Token rows computed, and those of them that were for nothing; absent where the build does not count them.
    public var tokenRows: UInt64
    public var idleRows: UInt64?
    /// Those of prompts, and forward passes.
    public var prefillTokens: UInt64?
    public var steps: UInt64?
    /// Seconds in which a row could have been decoded and was not, summed over rows.
    public var stallSeconds: Double?
    /// KV bytes in use at most, over all workers, and those of the decode side alone.
    public var peakKVBytes: Int
    public var peakDecodeBlocks: Int
    /// Sum over the workers of what each held at most; mapped weights count in each that maps them.
    public var peakResidentBytes: Int?
    /// KV that workers received from one another.
    public var wireBytes: UInt64?
    /// Queries whose KV was put aside for others.
    public var preemptions: UInt64?
    /// Prompt tokens that were found in prefix caches, and blocks of planned groups that went before their last member had ended.
    public var hitTokens: UInt64?
    public var prematureEvictions: UInt64?
    /// KV put aside at most.
    public var peakParkedBytes: Int?
    /// Core seconds that workers borrowed.
    public var borrowedSeconds: Double?
    /// Memory over time.
    public var memory: [MemorySample]

    public struct MemorySample: Sendable, Hashable, Codable {
        public var seconds: Double
        public var kvBytes: Int
        public var residentBytes: Int

        public init(seconds: Double, kvBytes: Int, residentBytes: Int) {
            self.seconds = seconds
            self.kvBytes = kvBytes
            self.residentBytes = residentBytes
        }
    }

    public init(
        tokenRows: UInt64 = 0, idleRows: UInt64? = nil, stallSeconds: Double? = nil, peakKVBytes: Int = 0, peakDecodeBlocks: Int = 0,
        peakResidentBytes: Int? = nil, wireBytes: UInt64? = nil, preemptions: UInt64? = nil, hitTokens: UInt64? = nil,
        prematureEvictions: UInt64? = nil, peakParkedBytes: Int? = nil,
        borrowedSeconds: Double? = nil, memory: [MemorySample] = []
    ) {
        self.tokenRows = tokenRows
        self.idleRows = idleRows
        self.stallSeconds = stallSeconds
        self.peakKVBytes = peakKVBytes
        self.peakDecodeBlocks = peakDecodeBlocks
        self.peakResidentBytes = peakResidentBytes
        self.wireBytes = wireBytes
        self.preemptions = preemptions
        self.hitTokens = hitTokens
        self.prematureEvictions = prematureEvictions
        self.peakParkedBytes = peakParkedBytes
        self.borrowedSeconds = borrowedSeconds
        self.memory = memory
    }

    /// Idle token rows over all.
    public var idleRatio: Double? { idleRows.map { tokenRows > 0 ? Double($0) / Double(tokenRows) : 0 } }
}
