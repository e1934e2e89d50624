/// How long an iteration takes, from its start to its end, averaged with more weight on the latest.
struct IterationClock: Sendable {
    private var started: Instant?
    private(set) var average: Duration?
    /// Of the iteration that ended last.
    private(set) var latest: Duration?

    mutating func start(at now: Instant) { started = now }

    mutating func finish(at now: Instant) {
        guard let started else { return }
        let time = max(.zero, now - started)
        average = average.map { $0 + (time - $0) / 8 } ?? time
        latest = time
        self.started = nil
    }
}
