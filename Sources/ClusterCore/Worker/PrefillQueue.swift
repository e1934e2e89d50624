/// Prompts that are not computed yet, and how a step is filled from them.
///
/// Strict order of ``Rank``: a step takes as much of the first prompt as fits the token budget, the rest of the budget
/// goes to the next one, and so on. A prompt that waits for room (blocks, a place) holds back those behind it that have
/// not begun either, or small prompts could starve it for ever. One that waits for another to compute what both begin with
/// holds nobody back.
public struct PrefillQueue: Sendable {
    /// A part of a prompt to compute.
    public struct Chunk: Sendable, Hashable {
        public var request: RequestID
        /// Positions in the sequence.
        public var range: Range<Int>
        public var endsPrompt: Bool
    }

    private struct Entry: Sendable {
        var rank: Rank
        var tokenCount: Int
        var computed = 0
        var isAdmitted = false
    }

    /// In order of rank.
    private var entries: [Entry] = []

    public init() {}

    public var count: Int { entries.count }
    public var isEmpty: Bool { entries.isEmpty }

    /// - Precondition: the request is not in the queue.
    public mutating func insert(_ rank: Rank, tokenCount: Int) {
        precondition(tokenCount > 0, "\(rank) with \(tokenCount) tokens")
        let index = position(of: rank)
        precondition(index == entries.count || entries[index].rank != rank, "\(rank) is queued already")
        entries.insert(Entry(rank: rank, tokenCount: tokenCount), at: index)
    }

    /// Does nothing if the request is not in the queue (any more).
    public mutating func remove(_ rank: Rank) {
        if let index = index(of: rank) { entries.remove(at: index) }
    }

    /// What becomes of a prompt that has not begun.
    public enum Admission: Sendable, Hashable {
        /// The KV of the first `computed` tokens is there; at least one is left to compute.
        case begins(computed: Int)
        /// Another prompt computes what this one needs.
        case later
        case noRoom
    }

    /// Chunks of the next step, at most `tokenBudget` tokens together. `admit` is asked before the first chunk of
    /// a prompt, until it lets it begin, and may take what the prompt needs.
    /// - Parameters:
    ///   - backgroundBudget: tokens of the lowest priority among them.
    ///   - mixesPriorities: whether a step in which a prompt ends takes chunks of lesser priority, too. Its first token comes when all of
    ///     the step is over.
    public mutating func plan(
        tokenBudget: Int, backgroundBudget: Int = .max, mixesPriorities: Bool = false,
        admit: (RequestID, _ tokenCount: Int) -> Admission
    ) -> [Chunk] {
        var chunks: [Chunk] = []
        var budget = tokenBudget, backgroundBudget = backgroundBudget
        var isBlocked = false
        var ending: Rank?
        for index in entries.indices {
            guard budget > 0 else { break }
            let isBackground = entries[index].rank.priority == .low
            if isBackground, backgroundBudget <= 0 { continue }
            if !mixesPriorities, let ending, ending.mayDisplace(entries[index].rank) { continue }
            if !entries[index].isAdmitted {
                guard !isBlocked else { continue }
                switch admit(entries[index].rank.request, entries[index].tokenCount) {
                case .noRoom:
                    isBlocked = true
                    continue
                case .later: continue
                case .begins(let computed):
                    entries[index].isAdmitted = true
                    entries[index].computed = computed
                }
            }
            let entry = entries[index]
            let end = entry.computed + min(entry.tokenCount - entry.computed, isBackground ? min(budget, backgroundBudget) : budget)
            budget -= end - entry.computed
            if isBackground { backgroundBudget -= end - entry.computed }
            let endsPrompt = end == entry.tokenCount
            if endsPrompt, ending.map({ $0.priority < entry.rank.priority }) ?? true { ending = entry.rank }
            chunks.append(Chunk(request: entry.rank.request, range: entry.computed..<end, endsPrompt: endsPrompt))
        }
        return chunks
    }

    /// The step that computed up to `computed` tokens of the request is over. A whole prompt leaves the queue.
    public mutating func advance(_ rank: Rank, to computed: Int) {
        guard let index = index(of: rank) else { preconditionFailure("\(rank) is not queued") }
        let entry = entries[index]
        precondition(computed > entry.computed && computed <= entry.tokenCount, "\(entry) advanced to \(computed)")
        if computed == entry.tokenCount {
            entries.remove(at: index)
        } else {
            entries[index].computed = computed
        }
    }

    public func checkInvariants() {
        for (entry, next) in zip(entries, entries.dropFirst()) {
            precondition(entry.rank < next.rank, "\(entry) before \(next)")
        }
        for entry in entries {
            precondition(entry.computed >= 0 && entry.computed < entry.tokenCount, "\(entry)")
            precondition(entry.isAdmitted || entry.computed == 0, "\(entry)")
        }
    }

    private func index(of rank: Rank) -> Int? {
        let index = position(of: rank)
        return index < entries.count && entries[index].rank == rank ? index : nil
    }

    /// Index of the first entry that does not come before `rank`.
    private func position(of rank: Rank) -> Int {
        var low = 0, high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].rank < rank { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
