import CKernels

/// Threads that split the outputs of a kernel, never its sums.
///
/// The calling thread takes part; the others spin briefly between kernels, then sleep. A team serves one caller at a
/// time, so it belongs to the thread that made it (not Sendable on purpose).
public final class ThreadTeam {
    public let maxThreads: Int
    private let team: OpaquePointer
    private var placement: [Int] = []
    /// Asked on the calling thread between the ranges of a long kernel; may change ``limit(to:)`` and ``place(on:)``. As long
    /// as it is set, long kernels run on as many threads as the limit says at each moment.
    public var relief: (() -> Void)?

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

    /// From now on at most `threads` threads run, the calling one among them (at first ``maxThreads``), in a kernel too that
    /// runs right now. The others have left their cores when this returns.
    public func limit(to threads: Int) {
        precondition((1...maxThreads).contains(threads), "\(threads) of \(maxThreads) threads")
        bk_team_limit(team, threads)
    }

    deinit { bk_team_destroy(team) }

    /// Calls `body(range, thread)` for consecutive ranges of at most `chunk` items until all `count` are done, on at most
    /// `threads` threads; `thread` < `threads` tells which one runs. Returns when all have returned.
    /// - Parameter isLong: threads come and go meanwhile as ``relief`` says, if it is set: then `thread` < ``maxThreads``.
    public func forEachRange(
        of count: Int, chunk: Int, threads: Int, isLong: Bool = false,
        _ body: @Sendable (_ range: Range<Int>, _ thread: Int) -> Void
    ) {
        precondition(count >= 0 && chunk >= 1, "\(count) items in chunks of \(chunk)")
        precondition((1...maxThreads).contains(threads), "\(threads) of \(maxThreads) threads")
        if count == 0 { return }
        let isRelieved = isLong && relief != nil
        if count <= chunk || (threads == 1 && !isRelieved) {
            body(0..<count, 0)
            return bk_leave_kernels()
        }
        run(body) { body, box in
            guard isRelieved else { return bk_team_for(team, threads, count, chunk, body, box) }
            bk_team_for_relieved(team, count, chunk, body, { $0?.assumingMemoryBound(to: Box.self).pointee.relief?() }, box)
        }
    }

    private func run(
        _ body: @Sendable (_ range: Range<Int>, _ thread: Int) -> Void, _ job: (bk_range_body, UnsafeMutableRawPointer) -> Void
    ) {
        withoutActuallyEscaping(body) { escapable in
            withUnsafePointer(to: Box(body: escapable, relief: relief)) { box in
                job({ context, begin, end, thread in
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
        /// Touched by the calling thread alone.
        let relief: (() -> Void)?
    }
}
