import BatonClient
import ClusterCore
import Generation

/// Sends a planned job as its window allows, and notes when what came back.
struct JobLoad: Sendable {
    let client: BatonClient
    let queries: [Workload.Query]
    /// Answers that are right, of the same queries.
    let expected: [[TokenID]]
    /// Whether requests name the group that they are planned in.
    let namesGroups: Bool

    /// A cluster that lost a worker would wait for another one for ever.
    private static let patience = Duration.seconds(900)

    private enum News: Sendable {
        case grew(prompt: Int, to: Int)
        case ended(prompt: Int, QueryRecord)
        case failed(any Error)
    }

    /// - Returns: records in the order of the queries.
    /// - Throws: what the client throws for a request that fails: a cell with a failure is no measurement.
    func run(_ start: AdmissionWindow) async throws -> [QueryRecord] {
        let began = ContinuousClock.now
        let (news, sender) = AsyncStream.makeStream(of: News.self)
        return try await withThrowingTaskGroup(of: Void.self) { tasks in
            var window = start
            var records: [(Int, QueryRecord)] = []
            while let next = window.next() {
                let submission = submission(next, window.plan)
                tasks.addTask { await answer(next, submission, since: began, sender) }
            }
            // Every request under way has its last word, so that this ends.
            for await event in news {
                switch event {
                case .grew(let prompt, let count): window.noteProgress(of: prompt, generated: count)
                case .ended(let prompt, let record):
                    window.noteEnd(of: prompt, length: record.tokenTimes.count, .finished)
                    records.append((prompt, record))
                case .failed(let error):
                    tasks.cancelAll()
                    throw error
                }
                if window.isDone { break }
                while let next = window.next() {
                    let submission = submission(next, window.plan)
                    tasks.addTask { await answer(next, submission, since: began, sender) }
                }
            }
            return records.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }

    private func answer(
        _ admission: AdmissionWindow.Admission, _ submission: Submission, since began: ContinuousClock.Instant,
        _ news: AsyncStream<News>.Continuation
    ) async {
        do {
            let record = try await record(of: admission, submission, since: began) { news.yield(.grew(prompt: admission.prompt, to: $0)) }
            news.yield(.ended(prompt: admission.prompt, record))
        } catch {
            news.yield(.failed(error))
        }
    }

    func submission(_ admission: AdmissionWindow.Admission, _ plan: BatchPlan) -> Submission {
        let query = queries[admission.prompt]
        return Submission(
            prompt: .tokens(query.prompt), sampling: .greedy, seed: 0, maxTokens: Int32(query.outputCount), ignoreEndTokens: true,
            group: namesGroups ? plan.prefixGroup(admission.group) : nil, timeout: Self.patience)
    }

    private func record(
        of admission: AdmissionWindow.Admission, _ submission: Submission, since began: ContinuousClock.Instant, grew: (Int) -> Void
    ) async throws -> QueryRecord {
        var tokens: [TokenID] = []
        var times: [Double] = []
        var completion: Completion?
        let submitted = began.duration(to: .now).seconds
        for try await event in client.generate(submission) {
            switch event {
            case .accepted, .prompt: break
            case .tokens(_, _, let more, _):
                let now = began.duration(to: .now).seconds
                tokens += more.map(\.token)
                times += Array(repeating: now, count: more.count)
                grew(tokens.count)
            case .finished(_, let end): completion = end
            }
        }
        guard let completion else { throw ClientError.brokenStream("it ended without a completion") }
        return QueryRecord(
            isUrgent: false, promptCount: queries[admission.prompt].prompt.count, submitted: submitted, tokenTimes: times,
            queued: completion.timings.queue.seconds, exposedTransfer: completion.timings.transfer.seconds,
            attempts: Int(completion.attempts), isExact: tokens == expected[admission.prompt])
    }
}
