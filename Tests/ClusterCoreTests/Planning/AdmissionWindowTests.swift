import ClusterCore
import Generation
import Testing

@Suite struct AdmissionWindowTests {
    private let prompts: [[TokenID]]
    private let plan: BatchPlan

    init() {
        prompts = PlanningSamples.degrees(4, count: 32, prefix: 64, distinct: 16, seed: 1)
        plan = BatchPlanner.plan(prompts: prompts, expectedAnswerLengths: prompts.map { _ in 32 })
    }

    private func window(_ limit: AdmissionWindow.Limit, followersWait: Bool = true, prefixesAhead: Int = 8) -> AdmissionWindow {
        AdmissionWindow(
            plan: plan, promptLengths: prompts.map(\.count), answerLimits: prompts.map { _ in 32 }, limit: limit,
            followersWait: followersWait, prefixesAhead: prefixesAhead)
    }

    private func admitted(_ window: inout AdmissionWindow) -> [AdmissionWindow.Admission] {
        var all: [AdmissionWindow.Admission] = []
        while let next = window.next() { all.append(next) }
        return all
    }

    @Test func membersFollowOnceTheirPrefixIsWhole() throws {
        var window = window(.requests(8))
        // Until then other groups begin.
        let first = admitted(&window)
        #expect(first.map(\.group) == Array(0..<8) && first.allSatisfy(\.opensGroup))
        window.noteProgress(of: first[2].prompt, generated: 1)
        window.noteEnd(of: first[7].prompt, length: 5, .finished)
        // The group with a prefix comes before the one that has ended its first member, but later in the order.
        let follower = window.next()
        let next = try #require(follower)
        #expect(next.group == 2 && !next.opensGroup && next.prompt == plan.groups[2].members[1])
        let another = window.next()
        #expect(another == nil)
    }

    @Test func notManyPrefixesAreMadeAtATime() {
        var window = window(.requests(8), prefixesAhead: 2)
        let first = admitted(&window)
        #expect(first.map(\.group) == [0, 1])
        window.noteProgress(of: first[0].prompt, generated: 1)
        let next = admitted(&window)
        #expect(next.map(\.group) == [0, 0, 0, 2])
    }

    @Test func aPrefixThatFailedIsMadeByTheNextMember() {
        var window = window(.requests(2))
        let first = admitted(&window)
        window.noteEnd(of: first[0].prompt, length: 0, .cut)
        let next = window.next()
        #expect(next == .init(prompt: plan.groups[0].members[1], group: 0, opensGroup: true))
    }

    @Test func nobodyWaitsWhereTheClusterHoldsThemBack() {
        var window = window(.requests(6), followersWait: false)
        let begun = admitted(&window)
        #expect(begun.map(\.group) == [0, 0, 0, 0, 1, 1])
    }

    @Test func memoryCountsAPrefixOnce() {
        // A member has 16 + 32 tokens of its own: 3 blocks, and a last one that may be badly filled.
        var shared = window(.kvMemory(blocks: 4 + 4 * 4, blockSize: 16), followersWait: false)
        let begun = admitted(&shared)
        #expect(begun.count == 4)
        // By tokens, each has its prefix to itself.
        var alone = window(.tokens((4 + 4 * 4) * 16), followersWait: false)
        let begunAlone = admitted(&alone)
        #expect(begunAlone.count == 2)
    }

    @Test func whatDoesNotFitRunsAlone() {
        var window = window(.kvMemory(blocks: 1, blockSize: 16), followersWait: false)
        let begun = admitted(&window)
        #expect(begun.count == 1)
    }

    @Test(arguments: [AdmissionWindow.Limit.requests(5), .tokens(900), .kvMemory(blocks: 40, blockSize: 16)], [true, false])
    func everyPromptRunsOnce(_ limit: AdmissionWindow.Limit, _ followersWait: Bool) {
        var window = window(limit, followersWait: followersWait)
        var random = PlanningRandom(seed: 9)
        var running: [(admission: AdmissionWindow.Admission, generated: Int, end: Int)] = []
        var seen: [Int] = []
        var opened: Set<Int> = []
        while !window.isDone {
            for admission in admitted(&window) {
                seen.append(admission.prompt)
                #expect(plan.groups[admission.group].members.contains(admission.prompt))
                #expect(admission.opensGroup == opened.insert(admission.group).inserted)
                running.append((admission, 0, 1 + random.below(32)))
            }
            #expect(window.runningCount == running.count && !running.isEmpty)
            for index in running.indices {
                running[index].generated += 1
                window.noteProgress(of: running[index].admission.prompt, generated: running[index].generated)
            }
            for row in running where row.generated == row.end {
                window.noteEnd(of: row.admission.prompt, length: row.end, row.end == 32 ? .cut : .finished)
            }
            running.removeAll { $0.generated == $0.end }
        }
        #expect(seen.sorted() == Array(prompts.indices))
        let another = window.next()
        #expect(another == nil)
    }

    @Test func learntLengthsLetMoreBegin() {
        let limit = AdmissionWindow.Limit.kvMemory(blocks: 24, blockSize: 16)
        var window = window(limit, followersWait: false)
        let before = admitted(&window)
        // All answers turn out to have two tokens.
        for admission in before { window.noteEnd(of: admission.prompt, length: 2, .finished) }
        let after = admitted(&window)
        #expect(after.count > before.count)
    }

    @Test func newsOfStrangersAreIgnored() {
        var window = window(.requests(2))
        window.noteEnd(of: 3, length: 1, .finished)
        window.noteProgress(of: 999, generated: 4)
        window.noteEnd(of: -1, length: 1, .cut)
        let begun = admitted(&window)
        #expect(begun.count == 2)
    }
}
