import ClusterCore
import Generation

/// What the shells remember between events, most of it only for the mistakes that are planted in them.
struct Tampering {
    /// Requests whose text has just met a stop string.
    var stopped: [(request: RequestID, choice: Int32)] = []
    /// Latest attempt sent out, by request.
    var latestOrdinal: [RequestID: UInt32] = [:]
    /// Credit told so far, by attempt.
    var credit: [AttemptID: Int] = [:]
    /// Per worker: how a link looks whose holes nobody sees.
    var seamless: [Int: SeamlessLink] = [:]

    mutating func coordinatorCrashed() {
        stopped = []
        latestOrdinal = [:]
        seamless = [:]
    }
}

/// Renumbers what arrives so that nothing seems to be missing.
struct SeamlessLink {
    var epoch: WorkerEpoch
    var last: UInt64 = 0
    var count: UInt64 = 0

    mutating func renumber(_ sequence: UInt64) -> UInt64? {
        guard sequence > last else { return nil }
        last = sequence
        count += 1
        return count
    }
}

// The planted bugs that falsify messages; without a plant, all of these change nothing.
extension Simulation {
    func tamper(
        _ message: WorkerMessage, _ envelope: Envelope, on connection: ConnectionID
    ) -> (WorkerMessage, Envelope)? {
        if case .register = message { return (message, envelope) }
        switch plant {
        case .gapIgnored:
            let worker = workerNode(of: connection).index
            if tampering.seamless[worker]?.epoch != envelope.workerEpoch {
                tampering.seamless[worker] = SeamlessLink(epoch: envelope.workerEpoch)
            }
            guard let sequence = tampering.seamless[worker]?.renumber(envelope.sequence) else { return nil }
            var envelope = envelope
            envelope.sequence = sequence
            return (message, envelope)
        case .attemptReused: return (rename(message), envelope)
        default: return (message, envelope)
        }
    }

    func tamper(_ pong: Pong) -> Pong {
        guard plant == .gapIgnored else { return pong }
        var pong = pong
        pong.controlSent = 0
        return pong
    }

    func tamper(_ message: CoordinatorMessage) -> CoordinatorMessage {
        switch plant {
        case .attemptReused: return rename(message)
        case .replayForgetsTokens: return forgetTokens(message)
        case .saltSkipped: return forgetSalt(message)
        default: return message
        }
    }

    func tamper(_ reply: KVReply) -> KVReply? {
        guard plant == .creditAdded, case .credit(let epoch, let attempt, let limit, let held) = reply else { return reply }
        tampering.credit[attempt, default: 0] += limit
        return .credit(epoch, attempt, limit: tampering.credit[attempt, default: 0], held: held)
    }

    func tamper(_ message: KVMessage, _ worker: WorkerProcess) -> KVMessage {
        guard plant == .clusterEpochIgnored, let epoch = worker.epochs?.cluster else { return message }
        switch message {
        case .open(var open):
            open.epoch = epoch
            return .open(open)
        case .blocks(var blocks):
            blocks.epoch = epoch
            return .blocks(blocks)
        case .commit(var commit):
            commit.epoch = epoch
            return .commit(commit)
        case .abort(_, let attempt): return .abort(epoch, attempt)
        }
    }

    func tamper(_ payload: inout Payload, _ worker: WorkerProcess) {
        switch plant {
        case .checksumSkipped: payload.isDamaged = false
        case .payloadCutShort:
            var rubbish = SplitMix(state: UInt64(payload.slots.count))
            for index in payload.slots.indices.dropFirst((payload.slots.count + 1) / 2) {
                payload.slots[index] = rubbish.next()
            }
        default: break
        }
    }

    func tamper(_ blocks: [BlockID]) -> [BlockID] {
        guard plant == .wrongBlock, blocks.count > 1 else { return blocks }
        return Array(blocks.dropFirst() + blocks.prefix(1))
    }

    func drops(cancelOf attempt: AttemptID) -> Bool {
        switch plant {
        case .cancelDropped: return true
        case .workersNotToldOfDeadline:
            guard let index = checker.index(of: attempt.request) else { return false }
            return checker.tracked[index].state == .failed(.timedOut)
        default: return false
        }
    }

    // MARK: Details

    private func outer(_ attempt: AttemptID) -> AttemptID {
        tampering.latestOrdinal[attempt.request] = max(
            tampering.latestOrdinal[attempt.request, default: 0], attempt.ordinal)
        return AttemptID(request: attempt.request, ordinal: 1)
    }

    private func inner(_ attempt: AttemptID) -> AttemptID {
        AttemptID(request: attempt.request, ordinal: tampering.latestOrdinal[attempt.request, default: 1])
    }

    private func rename(_ message: CoordinatorMessage) -> CoordinatorMessage {
        switch message {
        case .prefill(var order):
            order.sequence.attempt = outer(order.sequence.attempt)
            order.sequence.forks = order.sequence.forks.map { Fork(attempt: outer($0.attempt), choice: $0.choice) }
            return .prefill(order)
        case .grant(var grant):
            grant.sequence.attempt = outer(grant.sequence.attempt)
            grant.sequence.forks = grant.sequence.forks.map { Fork(attempt: outer($0.attempt), choice: $0.choice) }
            return .grant(grant)
        case .retarget(let from, let to, let destination):
            return .retarget(from: outer(from), to: outer(to), destination)
        case .cancel(let attempt): return .cancel(outer(attempt))
        case .preempt(let attempt): return .preempt(outer(attempt))
        case .resume(let attempt, let budget): return .resume(outer(attempt), budget: budget)
        case .registered, .registrationRefused, .registerAgain, .releaseGroup: return message
        }
    }

    private func rename(_ message: WorkerMessage) -> WorkerMessage {
        func inner(_ event: TokenEvent) -> TokenEvent {
            TokenEvent(attempt: self.inner(event.attempt), index: event.index, token: event.token, logprobs: event.logprobs)
        }
        return switch message {
        case .register, .leaving, .prefixesChanged: message
        case .prefillStarted(let attempt, let cached): .prefillStarted(self.inner(attempt), cachedCount: cached)
        case .prefillFinished(let attempt, let token): .prefillFinished(self.inner(attempt), inner(token))
        case .promptForked(let attempt, let tokens): .promptForked(self.inner(attempt), tokens.map(inner))
        case .promptScored(let attempt, let scores): .promptScored(self.inner(attempt), scores)
        case .transferFinished(let attempt): .transferFinished(self.inner(attempt))
        case .prefillFailed(let attempt, let failure): .prefillFailed(self.inner(attempt), failure)
        case .kvWhole(let attempt): .kvWhole(self.inner(attempt))
        case .embedded(let attempt, let row): .embedded(self.inner(attempt), row: row)
        case .tokens(let tokens): .tokens(tokens.map(inner))
        case .parked(let attempt): .parked(self.inner(attempt))
        case .left(let attempt, let row): .left(self.inner(attempt), row: row)
        case .decodeFailed(let attempt, let failure): .decodeFailed(self.inner(attempt), failure)
        }
    }

    private func forgetSalt(_ message: CoordinatorMessage) -> CoordinatorMessage {
        switch message {
        case .prefill(var order):
            order.sequence.cacheSalt = ""
            return .prefill(order)
        case .grant(var grant):
            grant.sequence.cacheSalt = ""
            return .grant(grant)
        default: return message
        }
    }

    private func forgetTokens(_ message: CoordinatorMessage) -> CoordinatorMessage {
        switch message {
        case .prefill(var order):
            order.sequence.tokens = Array(order.sequence.tokens.prefix(order.sequence.promptCount))
            return .prefill(order)
        case .grant(var grant):
            grant.sequence.tokens = Array(grant.sequence.tokens.prefix(grant.sequence.promptCount))
            return .grant(grant)
        default: return message
        }
    }
}
