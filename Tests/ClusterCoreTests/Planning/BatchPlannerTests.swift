import ClusterCore
import Generation
import Testing

@Suite struct BatchPlannerTests {
    private func plan(
        _ prompts: [[TokenID]], answers: [Int]? = nil, _ grouping: PrefixGrouping = .optimal, _ order: BatchPlanner.Order = .decodeRatio,
        least: Int = 1
    ) -> BatchPlan {
        BatchPlanner.plan(
            prompts: prompts, expectedAnswerLengths: answers ?? prompts.map { _ in 10 },
            options: .init(grouping: grouping, order: order, leastPrefix: least))
    }

    // MARK: Small jobs, against all that could have been planned

    /// What a prompt may share: all but its last token.
    private func key(_ prompt: [TokenID]) -> ArraySlice<TokenID> { prompt.dropLast() }

    private func common(_ a: [TokenID], _ b: [TokenID]) -> Int {
        zip(key(a), key(b)).prefix { $0 == $1 }.count
    }

    /// The most that one level of sharing saves, over all partitions of the prompts.
    private func bestPartition(_ prompts: [[TokenID]]) -> Int {
        func best(_ left: ArraySlice<Int>, _ parts: [[Int]]) -> Int {
            guard let next = left.first else {
                return parts.reduce(0) { sum, part in
                    let prefix = part.dropFirst().map { common(prompts[part[0]], prompts[$0]) }.min() ?? 0
                    return sum + (part.count - 1) * prefix
                }
            }
            var most = best(left.dropFirst(), parts + [[next]])
            for index in parts.indices {
                var joined = parts
                joined[index].append(next)
                most = max(most, best(left.dropFirst(), joined))
            }
            return most
        }
        return best(Array(prompts.indices)[...], [])
    }

    /// Tokens of all prompts less the different prefixes that they have.
    private func savedByTree(_ prompts: [[TokenID]]) -> Int {
        var prefixes: Set<[TokenID]> = []
        for prompt in prompts { for count in 1..<max(prompt.count, 1) { prefixes.insert(Array(prompt.prefix(count))) } }
        return prompts.reduce(0) { $0 + max($1.count - 1, 0) } - prefixes.count
    }

    @Test func groupsSaveTheMostThatOneLevelCan() {
        for seed in 1...300 as ClosedRange<UInt64> {
            let prompts = PlanningSamples.small(seed: seed, count: 1 + Int(seed % 8))
            #expect(plan(prompts).savedTokens == bestPartition(prompts), "seed \(seed): \(prompts)")
        }
    }

    @Test(arguments: PrefixGrouping.allCases) func everyPromptIsInOneGroupThatSharesItsPrefix(_ grouping: PrefixGrouping) {
        for seed in 1...200 as ClosedRange<UInt64> {
            let prompts = PlanningSamples.small(seed: seed, count: Int(seed % 60))
            for least in [1, 3] {
                let plan = plan(prompts, grouping, least: least)
                #expect(plan.order.sorted() == Array(prompts.indices), "seed \(seed)")
                for group in plan.groups {
                    let prefix = prompts[group.members[0]].prefix(group.prefixLength)
                    for member in group.members {
                        #expect(key(prompts[member]).starts(with: prefix), "seed \(seed): \(group)")
                    }
                    #expect(group.members.count > 1 ? group.prefixLength >= least : group.prefixLength == 0, "seed \(seed): \(group)")
                }
            }
        }
    }

    @Test func noGroupingSavesMoreThanTheBestAndTheTree() {
        var better = 0
        for seed in 1...300 as ClosedRange<UInt64> {
            let prompts = PlanningSamples.small(seed: seed, count: 40)
            let saved = PrefixGrouping.allCases.map { plan(prompts, $0).savedTokens }
            let best = plan(prompts)
            #expect(saved.allSatisfy { $0 <= best.savedTokens } && best.savedTokens <= best.mostSavedTokens, "seed \(seed): \(saved)")
            #expect(plan(prompts, .none).savedTokens == 0)
            #expect(best.mostSavedTokens == savedByTree(prompts), "seed \(seed)")
            if plan(prompts, .promoted).savedTokens > plan(prompts, .firstLevel).savedTokens { better += 1 }
        }
        #expect(better > 100)
    }

    @Test func aGrandchildIsPromotedWhenThatSavesMore() {
        // c is 4 tokens; g 3 more, shared by three: (3 − 1)·3 > 4.
        let c: [TokenID] = [1, 2, 3, 4], g = c + [5, 6, 7]
        let prompts = [c + [8, 0], c + [9, 0], g + [10, 0], g + [11, 0], g + [12, 0]]
        #expect(Set(plan(prompts, .promoted).groups.map(\.prefixLength)) == [4, 7])
        // Two sharers of 4 tokens save just as much as they cost: (2 − 1)·4 = 4.
        let h = c + [5, 6, 7, 8]
        #expect(Set(plan([c + [8, 0], c + [9, 0], h + [10, 0], h + [11, 0]], .promoted).groups.map(\.prefixLength)) == [4])
    }

    @Test func prefixesAreThoseOfTheTrie() {
        for seed in 1...100 as ClosedRange<UInt64> {
            let prompts = PlanningSamples.small(seed: seed, count: 30)
            let plan = plan(prompts)
            for (index, prefix) in plan.prefixes.enumerated() {
                let tokens = key(prompts[prefix.example]).prefix(prefix.length)
                #expect(tokens.count == prefix.length)
                #expect(prompts.count { key($0).starts(with: tokens) } == prefix.promptCount, "seed \(seed)")
                if let parent = prefix.parent {
                    #expect(parent > index && plan.prefixes[parent].length < prefix.length)
                    #expect(key(prompts[plan.prefixes[parent].example]).starts(with: tokens.prefix(plan.prefixes[parent].length)))
                }
            }
            for group in plan.groups {
                guard let number = group.prefix else { continue }
                let prefix = plan.prefixes[number], tokens = prompts[prefix.example].prefix(prefix.length)
                #expect(prefix.length >= group.prefixLength)
                #expect(group.members.allSatisfy { prompts[$0].starts(with: tokens) })
            }
        }
    }

    @Test func nothingAndOneAreJobsToo() {
        #expect(plan([]).groups.isEmpty)
        let one = plan([[1, 2, 3]])
        #expect(one.order == [0] && one.savedTokens == 0 && one.mostSavedTokens == 0 && one.prefixes.isEmpty)
        // Equal prompts share all but the last token.
        #expect(plan([[1, 2, 3], [1, 2, 3]]).groups.map(\.prefixLength) == [2])
        #expect(plan([[], [], [5]]).savedTokens == 0)
    }

    @Test func aTrieAsDeepAsItsPromptsIsNoDanger() {
        // Every prompt goes on where the one before it ended.
        let prompts = (1...3000).map { count in (0..<count).map { TokenID($0) } }
        let best = plan(prompts)
        #expect(best.order.sorted() == Array(prompts.indices))
        #expect(best.savedTokens >= plan(prompts, .promoted).savedTokens)
        #expect(best.mostSavedTokens == (1...3000).reduce(0) { $0 + $1 - 1 } - 2999)
    }

    // MARK: The experiments' workload

    @Test(arguments: [2, 4, 8, 16]) func savesWhatIsIdealWithShuffledInput(degree: Int) {
        let prompts = PlanningSamples.degrees(degree, count: 400, seed: UInt64(degree))
        let plan = plan(prompts, least: 16)
        let ideal = (400 - 400 / degree) * 500
        #expect(Double(plan.savedTokens) >= 0.99 * Double(ideal))
        // Drawn tokens may agree by chance.
        #expect(Double(plan.savedTokens) <= 1.01 * Double(ideal))
    }

    @Test(arguments: [8, 16]) func oneLevelComesCloseToAllLevels(degree: Int) {
        let prompts = PlanningSamples.degrees(degree, count: 800, outer: 200, prefix: 2000, distinct: 200, seed: UInt64(degree))
        let best = plan(prompts, least: 16), promoted = plan(prompts, .promoted, least: 16)
        #expect(Double(best.savedTokens) >= 0.98 * Double(best.mostSavedTokens))
        #expect(Double(promoted.savedTokens) >= 0.98 * Double(best.mostSavedTokens))
        #expect(Double(plan(prompts, .firstLevel, least: 16).savedTokens) < 0.2 * Double(best.mostSavedTokens))
    }

    // MARK: Order

    @Test func decodeHeavyGroupsComeFirst() {
        var random = PlanningRandom(seed: 7)
        let prompts = PlanningSamples.degrees(4, count: 100, prefix: 40, distinct: 10, seed: 3)
        let answers = prompts.map { _ in 1 + random.below(200) }
        let planned = plan(prompts, answers: answers)
        func ratio(_ group: PlannedGroup) -> Double {
            let computed = group.members.reduce(group.prefixLength) { $0 + prompts[$1].count - group.prefixLength }
            return Double(group.members.reduce(0) { $0 + answers[$1] }) / Double(computed)
        }
        for (group, next) in zip(planned.groups, planned.groups.dropFirst()) { #expect(ratio(group) >= ratio(next)) }
        for group in planned.groups {
            #expect(zip(group.members, group.members.dropFirst()).allSatisfy { answers[$0] >= answers[$1] })
        }
    }

    @Test func firstComeGroupsKeepTheJobsOrder() {
        let prompts = PlanningSamples.degrees(4, count: 100, prefix: 40, distinct: 10, seed: 3)
        let groups = plan(prompts, .optimal, .arrival).groups
        #expect(groups.map { $0.members[0] } == groups.map { $0.members[0] }.sorted())
        #expect(groups.allSatisfy { $0.members == $0.members.sorted() })
        #expect(plan(prompts, .none, .arrival).order == Array(prompts.indices))
    }

    @Test func whatHasBegunStaysWhenTheRestIsReordered() {
        let prompts = PlanningSamples.degrees(4, count: 40, prefix: 40, distinct: 10, seed: 5)
        var planned = plan(prompts)
        let before = planned
        planned.reorder(
            by: .decodeRatio, from: 3, promptLengths: prompts.map(\.count), expectedAnswerLengths: prompts.indices.map { $0 + 1 })
        #expect(planned.groups.prefix(3) == before.groups.prefix(3))
        #expect(planned.groups != before.groups)
        #expect(planned.order.sorted() == Array(prompts.indices))
    }
}
