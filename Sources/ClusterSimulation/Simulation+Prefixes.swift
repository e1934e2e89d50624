import ClusterCore
import Generation

// What workers share between requests, seen from outside: where prompts start, and what decode workers say they hold.
extension Simulation {
    /// A worker may come to have this KV, and that of the answer.
    func learn(_ order: SequenceOrder, _ worker: WorkerProcess) {
        guard scenario.cachesPrefixes, isOfTheCoordinator(worker), let index = checker.index(of: order.attempt.request) else { return }
        let request = checker.tracked[index].request
        for attempt in [order.attempt] + order.forks.map(\.attempt) {
            let answer = checker.choice(of: attempt.request)?.expected.tokens.map(\.token) ?? []
            worker.known.append(
                WorkerProcess.KnownSequence(
                    attempt: order.attempt, salt: request.cacheSalt, tokens: request.prompt + answer))
        }
    }

    /// A prompt that does not start at its first token goes on from KV that came here under its own salt.
    func checkStart(of chunk: PrefillStep.Chunk, _ worker: WorkerProcess) {
        guard scenario.cachesPrefixes, worker.begun.insert(chunk.attempt).inserted, chunk.start > 0 else { return }
        report.reusedTokens += chunk.start
        checkOrigin(of: chunk.start, chunk.attempt, worker)
        guard plant == .leasedBlockEvicted, let block = real(chunk.blockTable, worker).first else { return }
        worker.kv.write(worker.kv.read(layer: 0, blocks: [block]).map { $0 &+ 1 }, layer: 0, blocks: [block])
    }

    /// First tokens of a chunk whose KV nobody computes, because somebody else brought it here once. Since the chunk begins at the
    /// prompt's first token, it is not here any more. None without a planted bug.
    func trustedCount(of chunk: PrefillStep.Chunk, _ worker: WorkerProcess) -> Int {
        guard plant == .staleIndexTrusted, scenario.cachesPrefixes, chunk.start == 0,
            let index = checker.index(of: chunk.attempt.request)
        else { return 0 }
        let (salt, count) = (checker.tracked[index].request.cacheSalt, min(scenario.geometry.blockSize, chunk.tokens.count))
        let isIndexed = worker.known.contains {
            $0.attempt.request != chunk.attempt.request && $0.salt == salt && $0.tokens.starts(with: chunk.tokens.prefix(count))
        }
        return isIndexed ? count : 0
    }

    func checkHeld(_ held: Int, of attempt: AttemptID, _ worker: WorkerProcess) {
        guard worker.begun.insert(attempt).inserted, held > 0 else { return }
        report.heldBlocks += held
        checkOrigin(of: min(held * scenario.geometry.blockSize, worker.orders[attempt]?.count ?? 0), attempt, worker)
    }

    /// Of the one that lives: it gives the names of its predecessor's requests to others, while workers have not heard of it yet.
    private func isOfTheCoordinator(_ worker: WorkerProcess) -> Bool { worker.epochs?.cluster == coordinator.epoch }

    /// Somebody else with the same salt, or an earlier attempt, has brought these tokens.
    private func checkOrigin(of count: Int, _ attempt: AttemptID, _ worker: WorkerProcess) {
        guard isOfTheCoordinator(worker), let tokens = worker.orders[attempt], let index = checker.index(of: attempt.request)
        else { return }
        let salt = checker.tracked[index].request.cacheSalt
        let isKnown = worker.known.contains {
            $0.attempt != attempt && $0.salt == salt && $0.tokens.starts(with: tokens.prefix(count))
        }
        if !isKnown { violate("\(worker.id) shares \(count) tokens of \(attempt) that came under another salt") }
    }
}
