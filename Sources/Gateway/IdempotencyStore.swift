import Crypto
import Synchronization

/// Answers that clients may fetch again under their `Idempotency-Key`, so that a request sent twice is served once.
///
/// Bounded in number, bytes and time. Who asks for an answer that is still being made attaches to it; it goes on as long as
/// anybody waits for it. What failed in a way that a client may try again is not kept.
final class IdempotencyStore: Sendable {
    struct Configuration: Sendable {
        var mostAnswers = 4096
        var mostBytes = 32 << 20
        var lifetime = Duration.seconds(600)
    }

    private struct Entry {
        /// Digest of route and body.
        var request: [UInt8]
        var recording: ReplyRecording
        var began: ContinuousClock.Instant
    }

    private struct State {
        var entries: [String: Entry] = [:]
        /// Keys in the order in which they came.
        var order: [String] = []
    }

    enum Claim {
        /// Nobody has asked yet: the caller answers into the recording.
        case new(ReplyRecording)
        case known(ReplyRecording)
        /// The key stands for another request.
        case conflict
    }

    private let configuration: Configuration
    private let state = Mutex(State())

    init(_ configuration: Configuration = Configuration()) { self.configuration = configuration }

    /// - Parameters:
    ///   - key: as the client sent it; keys of different callers must differ.
    ///   - request: digest of what is asked.
    func claim(_ key: String, request: [UInt8], at now: ContinuousClock.Instant = .now) -> Claim {
        state.withLock { state in
            if let entry = state.entries[key], !entry.recording.isAbandoned, now - entry.began <= configuration.lifetime {
                return entry.request == request ? .known(entry.recording) : .conflict
            }
            forgetOld(&state, at: now)
            let recording = ReplyRecording()
            if state.entries.updateValue(Entry(request: request, recording: recording, began: now), forKey: key) == nil {
                state.order.append(key)
            }
            return .new(recording)
        }
    }

    /// The answer is not to be had again.
    func forget(_ key: String, _ recording: ReplyRecording) {
        state.withLock { state in
            guard state.entries[key]?.recording === recording else { return }
            state.entries[key] = nil
            state.order.removeAll { $0 == key }
        }
    }

    private func forgetOld(_ state: inout State, at now: ContinuousClock.Instant) {
        var bytes = state.entries.values.reduce(0) { $0 + $1.recording.byteCount }
        while let key = state.order.first, let entry = state.entries[key] {
            let isOld = now - entry.began > configuration.lifetime
            guard isOld || state.order.count >= configuration.mostAnswers || bytes > configuration.mostBytes else { return }
            bytes -= entry.recording.byteCount
            state.entries[key] = nil
            state.order.removeFirst()
        }
    }

    static func digest(_ parts: [UInt8]...) -> [UInt8] {
        var hash = SHA256()
        for part in parts {
            withUnsafeBytes(of: UInt64(part.count).littleEndian) { hash.update(bufferPointer: $0) }
            hash.update(data: part)
        }
        return Array(hash.finalize())
    }
}
