import CKernels

/// Threads that split the outputs of a kernel, never its sums.
///
/// The calling thread takes part; the others spin briefly between kernels, then sleep. A team serves one caller at a
/// time, so it belongs to the thread that made it (not Sendable on purpose).
public final class ThreadTeam {
    public let maxThreads: Int
    private let team: OpaquePointer

    /// - Parameters:
    ///   - maxThreads: greatest number of threads of a step, the calling one included.
    ///   - cores: core to pin each thread to, in order; the calling thread is pinned to the first. Empty: no pinning.
    /// - Throws: ``KernelError/threads(count:)`` if the system refuses the threads.
    public init(maxThreads: Int, cores: [Int] = []) throws(KernelError) {
        precondition(maxThreads >= 1, "a team of \(maxThreads) threads")
        precondition(cores.isEmpty || cores.count >= maxThreads, "\(cores.count) cores for \(maxThreads) threads")
        guard let team = bk_team_create(maxThreads, cores.map(Int32.init), cores.count) else {
            throw .threads(count: maxThreads)
        }
        self.team = team
        self.maxThreads = maxThreads
        if let first = cores.first { _ = bk_pin_current_thread(Int32(first)) }
    }

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

    private struct Box {
        let body: @Sendable (Range<Int>, Int) -> Void
    }
}
