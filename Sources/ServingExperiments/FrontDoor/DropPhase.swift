import ClusterCore
import Synchronization

/// Where a request is when its client goes.
public enum DropPhase: String, Codable, Sendable, Hashable, CaseIterable, Comparable {
    /// No worker has begun with it.
    case queued
    case prefilling
    /// The first token is out, and the KV is not whole where it is to be decoded.
    case transferring
    /// The KV is whole where it is to be decoded, and waits for a row.
    case ready
    case decoding
    /// Its KV has left the running batch for a more urgent query.
    case parked

    /// In the order in which a request goes through them.
    public static func < (a: DropPhase, b: DropPhase) -> Bool { a.place < b.place }

    private var place: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}

/// What a coordinator has told of requests, found by the length of their prompts.
final class RequestBook: Sendable {
    private struct Entry {
        var promptCount: Int
        var isStarted = false
        var hasFirstToken = false
        var isWhole = false
        var isEmbedded = false
        var isParked = false
        var hasEnded = false

        /// `nil`: it is over.
        var phase: DropPhase? {
            if hasEnded { return nil }
            if isParked { return .parked }
            if isEmbedded { return .decoding }
            if isWhole { return .ready }
            return hasFirstToken ? .transferring : isStarted ? .prefilling : .queued
        }

        mutating func take(_ kind: ClusterEvent.Kind) {
            switch kind {
            case .prefillStarted: isStarted = true
            case .firstToken: hasFirstToken = true
            case .kvWhole: isWhole = true
            case .embedded: isEmbedded = true
            case .parked: (isParked, isEmbedded) = (true, false)
            case .resumed: isParked = false
            case .retried: self = Entry(promptCount: promptCount)
            case .finished, .failed: hasEnded = true
            case .submitted, .assigned, .token, .left, .workerJoined, .workerLost: break
            }
        }
    }

    private let entries = Mutex<[RequestID: Entry]>([:])

    func take(_ event: ClusterEvent) {
        guard let request = event.request else { return }
        entries.withLock { entries in
            if case .submitted(let count, _) = event.kind { entries[request] = Entry(promptCount: count) }
            entries[request]?.take(event.kind)
        }
    }

    /// Begins anew: what was open is not asked for any more.
    func clear() { entries.withLock { $0 = [:] } }

    func phase(ofPromptOf count: Int) -> DropPhase? { entry(ofPromptOf: count)?.phase }

    private func entry(ofPromptOf count: Int) -> Entry? {
        entries.withLock { entries in entries.values.first { $0.promptCount == count } }
    }

    /// Waits until the request is in `phase`.
    /// - Returns: `false` if it has passed it before anybody saw it there.
    /// - Throws: ``ServeFailure`` if it does not come to that.
    func wait(for phase: DropPhase, ofPromptOf count: Int, patience: Duration = .seconds(20)) async throws -> Bool {
        let deadline = ContinuousClock.now + patience
        while true {
            let entry = entry(ofPromptOf: count)
            if entry?.phase == phase { return true }
            if let entry, entry.hasEnded || (entry.phase ?? phase) > phase { return false }
            guard ContinuousClock.now < deadline else {
                throw ServeFailure("a prompt of \(count) tokens was not \(phase.rawValue) within \(patience)")
            }
            try await Task.sleep(for: .microseconds(300))
        }
    }
}
