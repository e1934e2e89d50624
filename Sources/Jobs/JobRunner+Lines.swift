extension JobRunner {
    /// Begins as many lines as may be under way, those of earlier batches first.
    func begin(linesOf batches: [Batch]) async throws(JobError) {
        let ready = batches.filter { $0.status == .inProgress && $0.isPlanned && $0.model == desk.modelName && now() < $0.times.expires }
        guard !ready.isEmpty, trouble == nil else { return try await probe() }
        let most = if let concurrency = settings.concurrency { concurrency } else { await desk.concurrency() }
        for batch in ready {
            let (free, room) = (most - running.count, settings.mostHeldBytes - heldBytes)
            guard free > 0, room > 0 else { return }
            for line in try await store.waitingLines(of: batch, after: cursors[batch.number], limit: free, mostBytes: room) {
                cursors[batch.number] = line.rank
                begin(line)
            }
        }
    }

    /// Whether the store can be written again. What waits to be written tries by itself; without any, this does.
    private func probe() async throws(JobError) {
        guard trouble != nil, running.isEmpty else { return }
        try await store.probe()
        trouble = nil
    }

    private func begin(_ line: JobLine) {
        heldBytes += line.request.count
        running[LineKey(batch: line.batch, number: line.number)] = Task {
            await work(on: line)
            running[LineKey(batch: line.batch, number: line.number)] = nil
            heldBytes -= line.request.count
            wake()
        }
    }

    /// Asks until there is an answer, or nobody wants one.
    private func work(on line: JobLine) async {
        var pause = settings.shortestPause
        var tries = 0
        while !Task.isCancelled {
            let reply = await desk.answer(line)
            switch reply.verdict {
            case .isFinal: return await write(reply, to: line)
            case .tryAgain:
                tries += 1
                if tries >= settings.mostTries, !Task.isCancelled { return await write(reply, to: line) }
            case .tryLater: break
            }
            try? await Task.sleep(for: pause)
            pause = min(pause * 2, settings.longestPause)
        }
    }

    /// Does not let go of an answer that is there: a full disk may have room again.
    private func write(_ reply: LineReply, to line: JobLine) async {
        let end = LineEnd(
            batch: line.batch, number: line.number, isAnswer: reply.status == 200, text: LineText.reply(reply, to: line), usage: reply.usage)
        var pause = settings.shortestPause
        while true {
            do throws(JobError) {
                try await ledger.record(end)
                trouble = nil
                return
            } catch {
                note(error)
            }
            if Task.isCancelled { return }
            try? await Task.sleep(for: pause)
            pause = min(pause * 2, settings.longestPause)
        }
    }
}
