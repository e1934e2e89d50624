import Generation

/// A job of prompts that share prefixes: `degree` prompts share `prefix` tokens, all of them `outer` tokens before these, and each
/// has `distinct` tokens of its own. The paper's job is 2000/200/100; 500/50/25 saves the same shares on a small machine.
public struct PrefixWorkload: Sendable, Hashable, Codable {
    /// In file names: lower case, digits and dashes.
    public var name: String
    /// Prompts in all, and to a group.
    public var count: Int
    public var degree: Int
    public var outer: Int
    public var prefix: Int
    public var distinct: Int
    public var outputs: LengthDistribution

    public init(name: String, count: Int, degree: Int, outer: Int = 0, prefix: Int, distinct: Int, outputs: LengthDistribution) {
        self.name = name
        self.count = count
        self.degree = degree
        self.outer = outer
        self.prefix = prefix
        self.distinct = distinct
        self.outputs = outputs
    }

    /// In random order: what is to be known of the prefixes has to be found.
    public func queries(seed: UInt64, vocabularySize: Int) -> [Workload.Query] {
        var tokens = SeededRandom(seed: seed), lengths = SeededRandom(seed: ~seed), order = SeededRandom(seed: seed &* 3 &+ 1)
        func draw(_ count: Int) -> [TokenID] { (0..<count).map { _ in TokenID(tokens.below(vocabularySize)) } }
        let all = draw(outer)
        var queries: [Workload.Query] = []
        while queries.count < count {
            let shared = all + draw(prefix)
            for _ in 0..<min(degree, count - queries.count) {
                queries.append(Workload.Query(prompt: shared + draw(distinct), outputCount: outputs.draw(&lengths), isUrgent: false))
            }
        }
        for place in queries.indices.reversed() { queries.swapAt(place, order.below(place + 1)) }
        return queries
    }

    public var promptLength: Int { outer + prefix + distinct }
    /// Tokens of prompt and answer together, at most.
    public var longest: Int { promptLength + outputs.greatest }

    /// Share of the prompt tokens that need not be computed, if each prefix is computed once and nothing is shared but by design.
    public var idealSaving: Double {
        let groups = (count + degree - 1) / degree
        let saved = (count - groups) * prefix + (count - 1) * outer
        return Double(saved) / Double(count * promptLength)
    }

    /// - Parameter unit: tokens of a group's prefix; 2000 is the paper's job, 500 the one for small machines.
    public static func paper(degree: Int, unit: Int, count: Int) -> PrefixWorkload {
        PrefixWorkload(
            name: "prefix-\(unit)-degree-\(degree)-of-\(count)", count: count, degree: degree, prefix: unit, distinct: unit / 10,
            outputs: .constant(unit / 20))
    }

    /// All share a tenth of what a group shares.
    public static func twoLevel(degree: Int, unit: Int, count: Int) -> PrefixWorkload {
        PrefixWorkload(
            name: "two-level-\(unit)-degree-\(degree)-of-\(count)", count: count, degree: degree, outer: unit / 10, prefix: unit,
            distinct: unit / 10, outputs: .constant(unit / 20))
    }

    /// Answers of very different lengths: 10 to 1000 tokens in the paper's form.
    public static func spreadOutputs(degree: Int, unit: Int, count: Int) -> PrefixWorkload {
        PrefixWorkload(
            name: "spread-\(unit)-degree-\(degree)-of-\(count)", count: count, degree: degree, prefix: unit, distinct: unit / 10,
            outputs: .uniform(least: max(unit / 200, 1), greatest: unit / 2))
    }
}
