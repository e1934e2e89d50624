import DequeModule
import Generation
import OrderedCollections

// One prompt, many choices: they share its blocks, and what each of them writes it copies first.
extension DecodeRole {
    /// The KV of a prompt is whole. Each choice that does not end with its first token becomes a query of its own, with a
    /// share of what was set aside; the prompt itself is held no more.
    mutating func fork(_ prompt: DecodeQuery, _ next: [NextToken], at now: Instant, into actions: inout [Action]) {
        let attempt = prompt.order.attempt
        holdings[attempt.request] = nil
        ended.insert(attempt, wasWhole: true)
        let choices = prompt.order.forks.compactMap { fork in
            next.first { $0.request == fork.attempt.request }.flatMap { choice(fork, of: prompt.order, token: $0.token) }
        }
        var reserved = prompt.reserved
        for (index, choice) in choices.enumerated() {
            if let held = holdings[choice.order.attempt.request] { drop(held, into: &actions) }
            guard let blocks = share(prompt.blocks, isLast: index == choices.count - 1, into: &actions) else {
                refuse(choice.order.attempt, into: &actions)
                continue
            }
            let part = reserved / (choices.count - index)
            reserved -= part
            let query = DecodeQuery(order: choice.order, blocks: blocks, reserved: part)
            holdings[query.order.attempt.request] = Holding(attempt: query.order.attempt, rank: query.rank, place: .ready)
            makeReady(DecodeRow(query, next: choice.next), at: now)
        }
        if choices.isEmpty { pool.release(prompt.blocks) }
        pool.unreserve(reserved)
    }

    /// `nil` if the choice is over or goes by a newer attempt.
    private func choice(
        _ fork: Fork, of prompt: SequenceOrder, token: TokenID
    ) -> (order: SequenceOrder, next: TokenEvent)? {
        guard prompt.stop.finishReason(after: token, at: prompt.firstIndex) == nil,
            ended.answer(to: fork.attempt) == .unknown
        else { return nil }
        if let held = holdings[fork.attempt.request], held.attempt >= fork.attempt { return nil }
        var order = prompt
        order.attempt = fork.attempt
        order.sampling.choice = fork.choice
        order.forks = []
        return (order, TokenEvent(attempt: fork.attempt, index: prompt.firstIndex, token: token))
    }

    /// Blocks for one choice. The last one takes those of the prompt. A dense tensor shares none: the others get copies.
    private mutating func share(_ blocks: [BlockID], isLast: Bool, into actions: inout [Action]) -> [BlockID]? {
        if isLast { return blocks }
        guard configuration.layout == .dense else {
            pool.retain(blocks)
            return blocks
        }
        guard let copies = try? pool.allocate(blocks.count) else { return nil }
        actions += zip(blocks, copies).map { .copyBlock(from: $0, to: $1) }
        counters.batch.blocksCopied += UInt64(copies.count)
        return copies
    }

    /// There is no room for this choice beside the others: it has to be served alone.
    private mutating func refuse(_ attempt: AttemptID, into actions: inout [Action]) {
        counters.failures += 1
        ended.insert(attempt, wasWhole: false)
        actions.append(.report(.decodeFailed(attempt, .evicted)))
    }
}
