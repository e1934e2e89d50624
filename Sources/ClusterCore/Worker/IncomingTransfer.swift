import BitCollections
import Generation

/// The receiving end of one KV transfer: which layer blocks are there, what to ask for again, when to give up.
struct IncomingTransfer: Sendable {
    /// Ranges named in one reply.
    static let rangeLimit = 64
    /// How often a layer block is asked for again.
    static let refetchLimit = 2

    var query: DecodeQuery
    let layerCount: Int
    let blockCount: Int
    private let timings: TransferTimings
    private(set) var credit: TransferCredit.Receiver
    /// Set by the first `open`: where replies go.
    private(set) var peer: PeerID?
    /// Set with it.
    private(set) var opened: Instant?
    /// Set by the first `commit`.
    private(set) var next: [NextToken]?

    /// `[layers, blocks]`
    private var stored: BitArray
    private var storedCount = 0
    /// `[layers, blocks]`, empty until something is missing.
    private var refetches: [UInt8] = []
    /// Something arrived since the last time that layer blocks were called missing; before that, asking again means
    /// only that the question got lost.
    private var hasArrivals = true

    private var announced = 0
    private var lastNews: Instant
    /// When to repeat the limit; `nil` before the first `open`.
    private var nextAnnouncement: Instant?
    private var interval: Duration

    init(_ query: DecodeQuery, layerCount: Int, window: Int, timings: TransferTimings, at now: Instant) {
        self.query = query
        self.layerCount = layerCount
        self.timings = timings
        blockCount = query.blocks.count
        credit = TransferCredit.Receiver(window: window)
        stored = BitArray(repeating: false, count: layerCount * blockCount)
        for layer in 0..<layerCount {
            for block in 0..<query.sharedCount { stored[layer * blockCount + block] = true }
        }
        storedCount = layerCount * query.sharedCount
        lastNews = now
        interval = timings.creditInterval
    }

    var isWhole: Bool { storedCount == stored.count }

    /// The sender asks for credit (again), having sent `sent` layer blocks.
    mutating func open(from peer: PeerID, sent: Int, at now: Instant) {
        self.peer = peer
        opened = opened ?? now
        credit.declare(sent: sent)
        nextAnnouncement = nextAnnouncement ?? now + interval
        hearSign(at: now)
    }

    /// Whether a range holds anything that is not there yet.
    func needs(_ range: LayerBlockRange) -> Bool {
        let start = range.layer * blockCount + range.first
        return (start..<start + range.count).contains { !stored[$0] }
    }

    /// Local blocks for a range.
    func blocks(for range: LayerBlockRange) -> [BlockID] {
        Array(query.blocks[range.first..<range.first + range.count])
    }

    /// - Returns: how many layer blocks of the range are new.
    mutating func store(_ range: LayerBlockRange, at now: Instant) -> Int {
        hasArrivals = true
        hearSign(at: now)
        var new = 0
        let start = range.layer * blockCount + range.first
        for index in start..<start + range.count where !stored[index] {
            stored[index] = true
            new += 1
        }
        guard new > 0 else { return 0 }
        storedCount += new
        credit.arrive(new)
        lastNews = now
        interval = timings.creditInterval
        nextAnnouncement = now + interval
        return new
    }

    /// A payload was bad after it had been copied: nothing in the range can be trusted, whatever was there before.
    mutating func damage(_ range: LayerBlockRange, at now: Instant) {
        hasArrivals = true
        hearSign(at: now)
        let start = range.layer * blockCount + range.first
        for index in start..<start + range.count where stored[index] {
            stored[index] = false
            storedCount -= 1
            credit.spoil(1)
        }
    }

    enum Outcome: Sendable, Hashable {
        case whole
        case missing([LayerBlockRange])
        /// Something was missing too often.
        case lost
    }

    /// The sender has sent everything, and `next` was sampled from it.
    mutating func commit(_ next: [NextToken], at now: Instant) -> Outcome {
        if self.next == nil {
            self.next = next
            lastNews = now
        }
        if isWhole { return .whole }
        let ranges = missingRanges()
        guard hasArrivals else { return .missing(ranges) }
        hasArrivals = false
        if refetches.isEmpty { refetches = Array(repeating: 0, count: stored.count) }
        for range in ranges {
            let start = range.layer * blockCount + range.first
            for index in start..<start + range.count {
                guard refetches[index] < Self.refetchLimit else { return .lost }
                refetches[index] += 1
            }
        }
        return .missing(ranges)
    }

    private func missingRanges() -> [LayerBlockRange] {
        var ranges: [LayerBlockRange] = []
        for layer in 0..<layerCount {
            var block = 0
            while block < blockCount {
                let first = block
                while block < blockCount, !stored[layer * blockCount + block] { block += 1 }
                if block > first {
                    guard ranges.count < Self.rangeLimit else { return ranges }
                    ranges.append(LayerBlockRange(layer: layer, first: first, count: block - first))
                }
                block += 1
            }
        }
        return ranges
    }

    /// The limit to announce if the sender might run dry soon; with `always`, whatever it is.
    mutating func announcement(always: Bool) -> Int? {
        let limit = credit.limit
        guard always || limit - announced >= (credit.window + 1) / 2 else { return nil }
        announced = limit
        return limit
    }

    /// The limit to repeat after a time without progress.
    mutating func repeatedAnnouncement(at now: Instant) -> Int? {
        guard let due = nextAnnouncement, now >= due else { return nil }
        interval = min(interval * 2, timings.keepAlive)
        nextAnnouncement = now + interval
        announced = credit.limit
        return announced
    }

    func hasExpired(at now: Instant) -> Bool { now >= lastNews + timings.deadline }

    var nextWakeUp: Instant {
        let deadline = lastNews + timings.deadline
        return min(nextAnnouncement ?? deadline, deadline)
    }

    func checkInvariants() {
        credit.checkInvariants()
        let held = layerCount * query.sharedCount
        precondition(
            credit.arrived + held == storedCount, "\(storedCount) stored, credit for \(credit.arrived), \(held) held")
        precondition(stored.count == layerCount * query.blocks.count, "\(stored.count) layer blocks")
        precondition(stored.count(where: { $0 }) == storedCount, "\(storedCount) layer blocks counted as stored")
        precondition(next == nil || !isWhole, "\(query.order.attempt) is whole and committed but still receiving")
    }

    /// Until the commit any message shows that the sender is alive and may still be computing; afterwards only
    /// what was missing counts.
    private mutating func hearSign(at now: Instant) {
        if next == nil { lastNews = now }
    }
}
