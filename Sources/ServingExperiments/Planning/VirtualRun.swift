import ClusterCore

/// A job on an engine whose steps take a given time: rows decode, and chunks of prompts fill what they leave of each step.
///
/// The decisions are the real ones (``BatchPlanner``, ``AdmissionWindow``); engine and memory are imitated. Memory holds what the
/// requests under way need; when it does not suffice for another token of a row, the one that began last is sent back, and computed
/// again later. Prefixes are shared by whole blocks; a group's, whose length is known, to the token.
struct VirtualRun {
    struct Settings: Sendable, Hashable {
        var arm: BatchArm
        /// Instead of the arm's.
        var options: BatchPlanner.Options?
        /// Instead of the order of the plan: seed of a shuffle of its groups.
        var shuffle: UInt64?
        var limit: AdmissionWindow.Limit
        /// Blocks.
        var memory: Int
        var blockSize = 16
        /// Tokens of a step at most.
        var stepTokens: Int
        var cost: StepCost
    }

    private struct Row {
        var prompt: Int
        var group: Int
        var makesPrefix: Bool
        /// Prompt tokens whose KV is here.
        var computed = 0
        var generated = 0
        /// Of the prompt's named blocks, from the first on, those that this row uses.
        var sharedCount = 0
        var privateCount = 0
    }

    private let settings: Settings
    private let queries: [Workload.Query]
    private let chains: BlockChains
    private var plan: BatchPlan
    private var window: AdmissionWindow
    private var memory: VirtualMemory
    private var rows: [Row] = []
    /// Admitted, but there is no room for them yet; those sent back come first.
    private var waiting: [AdmissionWindow.Admission] = []
    /// Of each group, named blocks that it keeps, and members that have not ended.
    private var kept: [[Int]]
    private var unended: [Int]
    private var hasPrefix: [Bool]
    private var outcome = PlanningOutcome()

    /// - Parameter expected: tokens that each answer is thought to have; the exact ones by default.
    init(_ queries: [Workload.Query], _ settings: Settings, expected: [Int]? = nil) {
        self.queries = queries
        self.settings = settings
        let prompts = queries.map(\.prompt), lengths = expected ?? queries.map(\.outputCount)
        chains = BlockChains(prompts, blockSize: settings.blockSize)
        plan = BatchPlanner.plan(
            prompts: prompts, expectedAnswerLengths: lengths, options: settings.options ?? settings.arm.plannerOptions)
        if let seed = settings.shuffle {
            var random = SeededRandom(seed: seed)
            plan.shuffleGroups { random.below($0) }
        }
        window = AdmissionWindow(
            plan: plan, promptLengths: prompts.map(\.count), answerLimits: lengths, limit: settings.limit)
        memory = VirtualMemory(capacity: settings.memory, users: chains.users)
        kept = Array(repeating: [], count: plan.groups.count)
        unended = plan.groups.map(\.members.count)
        hasPrefix = Array(repeating: false, count: plan.groups.count)
    }

    /// - Returns: `nil` if a query alone does not fit the memory.
    mutating func run() -> PlanningOutcome? {
        while !window.isDone {
            admit()
            guard step() else { return nil }
        }
        outcome.promptTokens = queries.reduce(0) { $0 + $1.prompt.count }
        outcome.outputTokens = queries.reduce(0) { $0 + $1.outputCount }
        outcome.peakBlocks = memory.peak
        outcome.evictions = memory.evictions
        outcome.prematureEvictions = memory.prematureEvictions
        outcome.groupCount = plan.groups.count { $0.members.count > 1 }
        return outcome
    }

    // MARK: Admission

    private mutating func admit() {
        while true {
            if waiting.isEmpty {
                guard let next = window.next() else { return }
                waiting.append(next)
            }
            guard begin(waiting[0]) else { return }
            waiting.removeFirst()
        }
    }

    /// Takes the memory for the whole prompt, if it is there.
    private mutating func begin(_ admission: AdmissionWindow.Admission) -> Bool {
        let prompt = admission.prompt, length = queries[prompt].prompt.count
        let chain = chains.chains[prompt]
        let matched = settings.arm.keepsPrefixes ? memory.matchCount(chain) : 0
        let own = (length + settings.blockSize) / settings.blockSize - matched
        for name in chain[..<matched] { memory.use(name) }
        guard memory.takePrivate(own) else {
            for name in chain[..<matched].reversed() { memory.release(name) }
            return false
        }
        memory.noteBegin(chain)
        var row = Row(prompt: prompt, group: admission.group, makesPrefix: admission.opensGroup)
        (row.sharedCount, row.privateCount) = (matched, own)
        row.computed = matched * settings.blockSize
        // The rest of the prefix, which fills no block, is copied.
        if hasPrefix[admission.group] { row.computed = max(row.computed, plan.groups[admission.group].prefixLength) }
        rows.append(row)
        return true
    }

    // MARK: A step

    /// - Returns: `false` if nothing can be done any more.
    private mutating func step() -> Bool {
        growRows()
        guard !rows.isEmpty else { return false }
        var (tokens, context) = (0, 0)
        var prefixesRead: Set<Int> = []
        for index in rows.indices where isDecoding(rows[index]) {
            tokens += 1
            let row = rows[index], prefix = plan.groups[row.group].prefixLength
            context += queries[row.prompt].prompt.count + row.generated
            if settings.arm.readsPrefixesOnce, prefix > 0, !prefixesRead.insert(row.group).inserted { context -= prefix }
            rows[index].generated += 1
        }
        let decoded = tokens
        for index in rows.indices where rows[index].generated == 0 {
            let chunk = min(queries[rows[index].prompt].prompt.count - rows[index].computed, max(settings.stepTokens - tokens, 0))
            guard chunk > 0 else { break }
            tokens += chunk
            rows[index].computed += chunk
            context += rows[index].computed
            noteComputed(index)
        }
        outcome.note(decoded: decoded, prefilled: tokens - decoded, seconds: settings.cost.seconds(tokens: tokens, contextTokens: context))
        endRows()
        return true
    }

    private func isDecoding(_ row: Row) -> Bool { row.generated > 0 }

    /// Every row that decodes needs room for its next token. Who began last gives way.
    private mutating func growRows() {
        var index = 0
        while index < rows.count {
            let row = rows[index], held = queries[row.prompt].prompt.count + row.generated
            guard isDecoding(row), (row.sharedCount + row.privateCount) * settings.blockSize < held else {
                index += 1
                continue
            }
            if memory.takePrivate(1) {
                rows[index].privateCount += 1
                index += 1
            } else {
                sendBack(rows.count - 1)
            }
        }
    }

    private mutating func sendBack(_ index: Int) {
        let row = rows.remove(at: index)
        free(row)
        memory.noteReturn(chains.chains[row.prompt])
        outcome.preemptions += 1
        outcome.recomputedTokens += row.generated
        waiting.insert(
            AdmissionWindow.Admission(prompt: row.prompt, group: row.group, opensGroup: row.makesPrefix && !hasPrefix[row.group]), at: 0)
    }

    private mutating func noteComputed(_ index: Int) {
        let row = rows[index], chain = chains.chains[row.prompt]
        if settings.arm.keepsPrefixes {
            // In order, and only as long as nobody else has named the same block: what is named is a row's leading part.
            while rows[index].sharedCount < min(row.computed / settings.blockSize, chain.count),
                memory.publish(chain[rows[index].sharedCount])
            {
                rows[index].sharedCount += 1
                rows[index].privateCount -= 1
            }
        }
        let prefix = plan.groups[row.group].prefixLength
        if prefix > 0, !hasPrefix[row.group], row.computed >= prefix {
            hasPrefix[row.group] = true
            kept[row.group] = Array(chain[..<min(prefix / settings.blockSize, rows[index].sharedCount)])
            for name in kept[row.group] { memory.use(name) }
            window.notePrefix(of: row.group)
        }
        if row.computed == queries[row.prompt].prompt.count { rows[index].generated = 1 }
    }

    private mutating func endRows() {
        let queries = self.queries
        for row in rows {
            window.noteProgress(of: row.prompt, generated: row.generated)
            guard row.generated == queries[row.prompt].outputCount else { continue }
            free(row)
            window.noteEnd(of: row.prompt, length: row.generated, .finished)
            unended[row.group] -= 1
            if unended[row.group] == 0 {
                for name in kept[row.group].reversed() { memory.release(name) }
                kept[row.group] = []
            }
        }
        rows.removeAll { $0.generated == queries[$0.prompt].outputCount }
    }

    /// The last block first, so that a prefix goes after what comes behind it.
    private mutating func free(_ row: Row) {
        memory.freePrivate(row.privateCount)
        for name in chains.chains[row.prompt][..<row.sharedCount].reversed() { memory.release(name) }
    }
}
