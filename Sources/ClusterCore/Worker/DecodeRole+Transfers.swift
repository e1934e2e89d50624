import DequeModule
import Generation
import OrderedCollections

// The KV that arrives. Nothing in these messages has been checked before but its form.
extension DecodeRole {
    /// How an attempt stands here.
    private enum Standing {
        /// Index into `transfers`.
        case receiving(Int)
        /// Its KV is whole, or was when the attempt ended.
        case whole
        case over
        /// Not granted (yet).
        case unknown
    }

    private func standing(of attempt: AttemptID) -> Standing {
        if let holding = holdings[attempt.request], attempt <= holding.attempt {
            guard attempt == holding.attempt else { return ended.answer(to: attempt) == .complete ? .whole : .over }
            switch holding.place {
            case .deferred, .prompt: return .unknown
            case .ready, .row, .parked: return .whole
            case .transfer:
                guard let index = transfers.index(forKey: attempt.request) else {
                    preconditionFailure("\(holding) without a transfer")
                }
                return .receiving(index)
            }
        }
        return switch ended.answer(to: attempt) {
        case .complete: .whole
        case .over: .over
        case .unknown: .unknown
        }
    }

    /// Where the layer blocks of a message belong, one block for each; asked before any payload is copied.
    public func destination(for blocks: KVBlocks) -> Result<[BlockID], KVRefusal> {
        guard blocks.epoch == configuration.clusterEpoch else { return .failure(.epoch(blocks.epoch)) }
        switch standing(of: blocks.attempt) {
        case .unknown: return .failure(.unknown)
        case .over: return .failure(.ended)
        case .whole: return .failure(.duplicate)
        case .receiving(let index):
            let transfer = transfers.values[index]
            guard transfer.peer != nil else { return .failure(.unknown) }
            if let problem = contradiction(in: blocks, to: transfer) { return .failure(.mismatch(problem)) }
            return transfer.needs(blocks.range)
                ? .success(transfer.blocks(for: blocks.range)) : .failure(.duplicate)
        }
    }

    private func contradiction(in blocks: KVBlocks, to transfer: IncomingTransfer) -> String? {
        if let problem = contradiction(tokenCount: blocks.tokenCount, to: transfer) { return problem }
        let range = blocks.range
        guard range.isWithin(layerCount: transfer.layerCount, blockCount: transfer.blockCount) else {
            return """
                \(range.count) blocks from \(range.first) in layer \(range.layer), but there are \
                \(transfer.blockCount) in \(transfer.layerCount) layers
                """
        }
        guard range.first >= transfer.query.sharedCount else {
            // Nobody sends before he was told so; and these are others' as well.
            return "blocks from \(range.first), but the first \(transfer.query.sharedCount) are there"
        }
        return nil
    }

    private func contradiction(tokenCount: Int, to transfer: IncomingTransfer) -> String? {
        let granted = transfer.query.order.tokens.count
        return tokenCount == granted ? nil : "\(tokenCount) tokens announced, \(granted) granted"
    }

    mutating func receive(
        _ message: KVMessage, from peer: PeerID, at now: Instant, into actions: inout [Action]
    ) {
        let (epoch, attempt) = (message.epoch, message.attempt)
        guard epoch == configuration.clusterEpoch else {
            counters.refused += 1
            return
        }
        switch (standing(of: attempt), message) {
        case (.unknown, .open(let open)): early.insert(open, from: peer)
        case (.unknown, _), (_, .blocks), (.over, .abort), (.whole, .abort): break
        case (.over, _): refuse(attempt, "the attempt is over", to: peer, into: &actions)
        case (.whole, _): actions.append(.reply(peer, .complete(epoch, attempt)))
        case (.receiving(let index), .open(let open)):
            self.open(index, open, from: peer, at: now, into: &actions)
        case (.receiving(let index), .commit(let commit)):
            self.commit(index, commit, from: peer, at: now, into: &actions)
        case (.receiving, .abort):
            if let holding = holdings[attempt.request] { drop(holding, into: &actions) }
        }
    }

    private mutating func refuse(
        _ attempt: AttemptID, _ reason: String, to peer: PeerID, into actions: inout [Action]
    ) {
        counters.refused += 1
        actions.append(.reply(peer, .refused(configuration.clusterEpoch, attempt, reason)))
    }

    /// Answers an opening that came before its grant.
    mutating func openEarly(_ attempt: AttemptID, at now: Instant, into actions: inout [Action]) {
        guard let (peer, open) = early.remove(attempt), let index = transfers.index(forKey: attempt.request) else { return }
        self.open(index, open, from: peer, at: now, into: &actions)
    }

    private mutating func open(
        _ index: Int, _ open: KVOpen, from peer: PeerID, at now: Instant, into actions: inout [Action]
    ) {
        if let problem = contradiction(in: open, to: transfers.values[index]) {
            refuse(open.attempt, problem, to: peer, into: &actions)
            return
        }
        transfers.values[index].open(from: peer, sent: open.sent, at: now)
        announceCredit(index, to: peer, always: true, into: &actions)
        keepTime(of: index)
    }

    private func contradiction(in open: KVOpen, to transfer: IncomingTransfer) -> String? {
        guard open.modelHash == configuration.modelHash else {
            return "model \(open.modelHash) is not \(configuration.modelHash)"
        }
        guard open.geometry == configuration.geometry else {
            return "\(open.geometry) is not \(configuration.geometry)"
        }
        guard open.sent >= 0 else { return "\(open.sent) layer blocks sent" }
        return contradiction(tokenCount: open.tokenCount, to: transfer)
    }

    private mutating func announceCredit(_ index: Int, to peer: PeerID, always: Bool, into actions: inout [Action]) {
        guard let limit = transfers.values[index].announcement(always: always) else { return }
        let query = transfers.values[index].query
        actions.append(
            .reply(peer, .credit(configuration.clusterEpoch, query.order.attempt, limit: limit, held: query.sharedCount)))
    }

    private mutating func keepTime(of index: Int) {
        let due = transfers.values[index].nextWakeUp
        wakeUp = min(wakeUp ?? due, due)
    }

    private mutating func commit(
        _ index: Int, _ commit: KVCommit, from peer: PeerID, at now: Instant, into actions: inout [Action]
    ) {
        if let problem = contradiction(in: commit, to: transfers.values[index]) {
            refuse(commit.attempt, problem, to: peer, into: &actions)
            return
        }
        switch transfers.values[index].commit(commit.next, at: now) {
        case .whole: embedWhenPossible(index, peer, at: now, into: &actions)
        case .lost:
            guard let holding = holdings[commit.attempt.request] else { return }
            fail(holding, .transferLost, into: &actions)
            refuse(commit.attempt, "layer blocks stayed missing", to: peer, into: &actions)
        case .missing(let ranges):
            counters.refetches += UInt64(ranges.reduce(0) { $0 + $1.count })
            actions.append(.reply(peer, .missing(configuration.clusterEpoch, commit.attempt, ranges)))
            announceCredit(index, to: peer, always: true, into: &actions)
            keepTime(of: index)
        }
    }

    private func contradiction(in commit: KVCommit, to transfer: IncomingTransfer) -> String? {
        let order = transfer.query.order
        guard transfer.peer != nil else { return "committed before it was opened" }
        guard commit.index == order.firstIndex, commit.next.allSatisfy({ $0.token >= 0 }) else {
            return "\(commit.next) as tokens \(commit.index), where \(order.firstIndex) is due"
        }
        guard order.forks.isEmpty else {
            // Choices that have ended meanwhile are granted no more.
            let isKnown = order.forks.allSatisfy { fork in commit.next.contains { $0.request == fork.attempt.request } }
            return isKnown ? contradiction(tokenCount: commit.tokenCount, to: transfer) : "\(commit.next) for \(order.forks)"
        }
        guard commit.next.count == 1, let next = commit.next.first, next.request == order.attempt.request else {
            return "\(commit.next) for \(order.attempt)"
        }
        guard order.stop.finishReason(after: next.token, at: commit.index) == nil else {
            return "token \(next.token) already ends the answer"
        }
        return contradiction(tokenCount: commit.tokenCount, to: transfer)
    }

    /// The KV is whole and the next token known.
    private mutating func embedWhenPossible(
        _ index: Int, _ peer: PeerID, at now: Instant, into actions: inout [Action]
    ) {
        let (request, transfer) = transfers.remove(at: index)
        guard let next = transfer.next else { preconditionFailure("\(request) is whole but not committed") }
        let attempt = transfer.query.order.attempt
        counters.transfers.noteWhole(after: now - (transfer.opened ?? now))
        actions.append(.reply(peer, .complete(configuration.clusterEpoch, attempt)))
        actions.append(.report(.kvWhole(attempt)))
        var query = transfer.query
        let count = query.order.tokens.count
        keepPrefix(of: &query, upTo: count)
        reportPrefixes(into: &actions)
        makeReady(query, next, at: now, into: &actions)
    }

    mutating func store(_ blocks: KVBlocks, from peer: PeerID, at now: Instant, into actions: inout [Action]) {
        guard let index = receivingIndex(for: blocks) else {
            counters.refused += 1
            return
        }
        let new = transfers.values[index].store(blocks.range, at: now)
        counters.layerBlocks += UInt64(new)
        counters.transfers.bytes += UInt64(new * configuration.geometry.bytesPerLayerBlock)
        if new < blocks.range.count { counters.duplicates += 1 }
        if transfers.values[index].isWhole, transfers.values[index].next != nil {
            embedWhenPossible(index, peer, at: now, into: &actions)
        } else {
            announceCredit(index, to: peer, always: false, into: &actions)
            keepTime(of: index)
        }
    }

    mutating func damage(_ blocks: KVBlocks, at now: Instant) {
        counters.corrupt += 1
        guard let index = receivingIndex(for: blocks) else { return }
        transfers.values[index].damage(blocks.range, at: now)
        keepTime(of: index)
    }

    /// The transfer that a message belongs to, checked like its destination.
    private func receivingIndex(for blocks: KVBlocks) -> Int? {
        guard blocks.epoch == configuration.clusterEpoch, case .receiving(let index) = standing(of: blocks.attempt),
            transfers.values[index].peer != nil, contradiction(in: blocks, to: transfers.values[index]) == nil
        else { return nil }
        return index
    }

    mutating func refuse(
        _ blocks: KVBlocks, _ refusal: KVRefusal, from peer: PeerID, into actions: inout [Action]
    ) {
        switch refusal {
        case .duplicate: counters.duplicates += 1
        case .epoch, .unknown: counters.refused += 1
        case .ended: refuse(blocks.attempt, "the attempt is over", to: peer, into: &actions)
        case .mismatch(let problem): refuse(blocks.attempt, problem, to: peer, into: &actions)
        }
    }

    mutating func tick(at now: Instant, into actions: inout [Action]) {
        guard let due = wakeUp, now >= due else { return }
        wakeUp = nil
        var expired: [RequestID] = []
        for index in transfers.values.indices {
            if transfers.values[index].hasExpired(at: now) {
                expired.append(transfers.keys[index])
                continue
            }
            if let limit = transfers.values[index].repeatedAnnouncement(at: now),
                let peer = transfers.values[index].peer {
                let query = transfers.values[index].query
                actions.append(
                    .reply(
                        peer, .credit(configuration.clusterEpoch, query.order.attempt, limit: limit, held: query.sharedCount)))
            }
            keepTime(of: index)
        }
        for request in expired {
            if let holding = holdings[request] { fail(holding, .transferLost, into: &actions) }
        }
        tickMigrations(at: now, into: &actions)
    }
}

extension KVMessage {
    var epoch: ClusterEpoch {
        switch self {
        case .open(let open): open.epoch
        case .blocks(let blocks): blocks.epoch
        case .commit(let commit): commit.epoch
        case .abort(let epoch, _): epoch
        }
    }

    var attempt: AttemptID {
        switch self {
        case .open(let open): open.attempt
        case .blocks(let blocks): blocks.attempt
        case .commit(let commit): commit.attempt
        case .abort(_, let attempt): attempt
        }
    }
}
