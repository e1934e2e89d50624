import DequeModule

/// The sending end of one KV transfer: what is ready, what credit allows, and when to ask again.
struct OutgoingTransfer: Sendable {
    enum Question: Sendable, Hashable {
        case open
        case commit
    }

    /// What the sender waits for; decides what it asks and how often.
    private enum Phase: Sendable, Hashable {
        /// The first credit.
        case opening
        /// The engine: everything ready is sent.
        case idle
        /// More credit.
        case stalled
        /// The acknowledgement of the whole.
        case committing
    }

    let layerCount: Int
    /// Blocks of the sequence; the transfer moves this many per layer.
    let blockCount: Int
    private let timings: TransferTimings
    private(set) var credit = TransferCredit.Sender()
    /// Ready and not sent yet, in order of readiness.
    private var pending: Deque<LayerBlockRange> = []
    private var isOpen = false
    /// First blocks that the receiver has; known before anything is sent.
    private(set) var held = 0
    /// Nothing more becomes ready, and the token to go with the commit is known.
    private(set) var hasEnded = false
    private var phase = Phase.opening
    private var lastNews: Instant
    private var nextQuestion: Instant
    private var interval: Duration

    init(layerCount: Int, blockCount: Int, timings: TransferTimings, at now: Instant) {
        self.layerCount = layerCount
        self.blockCount = blockCount
        self.timings = timings
        lastNews = now
        nextQuestion = now
        interval = timings.openInterval
    }

    mutating func add(_ range: LayerBlockRange) {
        if let range = range.dropping(held) { pending.append(range) }
    }

    mutating func end() { hasEnded = true }

    /// The next range to send, already paid for; `nil` when nothing is ready or credit is used up.
    mutating func next() -> LayerBlockRange? {
        guard credit.available > 0, let range = pending.first else { return nil }
        let count = min(range.count, credit.available, KVBlocks.greatestCount)
        if count == range.count {
            pending.removeFirst()
        } else {
            pending[0] = LayerBlockRange(layer: range.layer, first: range.first + count, count: range.count - count)
        }
        credit.spend(count)
        return LayerBlockRange(layer: range.layer, first: range.first, count: count)
    }

    /// - Parameter held: first blocks that the receiver has already; it counts when it is told first.
    mutating func raiseCredit(to limit: Int, held: Int, at now: Instant) {
        lastNews = now
        if !isOpen, limit > 0, held > 0 {
            self.held = min(held, blockCount)
            pending = Deque(pending.compactMap { $0.dropping(self.held) })
        }
        isOpen = isOpen || limit > 0
        let before = credit.limit
        credit.raise(to: limit)
        // Credit that moves needs no asking.
        if credit.limit > before, phase == .stalled { restartQuestions(at: now + timings.openInterval) }
    }

    /// Puts what the receiver misses back in line. Ignored unless everything was sent: then it is an old message.
    /// - Returns: layer blocks to be sent again.
    mutating func resend(_ ranges: [LayerBlockRange], at now: Instant) -> Int {
        guard phase == .committing, ranges.allSatisfy(isWithinTransfer) else { return 0 }
        lastNews = now
        let ranges = ranges.compactMap { $0.dropping(held) }
        pending.append(contentsOf: ranges)
        return ranges.reduce(0) { $0 + $1.count }
    }

    /// What was sent may be lost and nobody knows what the peer still knows: ask at once.
    mutating func reopen(at now: Instant) { restartQuestions(at: now) }

    /// To be called after every change, once ``next()`` has returned `nil`; then ``question(at:)`` may be asked.
    mutating func settle(at now: Instant) {
        let before = phase
        phase = currentPhase
        guard phase != before else { return }
        switch phase {
        case .opening, .committing: restartQuestions(at: now)
        case .idle: restartQuestions(at: now + timings.keepAlive)
        // A refetch finds no credit under way: ask for it at once.
        case .stalled: restartQuestions(at: before == .committing ? now : now + timings.openInterval)
        }
    }

    /// What to ask now, if anything is due.
    mutating func question(at now: Instant) -> Question? {
        guard now >= nextQuestion else { return nil }
        nextQuestion = now + interval
        interval = min(interval * 2, longestInterval)
        return phase == .committing ? .commit : .open
    }

    func hasExpired(at now: Instant) -> Bool { now >= lastNews + timings.deadline }

    var nextWakeUp: Instant { min(nextQuestion, lastNews + timings.deadline) }

    func checkInvariants() {
        credit.checkInvariants()
        precondition(pending.allSatisfy(isWithinTransfer), "\(pending) of \(layerCount) × \(blockCount) layer blocks")
        precondition(phase == currentPhase, "\(phase), should be \(currentPhase)")
    }

    private var currentPhase: Phase {
        if !isOpen { return .opening }
        if !pending.isEmpty { return .stalled }
        return hasEnded ? .committing : .idle
    }

    private mutating func restartQuestions(at instant: Instant) {
        nextQuestion = instant
        interval = switch phase {
        case .opening, .stalled: timings.openInterval
        case .idle: timings.keepAlive
        case .committing: timings.commitInterval
        }
    }

    private var longestInterval: Duration {
        switch phase {
        case .opening, .stalled: timings.openIntervalLimit
        case .idle: timings.keepAlive
        case .committing: timings.commitIntervalLimit
        }
    }

    private func isWithinTransfer(_ range: LayerBlockRange) -> Bool {
        range.isWithin(layerCount: layerCount, blockCount: blockCount)
    }
}

extension LayerBlockRange {
    /// What is left without the first `count` blocks of the sequence; `nil` if nothing is.
    func dropping(_ count: Int) -> LayerBlockRange? {
        guard first < count else { return self }
        let rest = self.count - (count - first)
        return rest > 0 ? LayerBlockRange(layer: layer, first: count, count: rest) : nil
    }

    /// Holds at least one layer block, and none outside `layerCount` × `blockCount`.
    func isWithin(layerCount: Int, blockCount: Int) -> Bool {
        layer >= 0 && layer < layerCount && count > 0 && first >= 0 && first < blockCount && count <= blockCount - first
    }
}
