import Generation
import Inference
import Kernels

/// Attention of one layer over a prefix that the rows of a batch share, beside what the machine can do at the same moment.
public final class AttentionBenchmark {
    /// Heads of a layer.
    public struct Shape: Sendable, Hashable {
        public var name: String
        public var heads: Int
        public var kvHeads: Int
        public var headDim: Int

        /// SmolLM-135M's, Qwen2.5-0.5B's, Llama-3-8B's and Llama-2-7B's.
        public static let all = [
            Shape(name: "smollm", heads: 9, kvHeads: 3, headDim: 64), Shape(name: "qwen", heads: 14, kvHeads: 2, headDim: 64),
            Shape(name: "grouped", heads: 32, kvHeads: 8, headDim: 128),
            Shape(name: "multihead", heads: 32, kvHeads: 32, headDim: 128),
        ]
    }

    enum Arm: CaseIterable {
        /// Rows attend to the prefix together.
        case shared
        /// Each row alone, over the same blocks.
        case plain
        /// Each row alone, over blocks of its own.
        case copies
        /// As ``SharedAttention/auto`` chooses.
        case automatic

        var sharing: SharedAttention {
            switch self {
            case .shared: .on
            case .plain, .copies: .off
            case .automatic: .auto
            }
        }
    }

    /// Time of one arm over another's: median over rounds of neighbours, and its 95 % confidence interval.
    public struct Ratio: Sendable, Encodable {
        public var median: Double
        public var low: Double
        public var high: Double
    }

    /// One prefix and batch on a number of threads.
    public struct Row: Sendable, Encodable {
        public var shape: String
        public var prefix: Int
        public var batch: Int
        public var threads: Int
        public var prefixBytes: Int
        /// Medians.
        public var sharedMicroseconds: Double
        public var plainMicroseconds: Double
        /// `nil` where copies would exceed the memory allowed.
        public var copiesMicroseconds: Double?
        public var boundMicroseconds: Double
        /// Whether reading takes longer than computing, at the probed rates.
        public var isBoundByMemory: Bool
        /// Least possible time over that of the shared kernel.
        public var boundShare: Ratio
        public var speedupOverPlain: Ratio
        public var speedupOverCopies: Ratio?
        /// Of what ``SharedAttention/auto`` chooses, over the plain kernel.
        public var automaticSpeedup: Ratio
    }

    /// The arms do not agree to the bit.
    public struct BitsDiffer: Error, CustomStringConvertible {
        public var description: String
    }

    private let shape: Shape
    private let layout: KVBlockLayout
    private let kv: KVCache
    private let layer: LayerAttention
    private let probe: MachineProbe
    /// Whose peak bounds it: the fastest of bfloat16 that these kernels have.
    private let arithmetic: MachineProbe.Arithmetic
    private let tail: Int
    private let maxPrefix: Int, maxBatch: Int
    private let copyBlocks: Int

    private static let blockSize = 16
    /// Blocks with contents of their own; the others repeat them, so that copies are copies wherever they lie.
    private static let distinctBlocks = 4
    /// Length of what is timed at once.
    private static let sampleTime = 0.004
    /// Rounds below which a median says nothing, however long they take.
    public static let leastRounds = 3

    /// - Parameters:
    ///   - tail: tokens of each row's own, at least 1.
    ///   - copyBytes: memory for private copies of prefixes, at most.
    /// - Throws: `KernelError` if memory is refused.
    public init(
        shape: Shape, format: NumberFormat, kernels: KernelSet, team: ThreadTeam, probe: MachineProbe, prefixes: [Int],
        batches: [Int], tail: Int, copyBytes: Int
    ) throws(KernelError) {
        self.shape = shape
        self.probe = probe
        self.tail = tail
        layout = KVBlockLayout(
            kvHeads: shape.kvHeads, headDim: shape.headDim, blockSize: Self.blockSize, format: format,
            isPaired: format == .bfloat16 && kernels.multipliesPairs && KVBlockLayout.canPair(headDim: shape.headDim))
        maxPrefix = prefixes.max() ?? 0
        maxBatch = batches.max() ?? 1
        let most = copyBytes / layout.byteCount
        copyBlocks = prefixes.flatMap { prefix in batches.map { $0 * prefix / Self.blockSize } }.filter { $0 <= most }.max() ?? 0
        let tails = maxBatch * ((tail - 1) / Self.blockSize + 1)
        kv = try KVCache(layout: layout, layerCount: 1, blockCount: maxPrefix / Self.blockSize + copyBlocks + tails)
        layer = try LayerAttention(headCount: shape.heads, kv: kv, kernels: kernels, team: team)
        arithmetic = kernels.multipliesTiles ? .bfloat16Tiles : .bfloat16
        var random = SeededDraws(state: 1)
        func vector(_ count: Int) -> [Float] { (0..<count).map { _ in Float(random.below(2000)) / 1000 - 1 } }
        let width = shape.kvHeads * shape.headDim
        for block in 0..<min(Self.distinctBlocks, kv.blockCount) {
            layer.fill(Int32(block), k: { _ in vector(width) }, v: { _ in vector(width) })
        }
        for block in Self.distinctBlocks..<max(Self.distinctBlocks, kv.blockCount) {
            kv.copyBlock(Int32(block % Self.distinctBlocks), to: Int32(block))
        }
        let queries = try layer.queries(maxBatch)
        for row in 0..<maxBatch { for (i, value) in vector(shape.heads * shape.headDim).enumerated() { queries[row][i] = value } }
    }

    /// - Parameters:
    ///   - rounds: times that every arm is measured, at most.
    ///   - seconds: time from which on no further round begins, once there are ``leastRounds``.
    /// - Throws: ``BitsDiffer``, or `KernelError` if memory is refused.
    public func measure(prefix: Int, batch: Int, threads: Int, rounds: Int, seconds: Double) throws -> Row {
        let clock = ContinuousClock(), start = clock.now
        let hasCopies = batch * prefix / Self.blockSize <= copyBlocks
        let arms = Arm.allCases.filter { $0 != .copies || hasCopies }
        var times = [[Double]](repeating: [], count: Arm.allCases.count), bounds: [(memory: Double, arithmetic: Double)] = []
        var outputs: [[UInt32]] = [], counts = [Int](repeating: 1, count: arms.count)
        for (index, arm) in arms.enumerated() {
            prepare(arm, prefix: prefix, batch: batch, threads: threads)
            let begin = clock.now
            let rows = try layer.run()
            var once = (clock.now - begin).seconds
            outputs.append((0..<batch).flatMap { rows[$0].map(\.bitPattern) })
            // What is short was slow the first time, from memory that nobody had read.
            if once < Self.sampleTime { once = try time(1) }
            counts[index] = max(1, Int(Self.sampleTime / once))
        }
        guard outputs.allSatisfy({ $0 == outputs[0] }) else {
            throw BitsDiffer(description: "\(shape.name), prefix \(prefix), batch \(batch): the arms differ")
        }
        for round in 0..<rounds where round < Self.leastRounds || (clock.now - start).seconds < seconds {
            bounds.append(bound(prefix: prefix, batch: batch, threads: threads))
            for place in arms.indices {
                let index = (place + round) % arms.count
                prepare(arms[index], prefix: prefix, batch: batch, threads: threads)
                times[Arm.allCases.firstIndex(of: arms[index]) ?? 0].append(try time(counts[index]))
            }
        }
        return row(prefix: prefix, batch: batch, threads: threads, times: times, bounds: bounds)
    }

    private func row(
        prefix: Int, batch: Int, threads: Int, times: [[Double]], bounds: [(memory: Double, arithmetic: Double)]
    ) -> Row {
        func median(_ times: [Double]) -> Double { 1e6 * (times.median ?? .nan) }
        func ratio(_ a: [Double], _ b: [Double]) -> Ratio {
            let ratios = zip(a, b).map { $0 / $1 }.sorted(), count = ratios.count
            // Of a median, from the order of what was measured: no distribution is supposed.
            let margin = Int((1.96 * Double(count).squareRoot() / 2).rounded(.up))
            return Ratio(median: ratios.median ?? .nan, low: ratios[max(0, count / 2 - margin)],
                         high: ratios[min(count - 1, count / 2 + margin)])
        }
        let least = bounds.map { max($0.memory, $0.arithmetic) }
        let (shared, plain, copies, automatic) = (times[0], times[1], times[2], times[3])
        return Row(
            shape: shape.name, prefix: prefix, batch: batch, threads: threads,
            prefixBytes: prefix / Self.blockSize * layout.byteCount, sharedMicroseconds: median(shared),
            plainMicroseconds: median(plain), copiesMicroseconds: copies.isEmpty ? nil : median(copies),
            boundMicroseconds: median(least), isBoundByMemory: median(bounds.map(\.memory)) > median(bounds.map(\.arithmetic)),
            boundShare: ratio(least, shared), speedupOverPlain: ratio(plain, shared),
            speedupOverCopies: copies.isEmpty ? nil : ratio(copies, shared), automaticSpeedup: ratio(plain, automatic))
    }

    /// Seconds of one call, of `count` in a row.
    private func time(_ count: Int) throws -> Double {
        try ContinuousClock().measure { for _ in 0..<count { try layer.run() } }.seconds / Double(count)
    }

    /// Seconds that the machine needs at least: to read the prefix once and each row's tail, and to compute.
    private func bound(prefix: Int, batch: Int, threads: Int) -> (memory: Double, arithmetic: Double) {
        let bytes = Double((prefix + batch * tail) * (layout.byteCount / Self.blockSize))
        let operations = 4 * Double(batch * shape.heads * shape.headDim) * Double(prefix + tail)
        return (bytes / probe.readBandwidth(threads: threads), operations / probe.peak(arithmetic, threads: threads))
    }

    private func prepare(_ arm: Arm, prefix: Int, batch rows: Int, threads: Int) {
        let blocks = prefix / Self.blockSize, tailBlocks = (tail - 1) / Self.blockSize + 1
        let firstCopy = maxPrefix / Self.blockSize, firstTail = firstCopy + copyBlocks
        var batch = TokenBatch()
        for row in 0..<rows {
            let start = arm == .copies ? firstCopy + row * blocks : 0
            // Not in order of memory, as a pool that has been used for a while.
            let groups = blocks / Self.distinctBlocks
            let table = (0..<blocks).map { index in
                Int32(start + index / Self.distinctBlocks * 7919 % groups * Self.distinctBlocks + index % Self.distinctBlocks)
            } + (0..<tailBlocks).map { Int32(firstTail + row * tailBlocks + $0) }
            batch.append(CollectionOfOne(0), at: Int32(prefix + tail - 1), blockTable: table)
        }
        layer.prepare(batch, sharing: arm.sharing, threads: threads)
    }
}
