import Synchronization

/// A reply while it is made, and afterwards, for as many readers as there are.
final class ReplyRecording: Sendable {
    private struct State {
        /// All but the pieces of a stream.
        var reply: Reply?
        var isStream = false
        var pieces: [[UInt8]] = []
        var isComplete = false
        var failure: (any Error)?
        var readers = 0
        var isAbandoned = false
        var waiters: [@Sendable () -> Void] = []
    }

    private let state = Mutex(State())
    /// Stands for all readers: ends when the last of them has gone before the reply was complete.
    let watch = ConnectionWatch()

    /// Nobody waited for it any more, so it was given up.
    var isAbandoned: Bool { state.withLock { $0.isAbandoned } }

    var byteCount: Int {
        state.withLock { state in
            state.pieces.reduce(0) { $0 + $1.count } + (state.reply.map { if case .whole(let bytes) = $0.body { bytes.count } else { 0 } } ?? 0)
        }
    }

    // MARK: Writing

    private func change(_ body: (inout State) -> Void) {
        let waiters = state.withLock { state in
            body(&state)
            defer { state.waiters = [] }
            return state.waiters
        }
        for waiter in waiters { waiter() }
    }

    /// Takes the reply, and its stream to the end.
    func record(_ reply: Reply) async {
        switch reply.body {
        case .whole:
            change { state in
                state.reply = reply
                state.isComplete = true
            }
        case .stream(let stream):
            await record(reply) { [watch] sink in
                try await watch.whileConnected(gone: stream.abandon) { try await stream.drain(sink) }
            }
        case .pieces(let write): await record(reply, write)
        }
    }

    private func record(_ reply: Reply, _ write: (Reply.Sink) async throws -> Void) async {
        var head = reply
        head.body = .whole([])
        change { [head] state in
            state.reply = head
            state.isStream = true
        }
        var failure: (any Error)?
        do {
            try await write { piece in self.change { $0.pieces.append(piece) } }
        } catch {
            failure = error
        }
        change { state in
            state.failure = failure
            state.isComplete = true
        }
    }

    // MARK: Reading

    /// - Returns: the reply, from its beginning.
    func read(_ watch: ConnectionWatch) async throws(APIError) -> Reply {
        let reader = Reader(self)
        await watch.whileConnected(gone: reader.leave) { await replied() }
        guard !watch.isGone, var reply = state.withLock({ $0.reply }) else {
            throw APIError(499, "the client is gone", type: "cancelled_error", code: "cancelled")
        }
        guard state.withLock({ $0.isStream }) else { return reply }
        reply.body = .stream(reader)
        return reply
    }

    /// Waits for the reply, or until it is given up.
    private func replied() async {
        var isMetNow = false
        while !isMetNow {
            isMetNow = await withCheckedContinuation { continuation in
                let isMet = state.withLock { state in
                    if state.reply != nil || state.isAbandoned { return true }
                    state.waiters.append { continuation.resume(returning: false) }
                    return false
                }
                if isMet { continuation.resume(returning: true) }
            }
        }
    }

    /// Somebody who waits for the reply, until it leaves or is forgotten.
    private final class Reader: ReplyStream {
        private let recording: ReplyRecording
        private let hasLeft = Mutex(false)
        /// Of the next piece.
        private let position = Mutex(0)

        init(_ recording: ReplyRecording) {
            self.recording = recording
            recording.state.withLock { $0.readers += 1 }
        }

        deinit { leave() }

        func next(into bytes: inout [UInt8], orTell listener: @escaping @Sendable () -> Void) -> ReplyStep {
            position.withLock { position in
                recording.state.withLock { state in
                    if position < state.pieces.count {
                        bytes += state.pieces[position]
                        position += 1
                        return .piece(arrival: nil)
                    }
                    if state.isComplete || state.isAbandoned { return .ended(failure: state.failure) }
                    state.waiters.append(listener)
                    return .nothingYet
                }
            }
        }

        func abandon() { leave() }

        func leave() {
            let isFirst = hasLeft.withLock { hasLeft in
                defer { hasLeft = true }
                return !hasLeft
            }
            if isFirst { recording.readerLeft() }
        }
    }

    private func readerLeft() {
        let isLast = state.withLock { state in
            state.readers -= 1
            guard state.readers == 0, !state.isComplete else { return false }
            state.isAbandoned = true
            return true
        }
        guard isLast else { return }
        watch.end()
        change { _ in }
    }
}
