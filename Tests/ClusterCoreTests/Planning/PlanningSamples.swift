import ClusterCore
import Generation

/// SplitMix64.
struct PlanningRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }

    mutating func below(_ count: Int) -> Int { Int(next() % UInt64(count)) }

    mutating func tokens(_ count: Int) -> [TokenID] { (0..<count).map { _ in TokenID(below(50_000)) } }
}

enum PlanningSamples {
    /// Few tokens, short prompts, many repetitions: tries of every shape, empty and equal prompts among them.
    static func small(seed: UInt64, count: Int) -> [[TokenID]] {
        var random = PlanningRandom(seed: seed)
        var prompts: [[TokenID]] = []
        for _ in 0..<count {
            // Half of them go on from a prefix of an earlier one.
            var prompt: [TokenID] = []
            if let earlier = prompts.randomElement(using: &random), random.below(2) == 0 {
                prompt = Array(earlier.prefix(random.below(earlier.count + 1)))
            }
            prompt += (0..<random.below(8)).map { _ in TokenID(random.below(2)) }
            prompts.append(prompt)
        }
        return prompts
    }

    /// The experiments' workload: `outer` tokens that all share, `prefix` that the prompts of a group do, shuffled.
    static func degrees(
        _ degree: Int, count: Int, outer: Int = 0, prefix: Int = 500, distinct: Int = 50, seed: UInt64
    ) -> [[TokenID]] {
        var random = PlanningRandom(seed: seed)
        let all = random.tokens(outer)
        var prompts: [[TokenID]] = []
        while prompts.count < count {
            let shared = all + random.tokens(prefix)
            for _ in 0..<min(degree, count - prompts.count) { prompts.append(shared + random.tokens(distinct)) }
        }
        prompts.shuffle(using: &random)
        return prompts
    }
}
