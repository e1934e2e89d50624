import ClusterCore

/// Which cores a worker's threads run on, one each, from one moment to the next.
///
/// A worker is at home on some cores and has them while it has work. It takes idle ones of other workers besides, and
/// gives one back as soon as a worker wants it that is at home there. Whoever has too few waits, and does not run.
/// A core that several are at home on goes from one to the next in slices of time.
///
/// A step is `take`, any number of `look`, and `end`; each is followed by `settle` once the threads have left what is given
/// up. Between two steps that follow one another a worker keeps what it has and nobody else wants. `rest` when none follows.
public struct CoreLeases: Sendable {
    public struct Rules: Sendable, Hashable {
        /// Where the worker is at home, at least one.
        public var homes: [Int]
        /// Greatest number of cores at a time.
        public var maxCores: Int
        /// How long a worker keeps a core from another that is at home there too.
        public var slice: Duration = .milliseconds(4)
        /// How long a worker waits for its core. Whoever has it then stands still (a stopped process), and takes no time
        /// from it: the worker runs there all the same.
        public var patience: Duration = .seconds(1)
        /// Least time between two looks within a step, and between two that try to take something: they cost system calls,
        /// whatever the size of the model.
        public var interval: Duration = .microseconds(250), takingInterval: Duration = .milliseconds(1)
        /// Cores of others that one look tries, so that its cost does not grow with the host.
        public var triesPerLook = 4
        /// How long the list of others' homes is believed.
        public var homesAge: Duration = .seconds(1)
        /// Whether others are told while this worker, at work, has use for their cores. For work that many cores shorten and
        /// that a batch waits for: prompts.
        public var isKeen = false

        public init(homes: [Int], maxCores: Int) {
            precondition(!homes.isEmpty && maxCores >= 1, "homes \(homes), at most \(maxCores) cores")
            self.homes = homes
            self.maxCores = maxCores
        }
    }

    private struct Held: Sendable {
        var core: Int
        var since: Instant
        var isHome: Bool
        /// False: another has the lease, and stands still.
        var isLeased = true
    }

    public let rules: Rules
    public private(set) var counters = CoreLeaseCounters()
    private var held: [Held] = []
    /// No longer used, not given back yet.
    private var leaving: [Held] = []
    /// Homes that this worker says it wants, and those on which it is the next.
    private var wanted: [Int] = [], turns: [Int] = []
    private var waitingSince: Instant?
    /// Homes that were waited for in vain: not waited for again until they could be taken.
    private var overdue: [Int] = []
    private var lastLook: Instant?, lastTaking: Instant?
    /// Where others are at home: cores to borrow, and homes of this worker too.
    private var others: [Int] = [], shared: [Int] = [], othersSeen: Instant?
    /// Where the next look among others' homes goes on.
    private var cursor = 0
    /// Whether cores of others are taken.
    public var mayBorrow = true
    /// Others have been told.
    private var hasSaidKeen = false

    public init(_ rules: Rules) { self.rules = rules }

    /// Whether something is to be given back by `settle`.
    var isLeaving: Bool { !leaving.isEmpty }
    /// The cores to run on, in order of threads.
    public var crew: [Int] { held.map(\.core) }

    /// Before a step, and again while there is no core: takes what can be had.
    /// - Returns: false while there is nothing to run on; ask again a little later.
    public mutating func take(on board: some CoreBoard, at now: Instant) -> Bool {
        sayKeen(rules.isKeen && mayBorrow && rules.maxCores > rules.homes.count, on: board)
        leaveBorrowed(on: board) { [mayBorrow] _ in !mayBorrow }
        fill(from: board, at: now)
        if held.isEmpty, !runOverdue(at: now) {
            if waitingSince == nil { waitingSince = now }
            return false
        }
        if let start = waitingSince {
            counters.waits += 1
            counters.waitNanoseconds += Self.nanoseconds(now - start)
            waitingSince = nil
        }
        return true
    }

    /// Between two parts of a step: gives up what others want by right, takes what has become free.
    ///
    /// - Returns: whether the crew is another. If it is empty, `settle` and `take` again.
    public mutating func look(on board: some CoreBoard, at now: Instant) -> Bool {
        if let lastLook, now - lastLook < rules.interval { return false }
        lastLook = now
        let before = crew
        for index in held.indices.reversed() {
            if !held[index].isLeased { held[index].isLeased = takeHome(held[index].core, on: board) }
            if mustLeave(held[index], board, now) { leaving.append(held.remove(at: index)) }
        }
        // Who computes prompts is lent cores for some milliseconds: there is no time to lose.
        let interval = rules.isKeen ? rules.interval : rules.takingInterval
        if held.isEmpty || lastTaking.map({ now - $0 >= interval }) ?? true { fill(from: board, at: now) }
        return crew != before
    }

    /// Gives back what was given up: the threads have left.
    public mutating func settle(on board: some CoreBoard, at now: Instant) {
        for core in leaving {
            if core.isLeased { board.giveBack(core.core) }
            if !core.isHome { counters.borrowedNanoseconds += Self.nanoseconds(now - core.since) }
        }
        leaving.removeAll(keepingCapacity: true)
    }

    /// After a step: gives up what others want. The rest is kept for a step that follows at once, whose threads would
    /// otherwise have to be woken on cores that have fallen asleep.
    public mutating func end(on board: some CoreBoard) { leaveBorrowed(on: board) { _ in false } }

    private mutating func leaveBorrowed(on board: some CoreBoard, where isUnwanted: (Held) -> Bool) {
        for index in held.indices.reversed() where !held[index].isHome {
            if isUnwanted(held[index]) || board.isWanted(held[index].core) { leaving.append(held.remove(at: index)) }
        }
    }

    /// While there is no work: others may have all.
    public mutating func rest(on board: some CoreBoard, at now: Instant) {
        leaving += held
        held = []
        settle(on: board, at: now)
        waitingSince = nil
        for home in wanted { stopWanting(home, on: board) }
        sayKeen(false, on: board)
    }

    private mutating func sayKeen(_ isKeen: Bool, on board: some CoreBoard) {
        guard isKeen != hasSaidKeen else { return }
        hasSaidKeen = isKeen
        board.setKeen(isKeen)
    }
}

// MARK: - Taking and leaving

extension CoreLeases {
    private mutating func fill(from board: some CoreBoard, at now: Instant) {
        lastTaking = now
        if othersSeen.map({ now - $0 >= rules.homesAge }) ?? true {
            let all = board.othersHomes()
            others = all.filter { !rules.homes.contains($0) }
            shared = all.filter { rules.homes.contains($0) }
            othersSeen = now
            // Whose worker is gone is no core of the cluster any more.
            leaveBorrowed(on: board) { [others] in !others.contains($0.core) }
        }
        for home in rules.homes where held.count < rules.maxCores && isNeither(home) {
            if takeHome(home, on: board) { held.append(Held(core: home, since: now, isHome: true)) }
        }
        if mayBorrow { borrow(from: board, at: now) }
        let enough = min(rules.homes.count, rules.maxCores)
        for home in rules.homes {
            let isMissing = switch held.first(where: { $0.core == home }) {
            case .some(let core): !core.isLeased
            // Whoever has enough to run does not ask others to leave.
            case nil: held.count < enough
            }
            if isMissing { want(home, on: board) } else { stopWanting(home, on: board) }
        }
    }

    private func isNeither(_ core: Int) -> Bool {
        !held.contains { $0.core == core } && !leaving.contains { $0.core == core }
    }

    private func mustLeave(_ core: Held, _ board: some CoreBoard, _ now: Instant) -> Bool {
        guard core.isLeased else { return false }
        if core.isHome, !shared.contains(core.core) || now - core.since < rules.slice { return false }
        return board.isWanted(core.core)
    }

    /// Takes a home, unless another that is at home there is the next to have it.
    private mutating func takeHome(_ home: Int, on board: some CoreBoard) -> Bool {
        if !turns.contains(home), board.isWanted(home) {
            guard board.takeTurn(home) else { return false }
            turns.append(home)
        }
        guard board.take(home) else { return false }
        overdue.removeAll { $0 == home }
        stopWanting(home, on: board)
        return true
    }

    private mutating func want(_ home: Int, on board: some CoreBoard) {
        if !wanted.contains(home) {
            wanted.append(home)
            board.setWanted(home, true)
        }
        if !turns.contains(home), board.takeTurn(home) { turns.append(home) }
    }

    private mutating func stopWanting(_ home: Int, on board: some CoreBoard) {
        if wanted.contains(home) {
            wanted.removeAll { $0 == home }
            board.setWanted(home, false)
        }
        if turns.contains(home) {
            turns.removeAll { $0 == home }
            board.endTurn(home)
        }
    }

    private mutating func borrow(from board: some CoreBoard, at now: Instant) {
        guard held.count < rules.maxCores else { return }
        for _ in 0..<min(others.count, rules.triesPerLook) where held.count < rules.maxCores {
            cursor = (cursor + 1) % others.count
            let core = others[cursor]
            guard isNeither(core), !board.isWanted(core), board.take(core) else { continue }
            held.append(Held(core: core, since: now, isHome: false))
            counters.borrowed += 1
        }
    }

    /// After a wait in vain: the first home, without its lease.
    private mutating func runOverdue(at now: Instant) -> Bool {
        let home = rules.homes[0]
        if !overdue.contains(home) {
            guard let waitingSince, now - waitingSince >= rules.patience else { return false }
            overdue.append(home)
            counters.overdueWaits += 1
        }
        held.append(Held(core: home, since: now, isHome: true, isLeased: false))
        return true
    }

    private static func nanoseconds(_ duration: Duration) -> UInt64 {
        let (seconds, attoseconds) = duration.components
        return UInt64(clamping: seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }
}
