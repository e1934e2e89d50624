import ClusterCore

/// Decides when and how often a message arrives. A path is in order unless noise says otherwise.
struct Network {
    enum Kind: Int, CaseIterable {
        case control
        case heartbeat
        case kv
    }

    struct Path {
        var kind: Kind
        var from: Int
        var to: Int
    }

    private let nodeCount: Int
    private var lastArrival: [Int64]
    private var blockedUntil: [Int64]
    /// Whether what is sent into a blocked path arrives afterwards, as buffers may hold it, or never.
    private var holds: [Bool]
    var noise: Scenario.Noise
    var controlNoise: Scenario.Noise
    private let latency: Int
    private let kvLatency: Int
    private(set) var lost = 0
    private(set) var duplicated = 0
    private(set) var reordered = 0
    private(set) var blocked = 0

    /// Nodes are the workers by index, and the coordinator as the last one.
    init(workerCount: Int, scenario: Scenario) {
        nodeCount = workerCount + 1
        lastArrival = Array(repeating: 0, count: Kind.allCases.count * nodeCount * nodeCount)
        blockedUntil = lastArrival
        holds = Array(repeating: false, count: lastArrival.count)
        noise = scenario.noise
        controlNoise = scenario.controlNoise
        latency = scenario.latency
        kvLatency = scenario.kvLatency
    }

    private func index(_ path: Path) -> Int { (path.kind.rawValue * nodeCount + path.from) * nodeCount + path.to }

    mutating func block(_ path: Path, until end: Instant, holding: Bool) {
        holds[index(path)] = holding
        blockedUntil[index(path)] = max(blockedUntil[index(path)], end.nanoseconds)
    }

    mutating func heal() {
        noise = Scenario.Noise()
        controlNoise = Scenario.Noise()
        blockedUntil = Array(repeating: 0, count: blockedUntil.count)
    }

    /// When a message sent now arrives: never, once, or twice.
    mutating func arrivals(on path: Path, at now: Instant, _ random: inout Random) -> [Instant] {
        let index = index(path)
        let isBlocked = now.nanoseconds < blockedUntil[index]
        if isBlocked, !holds[index] {
            blocked += 1
            return []
        }
        let departure = isBlocked ? Instant(nanoseconds: blockedUntil[index]) : now
        let noise = path.kind == .control ? controlNoise : noise
        if random.chance(noise.loss) {
            lost += 1
            return []
        }
        let latency = path.kind == .kv ? kvLatency : latency
        let usual = departure + random.microseconds(latency...2 * latency)
        var arrivals: [Instant] = []
        if random.chance(noise.reordering) {
            reordered += 1
            arrivals.append(usual + random.milliseconds(0...200))
        } else {
            lastArrival[index] = max(lastArrival[index] + 1, usual.nanoseconds)
            arrivals.append(Instant(nanoseconds: lastArrival[index]))
        }
        if random.chance(noise.duplication) {
            duplicated += 1
            arrivals.append(usual + random.milliseconds(0...500))
        }
        return arrivals
    }
}
