import ClusterCore
import Synchronization

/// Whoever holds an API key, and what of its limits is in use.
final class Tenant: Sendable {
    private struct Waiter {
        var id: Int
        var continuation: CheckedContinuation<Bool, Never>
    }

    private struct State {
        var account: TenantAccount
        var waiters: [Waiter] = []
        var nextID = 0
        /// Requests that have neither a place nor left.
        var queued: Set<Int> = []
    }

    private let state: Mutex<State>

    init(_ limits: TenantLimits) { state = Mutex(State(account: TenantAccount(limits, at: .now))) }

    /// Waits for a place, if the limits let it.
    ///
    /// - Parameter end: of the client's patience.
    /// - Throws: ``APIError`` 429 if they do not; 408 if there is none in time; 499 if the client goes meanwhile.
    func enter(_ watch: ConnectionWatch, until end: ContinuousClock.Instant? = nil) async throws(APIError) -> Permit {
        let (answer, id) = state.withLock { state in
            state.nextID += 1
            let answer = state.account.ask(at: .now)
            if answer == .waits { state.queued.insert(state.nextID) }
            return (answer, state.nextID)
        }
        switch answer {
        case .enters: return Permit(self)
        case .refused(let limit, let pause): throw .tooMany(limit, retryAfter: pause)
        case .waits:
            let alarm = end.map { end in
                Task {
                    try await Task.sleep(until: end, clock: .continuous)
                    leave(id)
                }
            }
            let hasPlace = await watch.whileConnected(gone: { self.leave(id) }) { await self.wait(id) }
            alarm?.cancel()
            guard hasPlace || watch.isGone else { throw .expired }
            guard hasPlace else { throw APIError(RequestFailure(code: .cancelled, message: "the client is gone")) }
            return Permit(self)
        }
    }

    /// - Returns: whether there is a place; `false`: it has left.
    private func wait(_ id: Int) async -> Bool {
        await withCheckedContinuation { continuation in
            let hasPlace = state.withLock { state -> Bool? in
                guard state.queued.contains(id) else { return false }
                guard state.account.hasPlace else {
                    state.waiters.append(Waiter(id: id, continuation: continuation))
                    return nil
                }
                // One has ended since it was asked.
                state.queued.remove(id)
                state.account.enterFromQueue()
                return true
            }
            if let hasPlace { continuation.resume(returning: hasPlace) }
        }
    }

    private func leave(_ id: Int) {
        let waiter = state.withLock { state -> Waiter? in
            guard state.queued.remove(id) != nil else { return nil }
            state.account.leaveQueue()
            return state.waiters.firstIndex { $0.id == id }.map { state.waiters.remove(at: $0) }
        }
        waiter?.continuation.resume(returning: false)
    }

    fileprivate func end() {
        let next = state.withLock { state -> Waiter? in
            state.account.end()
            guard !state.waiters.isEmpty else { return nil }
            state.account.enterFromQueue()
            let next = state.waiters.removeFirst()
            state.queued.remove(next.id)
            return next
        }
        next?.continuation.resume(returning: true)
    }

    fileprivate func charge(_ tokens: Int) { state.withLock { $0.account.charge(tokens, at: .now) } }

    /// A place among the requests that are worked on; given back when nobody holds it any more.
    final class Permit: Sendable {
        private let tenant: Tenant
        private let isGivenBack = Mutex(false)

        fileprivate init(_ tenant: Tenant) { self.tenant = tenant }

        deinit { giveBack() }

        func giveBack() {
            let isFirst = isGivenBack.withLock { isGivenBack in
                defer { isGivenBack = true }
                return !isGivenBack
            }
            if isFirst { tenant.end() }
        }

        /// Counts what an event of the answer cost.
        func charge(_ event: AnswerEvent.Kind) {
            switch event {
            case .accepted(let acceptance): tenant.charge(Int(acceptance.promptCount))
            case .tokens(_, _, let tokens, _): tenant.charge(tokens.count)
            case .prompt, .finished: break
            }
        }
    }
}
