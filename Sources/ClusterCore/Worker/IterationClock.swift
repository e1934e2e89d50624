/// How long an iteration takes, from its start to its end, averaged with more weight on the latest.
struct IterationClock: Sendable {
    private var started: Instant?
    private(set) var average: Duration?

    mutating func start(at now: Instant) { started = now }

    mutating func finish(at now: Instant) {
        guard let started else { return }
        let time = max(.zero, now - started)
        average = average.map { $0 + (time - $0) / 8 } ?? time
        self.started = nil
    }
}
