import Synchronization

/// How long tokens were on their way through this process: from the arrival of the worker's message to the client's socket.
final class DeliveryTimes: Sendable {
    private let times = Mutex(Histogram.delivery)

    var histogram: Histogram { times.withLock { $0 } }

    func note(since arrival: ContinuousClock.Instant) {
        let time = ContinuousClock.now - arrival
        times.withLock { $0.observe(time) }
    }
}
