import Generation

// Placement by prefixes, after Preble (arXiv 2407.00023): go where the prefix is (exploit) or where there is least to do
// (explore), whichever costs least. All costs are in tokens of prompt to compute:
//
//   cost(worker) = prompts ahead there + gain · (tokens that are not there + tokens that would be evicted, as far as they are used)
//
// Waiting delays one prompt, computing delays all that come behind it: hence the gain. As the wait at a worker counts too, a prefix that is
// asked for more often than one worker can serve is computed on a second one, and is there from then on. A prompt without a known prefix
// costs the same everywhere but for the queue and what it evicts, so it goes where there is least to do, and among those that have nothing
// to do where there was least; nobody is ever served out of turn. A worker that was given more than others lately gains less by what it
// knows, at worst as little as if it knew nothing.
extension Scheduler {
    /// The prefill worker for a prompt.
    func prefillWorker(for request: ServingRequest, names: [PrefixName]) -> Int? {
        let offers = prefillOffers[request.rank.priority], reach = request.tokens.count
        let lightest = offers.lightest(room: 0, reach: reach, avoiding: request.avoided.prefill)
        switch configuration.placement {
        case .leastLoaded: return lightest
        case .roundRobin: return nextInTurn(after: lastPrefill, among: offers, room: 0, reach: reach) ?? lightest
        case .prefix:
            guard let lightest, let base = offers.offer(of: lightest) else { return nil }
            var best = (slot: lightest, cost: base.load + cost(of: request, on: lightest, known: 0))
            for match in index.matches(names) where match.slot != request.avoided.prefill {
                guard let offer = offers.offer(of: match.slot), offer.reach >= reach else { continue }
                let cost = offer.load + cost(of: request, on: match.slot, known: match.count)
                if cost < best.cost || match.slot == best.slot { best = (match.slot, min(cost, best.cost)) }
            }
            return best.slot
        }
    }

    /// What a token given in excess counts for, as a divisor.
    private static let excessShare = 4

    /// Tokens that a worker will have to compute of a prompt, if it has what it seems to have.
    func expectedPrefill(of request: ServingRequest, on worker: Int) -> Int {
        let known = index.matches(request.prefixNames).first { $0.slot == worker }?.count ?? 0
        let blockSize = membership.members[worker].registration.geometry.blockSize
        return max(1, request.promptCount + request.emittedBeforePrefill - known * blockSize)
    }

    /// The worker has found so much of the prompt.
    mutating func noteCached(_ count: Int, of slot: Int, on worker: Int) {
        let request = requests[slot], work = max(1, request.promptCount + request.emittedBeforePrefill - count)
        guard work != request.prefillWork else { return }
        prefillWorkers[worker]?.charge(work - request.prefillWork, more: request.rank)
        noteWork(work - request.prefillWork, of: worker)
        requests[slot].prefillWork = work
    }

    /// What a prompt costs on a worker that has its first `known` blocks, besides the wait.
    private func cost(of request: ServingRequest, on worker: Int, known: Int) -> Int {
        let registration = membership.members[worker].registration, load = membership.members[worker].load
        let blockSize = registration.geometry.blockSize
        let missing = max(1, request.tokens.count - known * blockSize)
        let unused = registration.blockCount - load.referencedBlocks - load.prefixCache.cachedBlocks
        let evicted = min(max(0, missing / blockSize - unused), load.prefixCache.cachedBlocks) * blockSize
        let (hits, queries) = (load.prefixCache.hitTokens, load.prefixCache.queriedTokens)
        let hitRate = queries == 0 ? 0 : min(1, Double(hits) / Double(queries))
        let gain = configuration.prefixGain
        let penalty = min(history.excess(of: worker) / Self.excessShare, gain * known * blockSize)
        return gain * (missing + Int(Double(evicted) * hitRate)) + penalty
    }

    /// Among workers that decode, the one with the longest known prefix whose iteration does not take much longer than the
    /// shortest; the KV that is there need not be sent, nor kept twice.
    func decodeWorker(among offers: PriorityOffers, for request: ServingRequest, room: Int, names: [PrefixName]) -> Int? {
        let lightest = worker(among: offers, for: request, room: room)
        switch configuration.placement {
        case .leastLoaded: return lightest
        case .roundRobin:
            return nextInTurn(
                after: lastDecode, among: offers[request.rank.priority], room: room, reach: request.greatestLength) ?? lightest
        case .prefix: break
        }
        let own = offers[request.rank.priority]
        let least = lightest.flatMap { own.offer(of: $0)?.load } ?? .max
        var best: (slot: Int, count: Int)?
        for match in index.matches(names) where match.slot != request.avoided.decode {
            guard let offer = own.offer(of: match.slot), offer.reach >= request.greatestLength, hasFreeRow(match.slot),
                let assignments = decodeWorkers[match.slot],
                offer.room >= room - assignments.shared.overlap(names),
                lightest == nil || Double(offer.load) <= Double(least) * configuration.migrationGain,
                match.count > best?.count ?? 0
            else { continue }
            best = match
        }
        return best?.slot ?? lightest
    }

    private func nextInTurn(after last: Int, among tree: PlacementTree, room: Int, reach: Int) -> Int? {
        let slots = membership.members.indices
        return slots.map { (last + 1 + $0) % slots.count }.first { slot in
            tree.offer(of: slot).map { $0.room >= room && $0.reach >= reach } ?? false
        }
    }

    /// The prompt's whole blocks; none where nobody asks for them.
    func prefixNames(of tokens: ArraySlice<TokenID>, salt: String) -> [PrefixName] {
        guard configuration.placement == .prefix, let geometry = membership.geometry else { return [] }
        return PrefixName.names(of: tokens, blockSize: geometry.blockSize, salt: salt)
    }

    /// The KV of a request is whole on a decode worker: where another query has the same blocks there, they are one now.
    mutating func shareBlocks(of slot: Int, on decode: Int) {
        guard requests[slot].part == .whole, !requests[slot].sharesBlocks else { return }
        requests[slot].sharesBlocks = true
        decodeWorkers[decode]?.shared.insert(requests[slot].prefixNames)
        refreshOffer(of: decode)
    }

    /// A prompt goes to these workers: its prefix will be there.
    mutating func notePrefix(_ names: [PrefixName], on route: ServingRequest.Route) {
        if let source = route.source?.worker { index.insert(names, at: source) }
        if let decode = route.decode, decode != route.source?.worker { index.insert(names, at: decode) }
        if case .prefill(let worker)? = route.source { lastPrefill = worker }
        if let decode = route.decode { lastDecode = decode }
    }

    mutating func note(_ changes: PrefixChanges, at worker: Int) {
        guard configuration.placement == .prefix else { return }
        index.remove(changes.evicted, at: worker)
        index.insert(changes.stored, at: worker)
    }
}
