/// A reply that is sent while it is made. One reader takes it, piece by piece, and never waits in here, so that an event loop can be one.
protocol ReplyStream: Sendable {
    /// Appends the next piece to `bytes`. If there is none yet, `listener` is called as soon as it is worth asking again: once, on
    /// whatever thread.
    func next(into bytes: inout [UInt8], orTell listener: @escaping @Sendable () -> Void) -> ReplyStep
    /// Nobody reads on.
    func abandon()
}

enum ReplyStep: Sendable {
    /// `arrival`: when what the piece tells reached this process, if that is to be counted.
    case piece(arrival: ContinuousClock.Instant?)
    case nothingYet
    /// - failure: the stream broke off, and its reader has to be left without an end.
    case ended(failure: (any Error)?)
}

extension ReplyStream {
    /// Takes the whole stream, waiting for each piece.
    ///
    /// - Throws: what the stream broke off with, or `take` throws.
    func drain(_ take: ([UInt8]) async throws -> Void) async throws {
        while true {
            let (step, bytes) = await nextStep()
            switch step {
            case .piece: try await take(bytes)
            case .nothingYet: break
            case .ended(let failure):
                if let failure { throw failure }
                return
            }
        }
    }

    /// Waits once, if there is nothing.
    private func nextStep() async -> (ReplyStep, [UInt8]) {
        await withCheckedContinuation { continuation in
            var bytes: [UInt8] = []
            let step = next(into: &bytes) { continuation.resume(returning: (.nothingYet, [])) }
            if case .nothingYet = step { return }
            continuation.resume(returning: (step, bytes))
        }
    }
}
