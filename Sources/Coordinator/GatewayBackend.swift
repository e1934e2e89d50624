import ClusterCore
import Gateway
import Synchronization
import Transport

/// The front end for the HTTP server: what it asks is done on the shell's thread, what it is told comes as a stream.
final class GatewayBackend: ServingBackend {
    /// Events that a client may leave unread before it counts as gone. Its socket's buffers come on top.
    private static let mostUnreadEvents = 8192

    let model: ServedModel
    private let shell: CoordinatorShell
    private let lastID = Atomic(LocalClients.firstID)

    init(shell: CoordinatorShell, model: ServedModel) {
        self.shell = shell
        self.model = model
    }

    func reception() async -> Reception { await shell.receive() }

    func status() async -> ClusterStatus { await shell.status }

    func measurements() async -> ServingMetrics { await shell.allMeasurements }

    func room() async -> ClusterRoom { await shell.room }

    func submit(_ submissions: [Submission]) -> AnswerStream {
        let id = ClientID(lastID.wrappingAdd(1, ordering: .relaxed).newValue)
        let answers = AnswerStream(limit: Self.mostUnreadEvents) { [shell] in shell.onThread { $0.part(with: id) } }
        // In the order of the calls, so that nobody joins who has left before.
        shell.onThread { shell in
            shell.join(id, LocalClient(answers, requests: submissions.count))
            for (index, submission) in submissions.enumerated() {
                shell.submit(ClientRequestKey(client: id, key: UInt64(index)), submission)
            }
        }
        return answers
    }
}

extension CoordinatorShell {
    /// Runs `body` on the thread, after what was asked of it before.
    nonisolated func onThread(_ body: @escaping @Sendable (isolated CoordinatorShell) -> Void) {
        thread.run { [weak self] in self?.assumeIsolated { body($0) } }
    }

    /// A refusal counts as one: the caller does not submit what it would refuse.
    func receive() -> Reception {
        if let refusal { measurements.noteRefusal(refusal.code) }
        return Reception(refusal: refusal, numerics: numerics)
    }

    /// With what the scheduler has counted itself.
    var allMeasurements: ServingMetrics {
        var all = measurements
        all.groups = scheduler.groupCounters
        return all
    }

    func join(_ id: ClientID, _ client: LocalClient) { local.join(id, client) }

    /// A client within the process wants nothing any more.
    func part(with id: ClientID) {
        local.leave(id)
        leave(id)
    }
}
