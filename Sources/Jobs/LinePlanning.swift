/// Puts the lines of a batch into the order in which to run, and says which belong together.
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
            try await store(await planner.groups(of: outlines), of: numbers, outlines, from: &rank, batch)
            (numbers, outlines, tokens) = ([], [], 0)
        }
        try await store(await planner.groups(of: outlines), of: numbers, outlines, from: &rank, batch)
    }

    private func store(
        _ groups: [LineGroup], of numbers: [Int64], _ outlines: [LineOutline], from rank: inout Int64, _ batch: Batch
    ) async throws(JobError) {
        var ranked: [RankedLine] = []
        for group in groups {
            // A line of several prompts does not begin with one prefix.
            let sharing = group.members.count { outlines[$0].promptCount == 1 }
            let shared = group.prefixTokens > 0 && sharing > 1
                ? LinePlan.Group(number: rank + Int64(ranked.count), prefixTokens: group.prefixTokens, lineCount: sharing) : nil
            ranked += group.members.map { member in
                let outline = outlines[member]
                let plan = LinePlan(
                    promptTokens: outline.promptTokens, answerTokens: outline.answerTokens, group: outline.promptCount == 1 ? shared : nil)
                return RankedLine(number: numbers[member], plan: outline.prompt.isEmpty ? nil : plan)
            }
        }
        for begin in stride(from: 0, to: ranked.count, by: 2000) {
            let part = Array(ranked[begin..<min(begin + 2000, ranked.count)])
            try await store.rank(part, from: rank, in: batch.number)
            rank += Int64(part.count)
        }
    }
}
