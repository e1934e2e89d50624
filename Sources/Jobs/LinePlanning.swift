/// Puts the lines of a batch into the order in which to run.
struct LinePlanning {
    private static let page = 256

    let store: JobStore
    let desk: any LineDesk
    let planner: (any LinePlanner)?

    /// Interrupted, it may be done again from the beginning.
    func plan(_ batch: Batch) async throws(JobError) {
        if let planner { try await rank(batch, by: planner) }
        if !Task.isCancelled { try await store.notePlanned(batch.number) }
    }

    /// Plans as many lines at a time as the planner takes.
    private func rank(_ batch: Batch, by planner: any LinePlanner) async throws(JobError) {
        var (numbers, outlines, tokens): ([Int64], [LineOutline], Int) = ([], [], 0)
        var (last, rank): (Int64?, Int64) = (nil, 0)
        while !Task.isCancelled {
            let lines = try await store.waitingLines(of: batch, after: last, in: .number, limit: Self.page)
            guard let end = lines.last else { break }
            last = end.number
            for line in lines {
                let outline = await desk.outline(of: line) ?? LineOutline(prompt: [], maxTokens: 0, hasFixedLength: true)
                numbers.append(line.number)
                outlines.append(outline)
                tokens += outline.prompt.count
            }
            guard tokens >= planner.maxTokens else { continue }
            try await store(numbers, in: await planner.order(of: outlines), from: &rank, batch)
            (numbers, outlines, tokens) = ([], [], 0)
        }
        try await store(numbers, in: await planner.order(of: outlines), from: &rank, batch)
    }

    private func store(_ numbers: [Int64], in order: [Int], from rank: inout Int64, _ batch: Batch) async throws(JobError) {
        let ordered = order.map { numbers[$0] }
        for begin in stride(from: 0, to: ordered.count, by: 2000) {
            let part = Array(ordered[begin..<min(begin + 2000, ordered.count)])
            try await store.rank(part, from: rank, in: batch.number)
            rank += Int64(part.count)
        }
    }
}
