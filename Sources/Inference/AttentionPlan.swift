import Kernels

/// How the attention of a step is cut into units, which threads take in turns, the costly ones first.
///
/// A unit is one KV head of one tile of rows, those of a shared prefix among them. Where that leaves threads without work (few
/// sequences, one far longer than the others), it is some partitions of one, and a fold joins their results afterwards, in
/// order: the bits are the same.
struct AttentionPlan: Sendable {
    struct Unit: Sendable {
        /// Of ``rows``.
        var tile: Range<Int>
        var kvHead: Int
        /// Partitions that the unit computes, and where their results go among the parts; `nil`: all, to the end.
        var share: Share?
        var cost: Int
    }

    struct Share: Sendable {
        var partitions: Range<Int>
        var offset: Int
    }

    /// Joins what the units of one KV head of one tile left from `offset` on.
    struct Fold: Sendable {
        var tile: Range<Int>
        var kvHead: Int
        var offset: Int
    }

    let window: Int32?
    let group: Int
    let headDim: Int
    let kvHeads: Int
    private(set) var units: [Unit] = []
    private(set) var folds: [Fold] = []
    /// Floats of all parts.
    private(set) var partCount = 0
    /// The same in rows of ``ForwardScratch/partColumns``, at least one.
    var partRows: Int { max(1, (partCount + ForwardScratch.partColumns - 1) / ForwardScratch.partColumns) }
    /// Threads worth waking.
    private(set) var threads = 1
    /// Units that a thread takes at a time. It reads the beginning of the next one while it computes one, so a turn is
    /// longer than a unit where units are many and small.
    private(set) var unitsPerTurn = 1
    private var cutter = AttentionRows()

    init(configuration: ModelConfiguration, window: Int32?) {
        self.init(
            group: configuration.groupSize, headDim: configuration.headDim, kvHeads: configuration.kvHeadCount, window: window)
    }

    init(group: Int, headDim: Int, kvHeads: Int, window: Int32?) {
        self.window = window
        self.group = group
        self.headDim = headDim
        self.kvHeads = kvHeads
    }

    var rows: [PagedAttention.Row] { cutter.rows }
    /// Keys of a KV head that need not be loaded because rows share them.
    var savedKeys: Int { cutter.savedKeys }

    /// Rows whose attention is planned.
    struct Work {
        var batch: TokenBatch
        var prefixes: SharedPrefixes
        var tables: RowTables
        var sharing: SharedAttention
        /// Not all, but those whose logits are wanted.
        var onlyLogitRows: Bool
    }

    /// Plans the attention of `work` for `threads` threads.
    mutating func update(_ work: Work, threads: Int) {
        let rowsPerTile = max(1, PagedAttention.queriesPerTile / group)
        folds.removeAll(keepingCapacity: true)
        partCount = 0
        cut(work, atMost: rowsPerTile)
        self.threads = totalCost < Self.leastCostForThreads ? 1 : threads
        unitsPerTurn = 1
        guard self.threads > 1 else { return }
        units.sort { $0.cost > $1.cost }
        if savedKeys > 0, isUneven, longestTile < Self.partitionsToSplit { cutEvenly(work, atMost: rowsPerTile) }
        if isUneven { split(largerThan: totalCost / (threads * 8)) }
        let costPerTurn = totalCost / (threads * Self.turns)
        unitsPerTurn = max(1, min(units.count / (threads * Self.turns), costPerTurn / max(1, units.first?.cost ?? 1)))
    }

    private mutating func cut(_ work: Work, atMost most: Int) {
        cutter.update(
            work.batch, prefixes: work.prefixes, tables: work.tables, sharing: work.sharing, onlyLogitRows: work.onlyLogitRows,
            atMost: most)
        units.removeAll(keepingCapacity: true)
        for tile in cutter.tiles {
            let cost = cost(of: tile, partitions(of: tile))
            for head in 0..<kvHeads { units.append(Unit(tile: tile, kvHead: head, share: nil, cost: cost)) }
        }
    }

    /// Cuts into tiles of that many rows, at most `most`, with which the busiest thread has least to do: a short prefix cannot
    /// be cut by partitions, but among more tiles, each of which reads it.
    private mutating func cutEvenly(_ work: Work, atMost most: Int) {
        var best = most, least = greatestLoad(), rows = most / 2
        while rows >= 1 {
            cut(work, atMost: rows)
            units.sort { $0.cost > $1.cost }
            let load = greatestLoad()
            if load * 20 < least * 19 { (best, least) = (rows, load) }
            rows /= 2
        }
        cut(work, atMost: best)
        units.sort { $0.cost > $1.cost }
    }

    /// 5 % more than an even share is not worth a second pass.
    private var isUneven: Bool { greatestLoad() * threads * 20 > totalCost * 21 }

    private var totalCost: Int { units.reduce(0) { $0 + $1.cost } }

    /// Partitions of a tile from which on its units are better cut by those.
    private static let partitionsToSplit = 6

    private var longestTile: Int { cutter.tiles.reduce(0) { max($0, partitions(of: $1).count) } }

    /// The unit that a thread is likely to compute after unit `index` of `turn`: threads are equally fast as a rule.
    func unit(after index: Int, in turn: Range<Int>) -> Unit? {
        let next = index + 1 < turn.upperBound ? index + 1 : turn.upperBound + (threads - 1) * unitsPerTurn
        return next < units.count ? units[next] : nil
    }

    /// Turns that each thread takes at least: the fewer, the longer one may wait for another's last.
    private static let turns = 6

    /// About 8 microseconds of work, from which on a second thread saves more than it takes to wake it.
    private static let leastCostForThreads = 3 << 18

    /// Multiplications per 4, with what loading a key costs whatever the number of queries.
    private func cost(of tile: Range<Int>, _ partitions: Range<Int>) -> Int {
        let begin = partitions.lowerBound * PagedAttention.partition, end = partitions.upperBound * PagedAttention.partition
        var keys = 0
        for index in tile {
            let last = min(Int(rows[index].position) + 1, end), first = max(lowestPosition(of: rows[index]), begin)
            let loaded = index == tile.lowerBound ? 0 : cutter.loadedKeys[index]
            keys += max(0, last - first) * group + max(0, last - max(first, loaded)) * 4
        }
        return keys * headDim
    }

    private func lowestPosition(of row: PagedAttention.Row) -> Int {
        guard let window else { return 0 }
        return max(0, Int(row.position) - Int(window) + 1)
    }

    /// Those that some row of the tile sees.
    private func partitions(of tile: Range<Int>) -> Range<Int> {
        let low = tile.reduce(Int.max) { min($0, lowestPosition(of: rows[$1])) }
        let high = tile.reduce(0) { max($0, Int(rows[$1].position)) }
        return low / PagedAttention.partition..<high / PagedAttention.partition + 1
    }

    /// What the busiest thread has to do when each takes the next unit as it gets free.
    private func greatestLoad() -> Int {
        var loads = [Int](repeating: 0, count: threads)
        for unit in units {
            let free = loads.indices.min { loads[$0] < loads[$1] } ?? 0
            loads[free] += unit.cost
        }
        return loads.max() ?? 0
    }

    /// Cuts units that cost more than `grain` into runs of at least two partitions.
    private mutating func split(largerThan grain: Int) {
        guard group <= PagedAttention.queriesPerTile else { return }
        let whole = units
        units.removeAll(keepingCapacity: true)
        for unit in whole {
            let partitions = partitions(of: unit.tile), count = partitions.count
            let shares = min((unit.cost + grain - 1) / max(1, grain), count / 2)
            guard shares >= 2 else {
                units.append(unit)
                continue
            }
            let floats = PagedAttention.partCount(queries: unit.tile.count * group, headDim: headDim)
            for index in 0..<shares {
                let begin = count * index / shares, end = count * (index + 1) / shares
                let range = partitions.lowerBound + begin..<partitions.lowerBound + end
                let share = Share(partitions: range, offset: partCount + begin * floats)
                units.append(Unit(tile: unit.tile, kvHead: unit.kvHead, share: share, cost: cost(of: unit.tile, range)))
            }
            folds.append(Fold(tile: unit.tile, kvHead: unit.kvHead, offset: partCount))
            partCount += count * floats
        }
        units.sort { $0.cost > $1.cost }
    }
}
