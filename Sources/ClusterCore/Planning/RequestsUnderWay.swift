import OrderedCollections

/// The requests of a job that are under way, and whether there is memory for one more.
///
///     if underWay.fits(request, within: limit) { underWay.begin(request) }
///     underWay.noteProgress(of: request.key, generated: 7)     as its tokens come, if they are seen
///     underWay.end(request.key)                                once it has ended, however
public struct RequestsUnderWay: Sendable {
    /// One that may begin. All lengths are in tokens.
    public struct Request: Sendable, Hashable {
        public var key: Int
        public var promptLength: Int
        /// The most that its answer may have; of several choices all together.
        public var answerLimit: Int
        /// Whose prefix it shares, and how long that is.
        public var group: Int?
        public var prefixLength: Int
        fileprivate(set) var generated = 0

        public init(key: Int, promptLength: Int, answerLimit: Int, group: Int? = nil, prefixLength: Int = 0) {
            self.key = key
            self.promptLength = promptLength
            self.answerLimit = answerLimit
            self.group = group
            self.prefixLength = prefixLength
        }
    }

    private struct Group: Sendable {
        var prefixLength: Int
        var running = 0
        /// Members are still to begin, so that the prefix stays for longer than any that runs.
        var awaitsMore = false
    }

    public private(set) var predictor = AnswerLengthPredictor()
    /// In order of admission.
    private var requests: OrderedDictionary<Int, Request> = [:]
    private var groups: OrderedDictionary<Int, Group> = [:]

    public init() {}

    public var count: Int { requests.count }
    public var isEmpty: Bool { requests.isEmpty }

    /// Whether one more may begin. Does not care for how much there is if nothing else is under way: ask ``isEmpty``.
    /// - Parameter awaitsMore: members of its group are still to begin behind it.
    public func fits(_ request: Request, awaitsMore: Bool = false, within limit: AdmissionWindow.Limit) -> Bool {
        switch limit {
        case .requests(let most):
            return count < most
        case .tokens(let most):
            let held = (requests.values + [request]).reduce(0) { $0 + $1.promptLength + $1.generated + remaining($1) }
            return held <= most
        case .kvMemory(let blocks, let blockSize):
            return forecast(adding: request, awaitsMore: awaitsMore, blockSize: blockSize).peak() <= blocks
        }
    }

    private func forecast(adding request: Request, awaitsMore: Bool, blockSize: Int) -> MemoryForecast {
        var forecast = MemoryForecast(blockSize: blockSize)
        // Until when each group needs its prefix.
        var last: OrderedDictionary<Int, Int> = [:]
        for member in requests.values + [request] {
            let prefix = member.prefixLength / blockSize * blockSize, remaining = remaining(member)
            forecast.add(
                tokens: member.promptLength - prefix + member.generated, remaining: remaining, hasBegun: member.generated > 0)
            if let group = member.group { last[group] = max(last[group] ?? 0, remaining) }
        }
        var groups = groups
        if let group = request.group {
            groups[group, default: Group(prefixLength: request.prefixLength)].awaitsMore = awaitsMore
        }
        for (id, group) in groups {
            // Members that have not begun will need it after all that have.
            let remaining = group.awaitsMore ? Int(Int32.max) : last[id] ?? 0
            forecast.add(sharedBlocks: group.prefixLength / blockSize, remaining: remaining)
        }
        return forecast
    }

    private func remaining(_ request: Request) -> Int { predictor.remaining(after: request.generated, limit: request.answerLimit) }

    /// - Precondition: its key is not under way.
    public mutating func begin(_ request: Request, awaitsMore: Bool = false) {
        precondition(requests[request.key] == nil, "\(request) has begun")
        requests[request.key] = request
        predictor.noteStart()
        guard let group = request.group else { return }
        groups[group, default: Group(prefixLength: request.prefixLength)].running += 1
        groups[group]?.awaitsMore = awaitsMore
    }

    /// Does nothing for a key that is not under way.
    /// - Parameter count: tokens of its answer so far.
    public mutating func noteProgress(of key: Int, generated count: Int) {
        guard let old = requests[key]?.generated, count > old else { return }
        predictor.noteProgress(from: old, to: count)
        requests[key]?.generated = count
    }

    /// Does nothing for a key that is not under way.
    /// - Parameter finished: it ended of itself, which says something about how long answers are; not if something was cut off.
    public mutating func end(_ key: Int, finished: Bool) {
        guard let request = requests.removeValue(forKey: key) else { return }
        if finished, request.generated < request.answerLimit { predictor.noteEnd(length: request.generated) }
        guard let group = request.group else { return }
        groups[group]?.running -= 1
        if let state = groups[group], state.running == 0, !state.awaitsMore { groups[group] = nil }
    }
}
