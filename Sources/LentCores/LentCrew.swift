import ClusterCore
import Foundation
import Kernels

/// One thread on each core that the other workers of a board leave to this one: at least one, at most the team.
public final class LentCrew<Board: CoreBoard>: EngineCrew {
    private let team: ThreadTeam
    private let board: Board
    private let clock: () -> Instant
    private var leases: CoreLeases
    public private(set) var threads: Int

    /// Holds nothing before the first step.
    /// - Parameter clock: a monotonic one.
    /// - Throws: `KernelError` if the process may not run where it is to be at home.
    public init(
        team: ThreadTeam, rules: CoreLeases.Rules, board: Board, clock: @escaping () -> Instant
    ) throws(KernelError) {
        precondition(rules.maxCores <= team.maxThreads, "\(rules.maxCores) cores for \(team.maxThreads) threads")
        self.team = team
        self.board = board
        self.clock = clock
        leases = CoreLeases(rules)
        threads = min(rules.homes.count, rules.maxCores)
        try team.place(on: rules.homes)
    }

    public var counters: CoreLeaseCounters { leases.counters }
    /// Cores of the part of a step that comes next.
    public var cores: [Int] { leases.crew }

    public func begin(borrowing: Bool) {
        leases.mayBorrow = borrowing
        awaitCore()
        if borrowing { team.relief = { [unowned self] in _ = relieve() } }
    }

    public func relieve() -> Int {
        guard leases.look(on: board, at: clock()) else { return threads }
        // Threads leave a core before it is given back, so that it never has two.
        team.limit(to: max(1, leases.crew.count))
        if !leases.crew.isEmpty { move() }
        leases.settle(on: board, at: clock())
        if leases.crew.isEmpty { awaitCore() }
        return threads
    }

    public func end() {
        team.relief = nil
        leases.end(on: board)
        settle()
    }

    public func rest() {
        team.limit(to: 1)
        leases.rest(on: board, at: clock())
    }

    public var areOthersKeen: Bool { board.areOthersKeen() }

    /// Asleep between two tries, as a thread without a core has to be.
    private func awaitCore() {
        while !leases.take(on: board, at: clock()) {
            settle()
            usleep(Self.microsecondsBetweenTries)
        }
        settle()
        move()
    }

    /// Gives back what was given up, once no thread is there.
    private func settle() {
        guard leases.isLeaving else { return }
        team.limit(to: max(1, leases.crew.count))
        leases.settle(on: board, at: clock())
    }

    /// A core that the system refuses meanwhile leaves a thread where it was: a slower step, not a wrong one.
    private func move() {
        threads = leases.crew.count
        try? team.place(on: leases.crew)
        team.limit(to: threads)
    }

    private static var microsecondsBetweenTries: UInt32 { 50 }
}
