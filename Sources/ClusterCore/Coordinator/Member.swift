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

    var takesNewWork: Bool { !isSuspect && !isLeaving }

    var status: WorkerStatus {
        Self.status(registration, isSuspect ? .suspect : isLeaving ? .leaving : .ready, load)
    }

    static func status(_ registration: Registration, _ state: WorkerStatus.State, _ load: WorkerLoad) -> WorkerStatus {
        WorkerStatus(
            worker: registration.worker, role: registration.role, state: state, endpoint: registration.endpoint,
            blockCount: registration.blockCount, maxSequences: registration.maxSequences, load: load)
    }
}
