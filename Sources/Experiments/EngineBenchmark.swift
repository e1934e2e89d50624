import Generation
import Inference
import Kernels

/// Speed of the engine that the workers run, beside the machine's ceilings at the same moment.
public final class EngineBenchmark {
    public enum Workload: Sendable, Hashable {
        /// A prompt of so many tokens, in chunks.
        case prefill(tokens: Int)
        /// Steps of `batch` rows that see `context` keys and more with each step; greedy.
        case decode(batch: Int, context: Int)
    }

    /// One workload on a number of threads, once.
    public struct Measurement: Sendable {
        public var workload: Workload
        public var threads: Int
        public var tokensPerSecond: Double
        /// Tokens per second that the machine's limits, taken just before and after, would allow.
        public var ceiling: Double
        /// Bytes per second read, and its share of what the probe read.
        public var bandwidth: Double
        public var bandwidthShare: Double
        /// Operations per second, of products and attention, and their share of the weights' format's peak.
        public var operationRate: Double
        public var peakShare: Double
        /// Share of the time, by part of ``StepProfile``; `rest` is sampling and everything between the kernels.
        public var shares: [String: Double]
    }

    public let model: Model
    private let engine: Engine
    private let team: ThreadTeam
    /// Made with the first measurement: it touches memory for a while.
    private var probe: MachineProbe?
    private let kvFormat: KVFormat
    private let chunk: Int
    /// Steps of a decode measurement; `nil`: at least ``leastSteps``, and at least for ``leastTime``.
    private let steps: Int?
    private var warm: Set<Workload> = []
    private let workloads: [Workload]
    private var isFilled = false
    private let kv: KVCache
    private let sampler: BatchSampler

    /// Steps of a decode measurement: at least so many, and at least so long.
    private static let leastSteps = 8
    private static let leastTime = Duration.milliseconds(400)
    private static let blockSize = 16

    /// - Parameters:
    ///   - workloads: all that will be measured, for the size of the KV cache.
    ///   - chunk: prompt tokens per step.
    ///   - steps: of a decode measurement, at most ``Workload/decodeSteps``; `nil`: as many as it takes.
    /// - Throws: `KernelError` if memory is refused, `ForwardError` if a workload does not fit the model.
    public init(model: Model, team: ThreadTeam, kvFormat: KVFormat, chunk: Int, steps: Int? = nil, workloads: [Workload]) throws {
        self.model = model
        self.team = team
        self.kvFormat = kvFormat
        self.chunk = chunk
        self.steps = steps
        engine = try Engine(model: model, team: team)
        sampler = BatchSampler(kernels: model.kernels, team: team)
        let blocks = workloads.map { $0.blocks(blockSize: Self.blockSize) }.max() ?? 1
        kv = try KVCache(layout: model.kvLayout(blockSize: Self.blockSize, format: kvFormat),
                         layerCount: model.configuration.layerCount, blockCount: blocks)
        self.workloads = workloads
    }

    /// Every sequence of a decode batch gets the KV of one real prompt in blocks of its own: memory that was never written
    /// would be read from the cache.
    private func fillCache() throws {
        guard !isFilled else { return }
        isFilled = true
        let contexts = workloads.compactMap { if case .decode(_, let context) = $0 { context } else { nil } }
        guard let longest = contexts.max() else { return }
        try prefill(tokens: longest, threads: team.maxThreads)
        let filled = (longest + Self.blockSize - 1) / Self.blockSize
        for block in filled..<max(filled, kv.blockCount) { kv.copyBlock(Int32(block % filled), to: Int32(block)) }
    }

    private func prefill(tokens: Int, threads: Int) throws {
        let table = (0..<Int32((tokens + Self.blockSize - 1) / Self.blockSize)).map { $0 }
        for start in stride(from: 0, to: tokens, by: chunk) {
            let end = min(start + chunk, tokens)
            var batch = TokenBatch()
            batch.append((start..<end).map(token), at: Int32(start), blockTable: table, logits: end == tokens ? .last : .none)
            let logits = try engine.forward(batch, kv: kv, threads: threads)
            if end == tokens { _ = try choose(logits, rows: 1, index: 0, threads: threads) }
        }
    }

    private func token(_ position: Int) -> TokenID {
        TokenID((position &* 2_654_435_761 >> 7) % model.configuration.vocabularySize)
    }

    /// The likeliest token of each row.
    private func choose(_ logits: Logits, rows: Int, index: Int, threads: Int) throws -> [TokenID] {
        let row = BatchSampler.Row(parameters: .greedy, index: UInt32(index))
        return try sampler.sample(logits, rows: [BatchSampler.Row](repeating: row, count: rows), threads: threads).map { try $0.get() }
    }

    /// Prompt tokens of ``firstToken(threads:)``.
    public static let firstPromptCount = 64

    /// Computes a short prompt and chooses a token, as the first thing that this process does with the model.
    public func firstToken(threads: Int) throws {
        try prefill(tokens: min(Self.firstPromptCount, model.configuration.maxPositions, chunk, kv.blockCount * Self.blockSize), threads: threads)
    }

    /// - Returns: steps taken and time spent.
    private func decode(batch rows: Int, context: Int, threads: Int) throws -> (steps: Int, time: Duration) {
        let perSequence = Workload.decodeBlocks(context: context, blockSize: Self.blockSize)
        let tables = (0..<rows).map { row in (0..<perSequence).map { Int32(row * perSequence + $0) } }
        var tokens = (0..<rows).map(token), steps = 0
        let began = ContinuousClock.now
        let limit = self.steps ?? Workload.decodeSteps
        while steps < limit, self.steps != nil || steps < Self.leastSteps || began.duration(to: .now) < Self.leastTime {
            var batch = TokenBatch()
            for row in 0..<rows {
                batch.append(CollectionOfOne(tokens[row]), at: Int32(context + steps), blockTable: tables[row])
            }
            let logits = try engine.forward(batch, kv: kv, threads: threads)
            tokens = try choose(logits, rows: rows, index: steps, threads: threads)
            steps += 1
        }
        return (steps, began.duration(to: .now))
    }

    /// Runs what `measure` is about to measure for the first time: memory is touched, and threads are awake.
    private func warmUp(_ workload: Workload, threads: Int) throws {
        guard warm.insert(workload).inserted else { return }
        switch workload {
        case .prefill(let count): try prefill(tokens: min(count, chunk), threads: threads)
        case .decode(let rows, let context): _ = try decode(batch: rows, context: context, threads: threads)
        }
    }

    /// Takes the ceilings, runs `workload`, takes the ceilings again.
    /// - Throws: `ForwardError` if the workload does not fit the model.
    public func measure(_ workload: Workload, threads: Int) throws -> Measurement {
        try fillCache()
        try warmUp(workload, threads: threads)
        let probe = try self.probe ?? MachineProbe(team: team)
        self.probe = probe
        let before = ceilings(probe, threads: threads)
        engine.resetProfile()
        let work: EngineWork, time: Duration, tokens: Int, steps: Int
        switch workload {
        case .prefill(let count):
            time = try ContinuousClock().measure { try prefill(tokens: count, threads: threads) }
            (tokens, steps) = (count, 1)
            work = .prefill(tokens: count, model: model, kvFormat: kvFormat)
        case .decode(let rows, let context):
            (steps, time) = try decode(batch: rows, context: context, threads: threads)
            tokens = steps * rows
            work = .decode(batch: rows, context: context + steps / 2, model: model, kvFormat: kvFormat)
        }
        let profile = engine.profile, after = ceilings(probe, threads: threads)
        let limits = zip(before, after).map { ($0 + $1) / 2 }
        let seconds = time.seconds / Double(steps), least = work.seconds(bandwidth: limits[0], productPeak: limits[1], attentionPeak: limits[2])
        let rate = (work.productOperations + work.attentionOperations) / seconds
        return Measurement(
            workload: workload, threads: threads, tokensPerSecond: Double(tokens) / time.seconds,
            ceiling: Double(tokens) / Double(steps) / least, bandwidth: work.bytes / seconds,
            bandwidthShare: work.bytes / seconds / limits[0], operationRate: rate, peakShare: rate / limits[1],
            shares: Self.shares(of: profile, in: time))
    }

    private static func shares(of profile: StepProfile, in time: Duration) -> [String: Double] {
        var shares: [String: Double] = [:]
        for part in StepProfile.Part.allCases { shares[part.rawValue] = profile[part].seconds / time.seconds }
        shares[restName] = 1 - profile.total.seconds / time.seconds
        return shares
    }

    /// Sampling, and everything between the kernels.
    static let restName = "rest"

    /// Bytes per second, operations per second of products, of attention.
    private func ceilings(_ probe: MachineProbe, threads: Int) -> [Double] {
        let products = probe.peak(model.productArithmetic, threads: threads)
        let attention = probe.peak(kv.layout.isPaired ? .bfloat16 : .float32, threads: threads)
        return [probe.readBandwidth(threads: threads), products, attention]
    }
}

extension EngineBenchmark.Workload {
    /// Most steps of a decode measurement, for which there is room in the cache.
    public static let decodeSteps = 256

    static func decodeBlocks(context: Int, blockSize: Int) -> Int { (context + decodeSteps + blockSize - 1) / blockSize }

    func blocks(blockSize: Int) -> Int {
        switch self {
        case .prefill(let tokens): (tokens + blockSize - 1) / blockSize
        case .decode(let batch, let context): batch * Self.decodeBlocks(context: context, blockSize: blockSize)
        }
    }

    /// Greatest number of positions used.
    public var positions: Int {
        switch self {
        case .prefill(let tokens): tokens
        case .decode(_, let context): context + Self.decodeSteps
        }
    }
}

extension Model {
    fileprivate var productArithmetic: MachineProbe.Arithmetic {
        switch weightFormat {
        case .float32: .float32
        case .bfloat16: kernels.multipliesTiles ? .bfloat16Tiles : .bfloat16
        case .int8: kernels.multipliesTiles ? .int8Tiles : .int8
        }
    }
}
