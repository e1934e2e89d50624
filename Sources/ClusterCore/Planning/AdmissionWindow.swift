/// How much of a planned job may be under way, and what comes next: the plan at run time.
///
///     while let next = window.next() { submit(next) }      at the start, and whenever something has changed
///     window.noteProgress(of: prompt, generated: 7)        as its tokens come
///     window.noteEnd(of: prompt, length: 9, .finished)     once it has ended, however
///
/// Groups are begun in the order of the plan. A group's first member computes the prefix; the others follow once it is whole,
/// which its first token says, before another group is begun. Until then a next group may begin, so that no step runs empty, but
/// not many, because each would hold memory for members that cannot follow yet. What does not fit holds back everything behind it, but it always fits if nothing else is under way.
public struct AdmissionWindow: Sendable {
    /// What the size of a batch is measured by.
    public enum Limit: Sendable, Hashable {
        /// Requests under way.
        case requests(Int)
        /// Tokens of the prompts under way and of their answers to be expected, each with its whole prefix.
        case tokens(Int)
        /// Blocks of KV memory that will be held at most, with each group's prefix once (BatchLLM's memory-centric batches).
        case kvMemory(blocks: Int, blockSize: Int)
    }

    public struct Admission: Sendable, Hashable {
        /// Index in the job.
        public var prompt: Int
        /// Index in ``BatchPlan/groups``.
        public var group: Int
        /// Its prefill makes the group's prefix.
        public var opensGroup: Bool

        public init(prompt: Int, group: Int, opensGroup: Bool) {
            self.prompt = prompt
            self.group = group
            self.opensGroup = opensGroup
        }
    }

    public enum End: Sendable, Hashable {
        /// Of itself.
        case finished
        /// At its limit, cancelled or failed: says nothing about how long answers are.
        case cut
    }

    private enum Phase: Sendable, Hashable {
        case waiting
        case running(group: Int)
        case ended
    }

    private enum Prefix: Sendable, Hashable {
        /// Whoever was to make it failed.
        case missing
        case underWay(by: Int)
        case whole
    }

    private struct OpenGroup: Sendable {
        var index: Int
        /// Members that have begun, and those of them that have not ended.
        var begun = 0
        var running = 0
        var prefix = Prefix.missing

        /// Whether another member may begin now.
        var takesMember: Bool {
            if case .underWay = prefix { false } else { true }
        }
    }

    public private(set) var plan: BatchPlan
    /// May change at any time, with the memory that is there.
    public var limit: Limit
    private let promptLengths: [Int]
    private let answerLimits: [Int]
    /// Whether members wait here until their prefix is whole.
    private let followersWait: Bool
    private let prefixesAhead: Int
    private var phases: [Phase]
    /// Groups with members that wait or run, in order.
    private var open: [OpenGroup] = []
    private var unopened = 0
    private var underWay = RequestsUnderWay()

    /// - Parameters:
    ///   - promptLengths: of all prompts of the job, in tokens.
    ///   - answerLimits: the most tokens that each answer may have.
    ///   - followersWait: `false` if whoever is submitted to holds members back until their prefix is whole.
    ///   - prefixesAhead: that may be computed at a time; as many as there are workers to compute them, and one more.
    /// - Precondition: as many of both as the plan has prompts; `prefixesAhead` is at least 1.
    public init(
        plan: BatchPlan, promptLengths: [Int], answerLimits: [Int], limit: Limit, followersWait: Bool = true, prefixesAhead: Int = 2
    ) {
        let count = plan.groups.reduce(0) { $0 + $1.members.count }
        precondition(
            count == promptLengths.count && count == answerLimits.count,
            "a plan of \(count), \(promptLengths.count) prompts, \(answerLimits.count) limits")
        precondition(prefixesAhead >= 1, "\(prefixesAhead) prefixes ahead")
        self.plan = plan
        self.limit = limit
        self.promptLengths = promptLengths
        self.answerLimits = answerLimits
        self.followersWait = followersWait
        self.prefixesAhead = prefixesAhead
        phases = Array(repeating: .waiting, count: count)
    }

    public var predictor: AnswerLengthPredictor { underWay.predictor }
    public var runningCount: Int { underWay.count }
    /// Everything has begun, and nothing is under way.
    public var isDone: Bool { open.isEmpty && unopened == plan.groups.count }

    // MARK: What comes next

    /// The next prompt that may begin; it counts as under way from now on. `nil`: not before something has changed.
    public mutating func next() -> Admission? {
        guard let place = nextPlace() else { return nil }
        let isOpening = place == open.count
        let group = isOpening ? unopened : open[place].index
        let planned = plan.groups[group]
        let prompt = planned.members[isOpening ? 0 : open[place].begun]
        let request = request(prompt, in: group)
        let awaitsMore = (isOpening ? 0 : open[place].begun) + 1 < planned.members.count
        guard underWay.isEmpty || underWay.fits(request, awaitsMore: awaitsMore, within: limit) else { return nil }
        if isOpening {
            open.append(OpenGroup(index: group))
            unopened += 1
        }
        let makesPrefix = open[place].prefix == .missing
        if makesPrefix { open[place].prefix = followersWait && planned.prefixLength > 0 ? .underWay(by: prompt) : .whole }
        open[place].begun += 1
        open[place].running += 1
        phases[prompt] = .running(group: group)
        underWay.begin(request, awaitsMore: awaitsMore)
        return Admission(prompt: prompt, group: group, opensGroup: makesPrefix)
    }

    /// Place among the open groups of the first with a member that may begin; their count for a group that is not open yet.
    private func nextPlace() -> Int? {
        let place = open.firstIndex { $0.begun < plan.groups[$0.index].members.count && $0.takesMember }
        if let place { return place }
        guard unopened < plan.groups.count else { return nil }
        let isFree = plan.groups[unopened].prefixLength == 0 || open.count { !$0.takesMember } < prefixesAhead
        return isFree ? open.count : nil
    }

    private func request(_ prompt: Int, in group: Int) -> RequestsUnderWay.Request {
        RequestsUnderWay.Request(
            key: prompt, promptLength: promptLengths[prompt], answerLimit: answerLimits[prompt], group: group,
            prefixLength: plan.groups[group].prefixLength)
    }

    // MARK: What has happened

    /// The prefix of a group is whole, before the member that makes it has its first token.
    public mutating func notePrefix(of group: Int) {
        if let place = open.firstIndex(where: { $0.index == group }) { open[place].prefix = .whole }
    }

    /// Does nothing for a prompt that is not under way.
    /// - Parameter count: tokens of its answer so far.
    public mutating func noteProgress(of prompt: Int, generated count: Int) {
        guard phases.indices.contains(prompt), case .running(let group) = phases[prompt], count > 0 else { return }
        underWay.noteProgress(of: prompt, generated: count)
        if let place = open.firstIndex(where: { $0.index == group && $0.prefix == .underWay(by: prompt) }) { open[place].prefix = .whole }
    }

    /// Does nothing for a prompt that is not under way.
    /// - Parameter length: tokens of its answer.
    public mutating func noteEnd(of prompt: Int, length: Int, _ end: End) {
        noteProgress(of: prompt, generated: length)
        guard phases.indices.contains(prompt), case .running(let group) = phases[prompt] else { return }
        underWay.end(prompt, finished: end == .finished)
        phases[prompt] = .ended
        guard let place = open.firstIndex(where: { $0.index == group }) else { return }
        open[place].running -= 1
        if open[place].prefix == .underWay(by: prompt) { open[place].prefix = .missing }
        if open[place].running == 0, open[place].begun == plan.groups[group].members.count { open.remove(at: place) }
    }

    /// Orders the groups that have not begun by what has been learnt about the lengths of answers.
    public mutating func reorder() {
        let expected = answerLimits.map { predictor.remaining(after: 0, limit: $0) }
        plan.reorder(by: .decodeRatio, from: unopened, promptLengths: promptLengths, expectedAnswerLengths: expected)
    }
}
