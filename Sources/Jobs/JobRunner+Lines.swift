import ClusterCore

extension JobRunner {
    /// Begins as many lines as may be under way, those of earlier batches first.
    func begin(linesOf batches: [Batch]) async throws(JobError) {
        let ready = batches.filter { $0.status == .inProgress && $0.isPlanned && $0.model == desk.modelName && now() < $0.times.expires }
        guard !ready.isEmpty, trouble == nil else { return try await probe() }
        let room = await desk.room()
        for batch in ready {
            while true {
                let (free, bytes) = ((settings.concurrency ?? room.lines) - running.count, settings.mostHeldBytes - heldBytes)
                guard free > 0, bytes > 0 else { return }
                let page = try await store.waitingLines(
                    of: batch, after: cursors[batch.number], limit: min(free, Self.page), mostBytes: bytes)
                for line in page {
                    let request = request(of: line)
                    // What does not fit holds back everything behind it, but it always fits if nothing else is under way.
                    guard running.isEmpty || fits(request, room.memory) else { return }
                    cursors[batch.number] = line.rank
                    begin(line, request)
                }
                guard page.count == min(free, Self.page) else { break }
            }
        }
    }

    /// Lines that are looked at together; most of them do not begin if memory is what is short.
    private static let page = 32

    private func fits(_ request: RequestsUnderWay.Request?, _ memory: LineRoom.Memory?) -> Bool {
        guard let request, let memory else { return true }
        return underWay.fits(request, within: .kvMemory(blocks: memory.blocks, blockSize: memory.blockSize))
    }

    /// What is known of the memory that a line will need.
    private func request(of line: JobLine) -> RequestsUnderWay.Request? {
        guard let plan = line.plan else { return nil }
        return RequestsUnderWay.Request(
            key: lastBegun + 1, promptLength: plan.promptTokens, answerLimit: plan.answerTokens,
            group: line.groupID.map { Int(truncatingIfNeeded: $0) }, prefixLength: plan.group?.prefixTokens ?? 0)
    }

    /// Whether the store can be written again. What waits to be written tries by itself; without any, this does.
    private func probe() async throws(JobError) {
        guard trouble != nil, running.isEmpty else { return }
        try await store.probe()
        trouble = nil
    }

    private func begin(_ line: JobLine, _ request: RequestsUnderWay.Request?) {
        heldBytes += line.request.count
        lastBegun += 1
        if let request { underWay.begin(request) }
        running[LineKey(batch: line.batch, number: line.number)] = Task {
            let reply = await work(on: line)
            running[LineKey(batch: line.batch, number: line.number)] = nil
            heldBytes -= line.request.count
            if let request { end(request, reply) }
            wake()
        }
    }

    /// How long its answer was tells how long others will be.
    private func end(_ request: RequestsUnderWay.Request, _ reply: LineReply?) {
        let length = reply.map { $0.status == 200 ? Int(clamping: $0.usage.completionTokens) : 0 } ?? 0
        underWay.noteProgress(of: request.key, generated: length)
        underWay.end(request.key, finished: length > 0)
    }

    /// Asks until there is an answer, or nobody wants one.
    /// - Returns: what was answered.
    private func work(on line: JobLine) async -> LineReply? {
        var pause = settings.shortestPause
        var tries = 0
        while !Task.isCancelled {
            let reply = await desk.answer(line)
            switch reply.verdict {
            case .isFinal:
                await write(reply, to: line)
                return reply
            case .tryAgain:
                tries += 1
                if tries >= settings.mostTries, !Task.isCancelled {
                    await write(reply, to: line)
                    return reply
                }
            case .tryLater: break
            }
            try? await Task.sleep(for: pause)
            pause = min(pause * 2, settings.longestPause)
        }
        return nil
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
