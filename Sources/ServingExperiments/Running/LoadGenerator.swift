import BatonClient
import ClusterCore
import Generation

/// Sends the queries of a cell and notes when what came back.
struct LoadGenerator: Sendable {
    let client: BatonClient
    let queries: [Workload.Query]
    /// Answers that are right, of the same queries.
    let expected: [[TokenID]]
    /// Requests in flight at most.
    let concurrency: Int

    /// A cluster that lost a worker would wait for another one for ever.
    private static let patience = Duration.seconds(900)

    /// - Returns: records in the order of the queries.
    /// - Throws: what the client throws for a request that fails: a cell with a failure is no measurement.
    func run() async throws -> [QueryRecord] {
        let began = ContinuousClock.now
        return try await withThrowingTaskGroup(of: (Int, QueryRecord).self) { group in
            var records: [(Int, QueryRecord)] = []
            for index in queries.indices {
                if index >= concurrency, let record = try await group.next() { records.append(record) }
                group.addTask { (index, try await record(of: index, since: began)) }
            }
            for try await record in group { records.append(record) }
            return records.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }

    private func record(of index: Int, since began: ContinuousClock.Instant) async throws -> QueryRecord {
        let query = queries[index]
        var tokens: [TokenID] = []
        var times: [Double] = []
        var completion: Completion?
        let submitted = began.duration(to: .now).seconds
        let submission = Submission(
            prompt: .tokens(query.prompt), sampling: .greedy, seed: 0, maxTokens: Int32(query.outputCount), ignoreEndTokens: true,
            priority: query.isUrgent ? .high : .normal, timeout: Self.patience)
        for try await event in client.generate(submission) {
            switch event {
            case .accepted, .prompt: break
            case .tokens(_, _, let more, _):
                let now = began.duration(to: .now).seconds
                tokens += more.map(\.token)
                times += Array(repeating: now, count: more.count)
            case .finished(_, let end): completion = end
            }
        }
        guard let completion else { throw ClientError.brokenStream("it ended without a completion") }
        return QueryRecord(
            isUrgent: query.isUrgent, promptCount: query.prompt.count, submitted: submitted, tokenTimes: times,
            queued: completion.timings.queue.seconds, exposedTransfer: completion.timings.transfer.seconds,
            attempts: Int(completion.attempts), isExact: tokens == expected[index])
    }
}
