import ClusterCore

/// Experiment 8: the block pool of a worker over 10⁵ queries of drawn lengths, without an engine.
///
/// Queries enter a batch of rows, grow by a token an iteration and leave, each at its own length. What fragmentation costs
/// would show as a query that does not get blocks though enough are free, and what disorder costs as slower insertions.
public struct LongSession {
    public struct Outcome: Sendable, Hashable, Codable {
        public var queries: Int
        public var rows: Int
        public var blocks: Int
        /// Refused though as many blocks were free.
        public var fragmentationLosses: Int
        /// Of the tokens' places in blocks in use, the share that held no token, on average over the iterations.
        public var innerWaste: Double
        /// Nanoseconds of an insertion (blocks taken, table made) and of a removal: of the first and the last tenth.
        public var firstInsertion: Double
        public var lastInsertion: Double
        public var firstRemoval: Double
        public var lastRemoval: Double
        /// Of neighbouring blocks in a table, the share that are neighbours in memory: of the first and the last tenth.
        public var firstContiguity: Double
        public var lastContiguity: Double
    }

    private struct Row {
        var table: [BlockID]
        var length: Int
        var end: Int
    }

    private static let blockSize = 16
    private let rows: Int
    private var pool: BlockPool
    private var batch: [Row] = []
    private var lengths: SeededRandom
    private let workload: Workload
    private var insertions: [Double] = []
    private var removals: [Double] = []
    private var contiguity: [Double] = []
    private var losses = 0
    private var wasted = 0.0
    private var iterations = 0

    /// - Parameter rows: of the batch; the pool holds what they need at most.
    public init(workload: Workload, rows: Int, seed: UInt64) {
        self.workload = workload
        self.rows = rows
        pool = BlockPool(blockCount: rows * ((workload.longest + Self.blockSize - 1) / Self.blockSize))
        lengths = SeededRandom(seed: seed)
    }

    /// - Parameter now: nanoseconds on a clock that goes on.
    public mutating func run(queries: Int, now: () -> Double) -> Outcome {
        precondition(queries >= 10, "\(queries) queries")
        while removals.count < queries {
            while batch.count < rows, insertions.count < queries { insert(now) }
            step(now)
        }
        pool.checkInvariants()
        func ends(_ values: [Double]) -> (Double, Double) {
            (Array(values.prefix(queries / 10)).median ?? 0, Array(values.suffix(queries / 10)).median ?? 0)
        }
        let (inserted, removed) = (ends(insertions), ends(removals))
        let first = contiguity.prefix(queries / 10), last = contiguity.suffix(queries / 10)
        return Outcome(
            queries: queries, rows: rows, blocks: pool.blockCount, fragmentationLosses: losses,
            innerWaste: wasted / Double(iterations), firstInsertion: inserted.0, lastInsertion: inserted.1,
            firstRemoval: removed.0, lastRemoval: removed.1, firstContiguity: Array(first).mean ?? 0,
            lastContiguity: Array(last).mean ?? 0)
    }

    private mutating func insert(_ now: () -> Double) {
        let prompt = workload.prompts.draw(&lengths), output = workload.outputs.draw(&lengths)
        let count = (prompt + Self.blockSize - 1) / Self.blockSize
        let began = now()
        let table = try? pool.allocate(count)
        insertions.append(now() - began)
        guard let table else {
            if pool.freeCount >= count { losses += 1 }
            return
        }
        let neighbours = zip(table, table.dropFirst()).count { $1.rawValue == $0.rawValue &+ 1 }
        contiguity.append(table.count > 1 ? Double(neighbours) / Double(table.count - 1) : 1)
        batch.append(Row(table: table, length: prompt, end: prompt + output))
    }

    private mutating func step(_ now: () -> Double) {
        for index in batch.indices {
            if batch[index].length == batch[index].table.count * Self.blockSize {
                guard let block = try? pool.allocate(1) else {
                    if pool.freeCount >= 1 { losses += 1 }
                    continue
                }
                batch[index].table += block
            }
            batch[index].length += 1
        }
        let places = batch.reduce(0) { $0 + $1.table.count * Self.blockSize }, used = batch.reduce(0) { $0 + $1.length }
        wasted += places > 0 ? 1 - Double(used) / Double(places) : 0
        iterations += 1
        var staying: [Row] = []
        for row in batch {
            guard row.length >= row.end else {
                staying.append(row)
                continue
            }
            let began = now()
            pool.release(row.table)
            removals.append(now() - began)
        }
        batch = staying
    }
}
