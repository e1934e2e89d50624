/// A registered worker.
struct Member: Sendable {
    let registration: Registration
    /// Which registration of its process this is.
    let ordinal: UInt64
    var connection: ConnectionID
    var link: ControlLink
    var lastHeard: Instant
    var pingsSent: UInt64 = 0
    /// Number of the latest ping that was answered.
    var lastAnswered: UInt64 = 0
    var isSuspect = false
    /// Shutting down at its own wish.
    var isLeaving = false
    var load = WorkerLoad()
    private(set) var reports: UInt64 = 0
    /// See ``expectedIteration(rows:typical:)``.
    private(set) var pace: Duration?

    var worker: WorkerID { registration.worker }
    var missedPings: Int { Int(pingsSent - lastAnswered) }

    /// Tokens of the longest sequence that the worker can hold.
    var reach: Int {
        let blockSize = registration.geometry.blockSize
        let (tokens, overflow) = registration.blockCount.multipliedReportingOverflow(by: blockSize)
        return overflow ? registration.maxModelLength : min(tokens, registration.maxModelLength)
    }

    mutating func nextPing() -> Ping {
        pingsSent += 1
        return Ping(
            clusterEpoch: link.clusterEpoch, workerEpoch: link.workerEpoch, sequence: pingsSent, controlSent: link.sent)
    }

    func reasonToGiveUp(at now: Instant, _ configuration: Membership.Configuration) -> String? {
        if now - lastHeard >= configuration.lostAfter { return "silent for \(now - lastHeard)" }
        if link.hasLostTail(at: now, patience: configuration.linkPatience) { return "control messages were lost" }
        return nil
    }

    /// - Returns: whether what it can take has changed, or its pace by more than noise.
    mutating func note(_ load: WorkerLoad) -> Bool {
        let before = (rowLimit, self.load.isMemoryShort)
        self.load = load
        reports &+= 1
        let hasPace = notePace()
        return hasPace || before != (rowLimit, load.isMemoryShort)
    }

    private mutating func notePace() -> Bool {
        guard let time = load.iterationTime, load.rows > 0, registration.role.decodes else { return false }
        let measured = time * registration.maxSequences / (registration.maxSequences + load.rows)
        if let pace, abs((measured - pace) / pace) < 0.1 { return false }
        pace = measured
        return true
    }

    /// Rows that its batch may have for now.
    var rowLimit: Int { min(registration.maxSequences, max(1, load.rowLimit ?? registration.maxSequences)) }

    /// What an iteration over `rows` rows takes. One over a full batch is taken to cost twice as much as one over a single
    /// row, which is about right where the time goes into reading weights; a worker that has not been measured is taken to
    /// be like the others.
    func expectedIteration(rows: Int, typical: Duration) -> Duration {
        (pace ?? typical) * (registration.maxSequences + rows) / registration.maxSequences
    }

    var takesNewWork: Bool { !isSuspect && !isLeaving }

    var status: WorkerStatus {
        Self.status(registration, isSuspect ? .suspect : isLeaving ? .leaving : .ready, load, reports: reports)
    }

    static func status(
        _ registration: Registration, _ state: WorkerStatus.State, _ load: WorkerLoad, reports: UInt64 = 0
    ) -> WorkerStatus {
        WorkerStatus(
            worker: registration.worker, role: registration.role, state: state, endpoint: registration.endpoint,
            blockCount: registration.blockCount, maxSequences: registration.maxSequences, load: load,
            reports: reports)
    }
}
