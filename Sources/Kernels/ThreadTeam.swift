import CKernels

/// Threads that split the outputs of a kernel, never its sums.
///
/// The calling thread takes part; the others spin briefly between kernels, then sleep. A team serves one caller at a
/// time, so it belongs to the thread that made it (not Sendable on purpose).
public final class ThreadTeam {
    public let maxThreads: Int
    private let team: OpaquePointer
    private var placement: [Int] = []

    /// - Parameter maxThreads: greatest number of threads of a step, the calling one included.
    /// - Throws: ``KernelError/threads(count:)`` if the system refuses the threads.
    public init(maxThreads: Int) throws(KernelError) {
        precondition(maxThreads >= 1, "a team of \(maxThreads) threads")
        guard let team = bk_team_create(maxThreads) else { throw .threads(count: maxThreads) }
        self.team = team
        self.maxThreads = maxThreads
    }

    /// Cores that this process may run on, ascending.
    public static var allowedCores: [Int] {
        var cores = [Int32](repeating: 0, count: 1024)
        let count = bk_allowed_cores(&cores, cores.count)
        return cores.prefix(count).map(Int.init)
    }

    /// From now on thread i of a step runs on `cores[i]`; the calling thread is the first and moves at once. Threads past
    /// the end run anywhere. Cheap if nothing changes, so that a step may be told where to run.
    /// - Throws: ``KernelError/cores(_:allowed:)`` if the process may not run on one of them.
    public func place(on cores: [Int]) throws(KernelError) {
        if cores == placement { return }
        guard bk_team_place(team, cores.map { Int32(clamping: $0) }, cores.count) else {
            throw .cores(cores, allowed: Self.allowedCores)
        }
        placement = cores
    }

    /// Threads from the `count`-th on leave their cores to others at once, instead of spinning for the next kernel.
    public func rest(from count: Int) { bk_team_rest(team, max(1, count)) }

    deinit { bk_team_destroy(team) }

    /// Calls `body(range, thread)` for consecutive ranges of at most `chunk` items until all `count` are done, on at most
    /// `threads` threads; `thread` < `threads` tells which one runs. Returns when all have returned.
    public func forEachRange(
        of count: Int, chunk: Int, threads: Int, _ body: @Sendable (_ range: Range<Int>, _ thread: Int) -> Void
    ) {
        precondition(count >= 0 && chunk >= 1, "\(count) items in chunks of \(chunk)")
        precondition((1...maxThreads).contains(threads), "\(threads) of \(maxThreads) threads")
        if count == 0 { return }
        if threads == 1 || count <= chunk { return body(0..<count, 0) }
        withoutActuallyEscaping(body) { escapable in
            withUnsafePointer(to: Box(body: escapable)) { box in
                bk_team_for(team, threads, count, chunk, { context, begin, end, thread in
                    guard let context else { return }
                    context.assumingMemoryBound(to: Box.self).pointee.body(begin..<end, thread)
                }, UnsafeMutableRawPointer(mutating: box))
            }
        }
    }

    /// Like ``forEachRange(of:chunk:threads:_:)`` on `lanes.count` threads, each of which has one of `lanes` to itself.
    public func forEachRange<Lane>(
        of count: Int, chunk: Int, lanes: inout [Lane], _ body: @Sendable (_ range: Range<Int>, _ lane: inout Lane) -> Void
    ) {
        lanes.withUnsafeMutableBufferPointer { buffer in
            nonisolated(unsafe) let lanes = buffer // A thread touches the lane of its own number.
            forEachRange(of: count, chunk: chunk, threads: lanes.count) { range, thread in body(range, &lanes[thread]) }
        }
    }

    private struct Box {
        let body: @Sendable (Range<Int>, Int) -> Void
    }
}
