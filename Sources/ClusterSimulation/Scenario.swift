import ClusterCore
import Generation

/// What one seed simulates: the cluster's shape, the requests, and which faults happen how often.
struct Scenario {
    struct Worker {
        var role: WorkerRole
        var blockCount: Int
        var maxSequences: Int
        var scheduling: Scheduling?
    }

    /// Probabilities for each message.
    struct Noise {
        var loss = 0.0
        var duplication = 0.0
        var reordering = 0.0
        /// Of a payload.
        var corruption = 0.0
    }

    struct Request {
        var client: Int
        var arrival: Instant
        var prompt: [TokenID]
        var sampling: SamplingParameters
        var stop: StopConditions
        var priority: Priority
        /// After arrival.
        var timeout: Duration?
        var cancelAfter: Duration?
        /// The shell meets a stop string after this many tokens, one later in each choice.
        var stopStringAfter: Int?
        var choices: Int32 = 1
        var logprobs: Int32?
        var promptLogprobs: Int32?
        var cacheSalt = ""
        var group: PrefixGroup?
    }

    var geometry: KVGeometry
    var model: FakeModel
    var maxModelLength: Int
    var maxBatchedTokens: Int
    var creditWindow: Int
    var growthBlocks: Int
    var parking: ParkingLot.Limits
    var scaling: BatchScale.Configuration
    var backgroundShare: Double
    /// Share of what is parked in files that cannot be written, or comes back damaged.
    var diskFailures: Double
    var priorityHeadStart: Duration
    var workers: [Worker]
    var requests: [Request]
    /// Workers keep prefixes, and prompts have some in common.
    var cachesPrefixes = false
    var placement = PlacementPolicy.prefix
    var clientCount: Int
    var maxQueuedRequests: Int
    /// Of heartbeats and KV, and of control links, where a lost message costs a registration.
    var noise: Noise
    var controlNoise: Noise
    /// Every message takes so long at least, in microseconds, and up to as much more.
    var latency: Int
    /// The same for KV.
    var kvLatency: Int
    /// What the transport takes to read one message, in microseconds at most.
    var transportTime: Int
    /// Mean time between two faults; kinds that happen.
    var faultInterval: Duration
    var faults: [FaultKind]
    /// Faults stop here, and everything must come to an end.
    var healing: Instant

    init(random: inout Random) {
        let blockSize = random.draw(1...6)
        geometry = KVGeometry(
            layerCount: random.draw(1...3), blockSize: blockSize, keyValueHeads: 1, headDimension: 2,
            bytesPerElement: 4)
        model = FakeModel(layerCount: geometry.layerCount, vocabulary: 50)
        maxModelLength = random.draw(24...60)
        maxBatchedTokens = random.draw(3...40)
        creditWindow = random.draw(1...24)
        growthBlocks = random.draw(0...4)
        let query = geometry.layerCount * geometry.bytesPerLayerBlock * geometry.blockCount(forTokens: maxModelLength)
        parking = ParkingLot.Limits(
            memory: query * random.pick([0, 1, 3, 100]), file: query * random.pick([0, 0, 2, 100]))
        diskFailures = random.pick([0, 0, 0.05, 0.3])
        priorityHeadStart = random.pick([.milliseconds(300), .seconds(3), .seconds(300)])
        latency = random.pick([50, 200, 1000, 4000])
        kvLatency = random.chance(0.6) ? latency : random.pick([20_000, 100_000, 300_000])
        // Stop and wait over a slow link is correct, but takes for ever.
        creditWindow = max(creditWindow, kvLatency / 5_000)
        transportTime = random.pick([100, 300, 3_000])
        let smallest = geometry.blockCount(forTokens: maxModelLength)
        // Drawn apart: a seed tells the same story whatever policies there are.
        var policies = random
        policies = Random(seed: policies.next())
        func workers(_ role: WorkerRole) -> [Worker] {
            (0..<random.draw(1...3)).map { _ in
                Worker(
                    role: role, blockCount: smallest + random.draw(0...smallest * 2), maxSequences: random.draw(1...4),
                    scheduling: Self.scheduling(of: role, &policies))
            }
        }
        // Separated workers, mixed ones, or both.
        let hasMixed = random.chance(0.45)
        let hasPairs = !hasMixed || random.chance(0.6)
        self.workers = (hasPairs ? workers(.prefill) + workers(.decode) : []) + (hasMixed ? workers(.mixed) : [])
        scaling = BatchScale.Configuration(
            policy: policies.pick([.off, .off, .threshold, .smdp]),
            blocks: policies.pick([.init(low: 75, high: 90), .init(low: 30, high: 50)]),
            target: policies.pick([nil, .milliseconds(2), .milliseconds(10)]),
            weights: BatchPace.Weights(latency: 1, cost: policies.pick([0, 1, 50])))
        backgroundShare = policies.pick([.infinity, 0.1, 1])
        clientCount = random.draw(2...6)
        maxQueuedRequests = random.chance(0.2) ? random.draw(2...8) : 1000
        healing = Instant(nanoseconds: 0) + random.milliseconds(4_000...12_000)

        let rates = [0, 0, 0.002, 0.02]
        func drawNoise() -> Noise {
            Noise(
                loss: random.pick(rates), duplication: random.pick(rates), reordering: random.pick(rates),
                corruption: random.pick(rates))
        }
        noise = drawNoise()
        controlNoise = random.chance(0.3) ? drawNoise() : Noise()
        controlNoise.loss /= 8
        controlNoise.reordering /= 8
        faultInterval = random.milliseconds(80...1_200)
        // Each seed has a few kinds of faults only: some bugs show only when others do not get in the way.
        faults = FaultKind.allCases.filter { $0 != .memorySqueeze && random.chance(0.4) }
        if scaling.policy != .off { faults.append(.memorySqueeze) }

        requests = []
        let model = model
        let (length, clientCount, healing) = (maxModelLength, clientCount, healing)
        // Prompts of one length are easily taken for one another.
        let promptCount = random.chance(0.35) ? random.draw(1...length - 2) : nil
        let span = Int(healing.nanoseconds / 1_000)
        let bursts = random.chance(0.4) ? (0..<random.draw(1...4)).map { _ in random.draw(0...span) } : []
        requests = (0..<random.draw(20...(kvLatency < 100_000 ? 120 : 40))).map { _ in
            let burst = bursts.isEmpty ? random.draw(0...span) : random.pick(bursts) + random.draw(0...200_000)
            let arrival = Instant(nanoseconds: Int64(burst) * 1_000)
            return Request(
                arrival: arrival, client: random.below(clientCount), promptCount: promptCount, length: length,
                model: model, random: &random)
        }
        // Some more once all is calm, so that what ends early is seen to end at once.
        requests += (0..<10).map { _ in
            let arrival = healing + Self.settling + random.milliseconds(0...500)
            var request = Request(
                arrival: arrival, client: random.below(clientCount), promptCount: promptCount, length: length,
                model: model, random: &random)
            if random.chance(0.5) { request.cancelAfter = random.milliseconds(0...200) }
            if random.chance(0.3) { request.timeout = random.milliseconds(10...200) }
            return request
        }
        drawFeatures(random)
        drawPrefixes(random)
    }

    /// Several choices, scores of prompts, a least length: for some of the requests of half of all seeds. Drawn apart, so that
    /// the other half tells the same story without them.
    private mutating func drawFeatures(_ random: Random) {
        var features = random
        features = Random(seed: features.next() ^ 0xFEA7)
        guard features.chance(0.5) else { return }
        for index in requests.indices {
            if features.chance(0.3) { requests[index].choices = Int32(features.draw(2...5)) }
            if features.chance(0.3) { requests[index].logprobs = Int32(features.draw(0...3)) }
            if features.chance(0.3) { requests[index].promptLogprobs = Int32(features.draw(0...3)) }
            if features.chance(0.3) { requests[index].stop.minTokens = Int32(features.draw(1...6)) }
            if requests[index].promptLogprobs != nil, features.chance(0.4) {
                requests[index].stop.maxTokens = 0
                requests[index].choices = 1
            }
        }
    }

    /// Beginnings that prompts have in common, some of which begin alike in turn: in two of three seeds. Drawn apart like the
    /// features.
    private mutating func drawPrefixes(_ random: Random) {
        var draws = random
        draws = Random(seed: draws.next() ^ 0x9F1E)
        guard draws.chance(0.67) else { return }
        cachesPrefixes = true
        placement = draws.pick([.prefix, .prefix, .prefix, .leastLoaded, .roundRobin])
        var stems: [[TokenID]] = []
        for _ in 0..<draws.draw(1...4) {
            let begin = stems.isEmpty || draws.chance(0.5) ? [] : draws.pick(stems)
            let count = draws.draw(1...max(1, maxModelLength / 2))
            stems.append(Array(begin.prefix(count / 2)) + (0..<count).map { _ in TokenID(draws.below(model.vocabulary)) })
        }
        let isSalted = draws.chance(0.3)
        for index in requests.indices where draws.chance(0.8) {
            let stem = draws.pick(stems), count = min(stem.count, requests[index].prompt.count)
            requests[index].prompt.replaceSubrange(0..<count, with: stem.prefix(count))
            if isSalted { requests[index].cacheSalt = draws.pick(["", "a", "b"]) }
        }
        if draws.chance(0.5) { drawGroups(stems, &draws) }
    }

    /// Requests that begin with the same stem are a group of their client; sometimes more members are announced than come.
    private mutating func drawGroups(_ stems: [[TokenID]], _ draws: inout Random) {
        for (number, stem) in stems.enumerated() {
            for client in 0..<clientCount {
                let members = requests.indices.filter {
                    requests[$0].client == client && requests[$0].cacheSalt.isEmpty && requests[$0].prompt.starts(with: stem)
                }
                guard !members.isEmpty else { continue }
                let announced = members.count + (draws.chance(0.2) ? 1 : 0)
                for index in members where requests[index].group == nil {
                    requests[index].group = PrefixGroup(
                        id: UInt64(number), prefixCount: Int32(stem.count), memberCount: Int32(announced))
                }
            }
        }
    }

    /// Half of the workers schedule as is usual for their role, the others in one of the other ways.
    private static func scheduling(of role: WorkerRole, _ random: inout Random) -> Scheduling? {
        let usual = Scheduling.standard(for: role)
        let others = Scheduling.allCases.filter { $0.role == role && $0 != usual }
        return others.isEmpty || random.chance(0.5) ? usual : random.pick(others)
    }

    /// From the healing on: time in which the cluster must have found itself again.
    static let settling = Duration.seconds(10)
}

extension Scenario.Request {
    init(
        arrival: Instant, client: Int, promptCount: Int?, length: Int, model: FakeModel, random: inout Random
    ) {
        self.arrival = arrival
        self.client = client
        let promptCount = promptCount ?? random.draw(1...length - 2)
        let maxTokens = random.draw(1...min(length - promptCount, 30))
        prompt = (0..<promptCount).map { _ in TokenID(random.below(model.vocabulary)) }
        sampling = SamplingParameters(seed: random.next())
        stop = StopConditions(maxTokens: Int32(maxTokens))
        // Often the answer's own first token ends it: the KV then has to go nowhere.
        if random.chance(0.1) {
            stop.endTokens = [model.answer(to: prompt, sampling, StopConditions(maxTokens: 1)).tokens[0].token]
        } else if random.chance(0.3) {
            stop.endTokens = [TokenID(random.below(model.vocabulary)), TokenID(random.below(model.vocabulary))]
        }
        priority = random.pick([.low, .normal, .normal, .high])
        timeout = random.chance(0.15) ? random.milliseconds(50...8_000) : nil
        cancelAfter = random.chance(0.15) ? random.milliseconds(0...1_500) : nil
        stopStringAfter = random.chance(0.1) ? random.draw(1...10) : nil
    }
}

/// What goes wrong.
public enum FaultKind: String, CaseIterable, Sendable {
    case workerCrash
    /// Stopped for a while; then it goes on where it was.
    case workerStop
    case workerSlow
    case coordinatorCrash
    case coordinatorStop
    /// Of one worker and the coordinator, in one direction or both, with or without the heartbeats.
    case controlPartition
    /// Between two workers.
    case kvPartition
    case connectionLoss
    case clientGone
    /// Somebody else takes the memory of a worker's machine, for a while.
    case memorySqueeze
}
