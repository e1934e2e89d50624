import ClusterCore
import Transport

/// How a worker's life ends: who waits for it, and whether it has begun.
struct WorkerEnd {
    /// A draining worker leaves after being idle for this long.
    static let quietTime = Duration.milliseconds(500)

    var isDraining = false
    private var waiter: CheckedContinuation<Void, any Error>?
    private var result: Result<Void, any Error>?

    var hasCome: Bool { result != nil }

    mutating func finish(_ result: Result<Void, any Error>) {
        guard self.result == nil else { return }
        self.result = result
        waiter?.resume(with: result)
        waiter = nil
    }

    mutating func add(_ continuation: CheckedContinuation<Void, any Error>) {
        if let result { return continuation.resume(with: result) }
        precondition(waiter == nil, "a worker runs once")
        waiter = continuation
    }
}
