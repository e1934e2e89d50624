import NIOCore

/// Runs the jobs of a task on an event loop. An answer that is streamed there goes from the coordinator to its socket with one change of
/// threads instead of three: the loop wakes once for the tokens of a whole iteration, and writes where it was woken.
final class LoopExecutor: TaskExecutor {
    private let loop: any EventLoop

    init(_ loop: any EventLoop) { self.loop = loop }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        loop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
