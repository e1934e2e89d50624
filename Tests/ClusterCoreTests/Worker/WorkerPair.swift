import ClusterCore
import Generation
import Testing

/// A prefill worker and some decode workers around their real roles, with fake engines and a network that can lose,
/// repeat, reorder and damage. A turn takes a millisecond.
final class WorkerPair {
    struct Faults {
        var loss = 0.0
        var losesBlocks = false
        var duplication = 0.0
        var damage = 0.0
        /// How far a packet may be overtaken; 1 keeps the order.
        var reordering = 1
    }

    private enum Content {
        case control(KVMessage)
        case blocks(KVBlocks, from: [BlockID], lease: LeaseID)
        case copy(KVBlocks, [[UInt64]])
        case reply(KVReply)
    }

    static let epoch = ClusterEpoch(77)
    static let geometry = KVGeometry(
        layerCount: 3, blockSize: 4, keyValueHeads: 1, headDimension: 1, bytesPerElement: 4)

    var now = Instant(nanoseconds: 0)
    var faults = Faults()
    var prefill: PrefillRole
    var decode: [DecodeRole]
    var reports: [WorkerMessage] = []
    /// Decode workers that take part; others hear and say nothing.
    var isAlive: [Bool]
    /// The prefill engine takes work.
    var isComputing = true
    private let creditWindow: Int
    /// Layer blocks sent, by attempt.
    private var sent: [AttemptID: Int] = [:]
    private var network: [(to: Int, Content)] = []
    private var prefillKV: FakeKV
    private var decodeKV: [FakeKV]
    private var step: PrefillStep?
    private var layer = 0
    private var iterations: [DecodeIteration?]
    private var random: UInt64

    init(
        seed: UInt64 = 1, blockCount: Int = 64, decodeWorkers: Int = 1, maxSequences: Int = 4, creditWindow: Int = 8,
        maxModelLength: Int = 128, layout: BatchLayout = .blockTables, cachesPrefixes: Bool = false
    ) {
        random = seed
        self.creditWindow = creditWindow
        prefill = PrefillRole(.init(
            clusterEpoch: Self.epoch, workerEpoch: WorkerEpoch(1), modelHash: "m", geometry: Self.geometry,
            blockCount: 64, maxSequences: 8, maxBatchedTokens: 16, maxModelLength: 128,
            cachesPrefixes: cachesPrefixes))
        let role = DecodeRole(.init(
            clusterEpoch: Self.epoch, workerEpoch: WorkerEpoch(2), modelHash: "m", geometry: Self.geometry,
            blockCount: blockCount, maxSequences: maxSequences, maxModelLength: maxModelLength,
            creditWindow: creditWindow, layout: layout, cachesPrefixes: cachesPrefixes))
        decode = Array(repeating: role, count: decodeWorkers)
        isAlive = Array(repeating: true, count: decodeWorkers)
        prefillKV = FakeKV(geometry: Self.geometry, blockCount: 64)
        decodeKV = Array(repeating: FakeKV(geometry: Self.geometry, blockCount: blockCount), count: decodeWorkers)
        iterations = Array(repeating: nil, count: decodeWorkers)
    }

    static func destination(_ worker: Int = 0) -> KVDestination {
        KVDestination(worker: WorkerID("d\(worker)"), endpoint: "inproc://d\(worker)")
    }

    static func sequence(
        _ request: UInt64, ordinal: UInt32 = 1, promptCount: Int = 10, maxTokens: Int32 = 6, endTokens: [TokenID] = [],
        priority: Priority = .normal
    ) -> SequenceOrder {
        SequenceOrder(
            attempt: AttemptID(request: RequestID(request), ordinal: ordinal), tokens: prompt(request, promptCount),
            promptCount: promptCount, sampling: SamplingParameters(seed: request),
            stop: StopConditions(maxTokens: maxTokens, endTokens: endTokens), priority: priority)
    }

    static func prompt(_ request: UInt64, _ count: Int) -> [TokenID] {
        (0..<count).map { TokenID(request) * 1000 + TokenID($0) }
    }

    static func answer(to sequence: SequenceOrder) -> [TokenID] {
        FakeKV.answer(
            to: sequence.tokens, seed: sequence.sampling.seed, choice: sequence.sampling.choice, count: Int(sequence.stop.maxTokens), geometry: geometry)
    }

    func submit(_ sequence: SequenceOrder, budget: Int = 0, to worker: Int = 0) {
        tell(worker, .grant(Grant(sequence: sequence, budget: budget)))
        tellPrefill(.prefill(PrefillOrder(sequence: sequence, destination: Self.destination(worker))))
    }

    func tell(_ worker: Int, _ message: CoordinatorMessage) {
        carryOut(decode[worker].handle(.message(message), at: now), of: worker)
    }

    func tellPrefill(_ message: CoordinatorMessage) {
        carryOut(prefill.handle(.message(message), at: now))
    }

    func cancel(_ sequence: SequenceOrder, at worker: Int = 0) {
        tell(worker, .cancel(sequence.attempt))
        tellPrefill(.cancel(sequence.attempt))
    }

    /// Turns until `condition` holds; false if it never does.
    @discardableResult
    func run(turns: Int = 20_000, until condition: (WorkerPair) -> Bool) -> Bool {
        for _ in 0..<turns {
            if condition(self) { return true }
            turn()
        }
        return condition(self)
    }

    func turn() {
        now = now + .milliseconds(1)
        compute()
        for worker in decode.indices where isAlive[worker] { iterate(worker) }
        for _ in 0..<min(4, network.count) { deliver() }
        carryOut(prefill.handle(.tick, at: now))
        for worker in decode.indices where isAlive[worker] {
            carryOut(decode[worker].handle(.tick, at: now), of: worker)
            decode[worker].checkInvariants()
        }
        prefill.checkInvariants()
    }

    /// The tokens reported for an attempt's request, in order; fails the test if indexes are not dense.
    func tokens(of sequence: SequenceOrder) -> [TokenID] {
        let events = reports.flatMap { report -> [TokenEvent] in
            switch report {
            case .prefillFinished(_, let event): [event]
            case .promptForked(_, let events): events
            case .tokens(let events): events
            default: []
            }
        }.filter { $0.attempt == sequence.attempt }
        #expect(events.map(\.index) == (0..<Int32(events.count)).map { $0 })
        return events.map(\.token)
    }

    func has(_ report: WorkerMessage) -> Bool { reports.contains(report) }

    var isAtRest: Bool {
        prefill.load.referencedBlocks == 0
            && decode.indices.allSatisfy { !isAlive[$0] || decode[$0].load == atRest($0) }
    }

    private func atRest(_ worker: Int) -> WorkerLoad { WorkerLoad(
            iterationTime: decode[worker].load.iterationTime, transfers: decode[worker].load.transfers, work: decode[worker].load.work,
            prefixCache: decode[worker].load.prefixCache) }

    // The engines: a layer or an iteration a turn.

    private func compute() {
        guard isComputing else { return }
        guard let step else {
            let next = prefill.nextStep(at: now)
            carryOut(next.actions)
            step = next.step
            layer = 0
            return
        }
        for chunk in step.chunks {
            for (offset, token) in chunk.tokens.enumerated() {
                prefillKV.write(token, layer: layer, position: chunk.start + offset, chunk.blockTable)
            }
        }
        carryOut(prefill.handle(.layerStored(layer), at: now))
        layer += 1
        guard layer == Self.geometry.layerCount else { return }
        let samples = step.chunks.flatMap { chunk in
            chunk.samples.map {
                Sample(attempt: $0.attempt, token: .success(prefillKV.sample(
                    length: chunk.start + chunk.tokens.count, chunk.blockTable, $0.context)))
            }
        }
        self.step = nil
        carryOut(prefill.handle(.stepFinished(samples), at: now))
    }

    private func iterate(_ worker: Int) {
        guard let iteration = iterations[worker] else {
            let next = decode[worker].nextIteration(at: now)
            carryOut(next.actions, of: worker)
            iterations[worker] = next.iteration
            return
        }
        let samples = iteration.rows.map { row in
            decodeKV[worker].writeAllLayers(row.input, position: row.position, row.blockTable)
            return Sample(attempt: row.attempt, token: .success(
                decodeKV[worker].sample(length: row.length, row.blockTable, row.sampling)))
        }
        iterations[worker] = nil
        carryOut(decode[worker].handle(.iterationFinished(samples), at: now), of: worker)
    }

    // The network: payloads are read when they leave, as a transport without copies does.

    private func carryOut(_ actions: [PrefillRole.Action]) {
        for action in actions {
            switch action {
            case .report(let report): reports.append(report)
            case .copyBlock(let from, let to):
                for layer in 0..<Self.geometry.layerCount {
                    prefillKV.store(prefillKV.payload(layer, from), layer, to)
                }
            case .send(let message, let to): network.append((index(to), .control(message)))
            case .sendBlocks(let blocks, let from, let lease, let to):
                sent[blocks.attempt, default: 0] += blocks.range.count
                network.append((index(to), .blocks(blocks, from: from, lease: lease)))
            }
        }
    }

    private func carryOut(_ actions: [DecodeRole.Action], of worker: Int) {
        for action in actions {
            switch action {
            case .report(let report): reports.append(report)
            case .reply(_, let reply):
                if case .credit(_, let attempt, let limit, _) = reply {
                    #expect(limit <= sent[attempt, default: 0] + creditWindow)
                }
                network.append((worker, .reply(reply)))
            case .copyBlock(let from, let to):
                for layer in 0..<Self.geometry.layerCount {
                    decodeKV[worker].store(decodeKV[worker].payload(layer, from), layer, to)
                }
            case .park, .restore, .load, .discard, .send, .sendParked, .releaseMemory:
                Issue.record("\(action), but nothing can be parked here")
            }
        }
    }

    private func index(_ destination: KVDestination) -> Int {
        decode.indices.first { Self.destination($0) == destination } ?? 0
    }

    private func deliver() {
        guard !network.isEmpty else { return }
        let (worker, content) = network.remove(at: Int(draw() * Double(min(faults.reordering, network.count))))
        let isLost = draw() < faults.loss || !isAlive[worker]
        let isRepeated = draw() < faults.duplication
        switch content {
        case .reply(let reply):
            if isRepeated { network.append((worker, content)) }
            if !isLost { carryOut(prefill.handle(.reply(reply), at: now)) }
        case .control(let message):
            if isRepeated { network.append((worker, content)) }
            if !isLost { carryOut(decode[worker].handle(.kv(PeerID(5), message), at: now), of: worker) }
        case .blocks(_, _, let lease) where faults.losesBlocks:
            carryOut(prefill.handle(.sent(lease), at: now))
        case .blocks(let blocks, let from, let lease):
            let payload = from.map { prefillKV.payload(blocks.range.layer, $0) }
            carryOut(prefill.handle(.sent(lease), at: now))
            if isRepeated { network.append((worker, .copy(blocks, payload))) }
            if !isLost { receive(blocks, payload, worker) }
        case .copy(let blocks, let payload):
            if !isLost { receive(blocks, payload, worker) }
        }
    }

    private func receive(_ blocks: KVBlocks, _ payload: [[UInt64]], _ worker: Int) {
        let isDamaged = draw() < faults.damage
        let event: DecodeRole.Event
        switch decode[worker].destination(for: blocks) {
        case .failure(let refusal): event = .blocksRefused(PeerID(5), blocks, refusal)
        case .success(let destination):
            for (block, bytes) in zip(destination, payload) {
                decodeKV[worker].store(isDamaged ? bytes.map { ~$0 } : bytes, blocks.range.layer, block)
            }
            event = isDamaged ? .blocksCorrupt(PeerID(5), blocks) : .blocksStored(PeerID(5), blocks)
        }
        carryOut(decode[worker].handle(event, at: now), of: worker)
    }

    private func draw() -> Double {
        random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Double(random >> 11) / Double(1 << 53)
    }
}
