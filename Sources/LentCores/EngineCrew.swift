import ClusterCore
import Kernels

/// The threads of an engine's steps, and where they run.
///
/// A step is `begin`, `relieve` between its parts (the team does that within long ones), and `end`; `rest` when no step
/// follows at once. Belongs to the thread of the engine's team, as that does.
public protocol EngineCrew: AnyObject {
    /// Threads of the part of a step that comes next.
    var threads: Int { get }
    var counters: CoreLeaseCounters { get }
    /// Returns once there is a core to run on.
    /// - Parameter borrowing: whether cores of others may be used, which asks for `relieve` often enough.
    func begin(borrowing: Bool)
    /// - Returns: threads from now on.
    func relieve() -> Int
    func end()
    func rest()
    /// Whether others compute prompts and would do it sooner with this crew's cores.
    var areOthersKeen: Bool { get }
}

/// Always the same threads.
public final class FixedCrew: EngineCrew {
    public let threads: Int
    public let counters = CoreLeaseCounters()
    private let team: ThreadTeam
    private let cores: [Int]

    /// - Parameter cores: where the threads run, in order; empty: anywhere.
    /// - Throws: `KernelError` if the process may not run there.
    public init(team: ThreadTeam, threads: Int, cores: [Int]) throws(KernelError) {
        self.threads = threads
        self.team = team
        self.cores = cores
        try team.place(on: cores)
    }

    public func begin(borrowing: Bool) {
        try? team.place(on: cores)
        team.limit(to: threads)
    }
    public func relieve() -> Int { threads }
    public func end() {}
    public func rest() {}
    public var areOthersKeen: Bool { false }
}
