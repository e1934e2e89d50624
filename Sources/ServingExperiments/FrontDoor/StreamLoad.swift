import AsyncHTTPClient
import BatonClient
import ClusterCore
import Generation
import NIOCore
import NIOHTTP1

/// Streams that are read side by side, each begun anew when it has ended, until the time is up.
struct StreamLoad: Sendable {
    var streams: Int
    var promptCount: Int
    /// Tokens of an answer, at most; at least half as many, so that streams do not begin anew together.
    var maxTokens: Int
    var vocabulary: Int
    var duration: Duration
    /// The time is up before that.
    var stop: StopSignal

    struct Outcome: Sendable {
        /// Of all streams.
        var gaps: [Gap] = []

        /// Seconds between two pieces, of gaps that ended in this time.
        func gaps(from start: ContinuousClock.Instant, until end: ContinuousClock.Instant) -> [Double] {
            gaps.compactMap { start <= $0.end && $0.end < end ? $0.seconds : nil }
        }
    }

    /// Between two pieces of an answer.
    struct Gap: Sendable {
        var end: ContinuousClock.Instant
        var seconds: Double
    }

    private func prompt(_ random: inout SeededRandom) -> [TokenID] {
        (0..<promptCount).map { _ in TokenID(random.below(vocabulary)) }
    }

    private func answerCount(_ random: inout SeededRandom) -> Int { maxTokens / 2 + random.below(maxTokens - maxTokens / 2) + 1 }

    private func run(_ stream: @escaping @Sendable (_ random: inout SeededRandom, _ until: ContinuousClock.Instant) async throws -> [Gap]) async throws -> Outcome {
        let end = ContinuousClock.now + duration
        return try await withThrowingTaskGroup(of: [Gap].self) { group in
            for number in 0..<streams {
                group.addTask {
                    var random = SeededRandom(seed: UInt64(number + 1)), gaps: [Gap] = []
                    while ContinuousClock.now < end, !stop.isGiven { gaps += try await stream(&random, end) }
                    return gaps
                }
            }
            return try await group.reduce(into: Outcome()) { $0.gaps += $1 }
        }
    }

    // MARK: Over HTTP

    /// - Throws: ``ServeFailure`` if the server refuses or breaks off.
    func overHTTP(_ url: String, _ client: HTTPClient) async throws -> Outcome {
        try await run { random, end in
            let body = """
                {"prompt": \(prompt(&random)), "max_tokens": \(answerCount(&random)), "ignore_eos": true, "temperature": 0, "stream": true}
                """
            var request = HTTPClientRequest(url: url + "/v1/completions")
            request.method = .POST
            request.headers.add(name: "Content-Type", value: "application/json")
            request.body = .bytes(ByteBuffer(string: body))
            let response = try await client.execute(request, timeout: .minutes(10))
            guard response.status == .ok else {
                throw ServeFailure("status \(response.status.code): \(String(buffer: try await response.body.collect(upTo: 1 << 16)).prefix(200))")
            }
            var gaps: [Gap] = [], last = ContinuousClock.now, isFirst = true
            for try await _ in response.body {
                let now = ContinuousClock.now
                if !isFirst { gaps.append(Gap(end: now, seconds: (now - last) / .seconds(1))) }
                (last, isFirst) = (now, false)
                // Leaving the loop ends the connection.
                if now >= end || stop.isGiven { break }
            }
            return gaps
        }
    }

    // MARK: Over RPC

    func overRPC(_ client: BatonClient) async throws -> Outcome {
        try await run { random, end in
            let submission = Submission(
                prompt: .tokens(prompt(&random)), sampling: .greedy, maxTokens: Int32(answerCount(&random)), ignoreEndTokens: true)
            var gaps: [Gap] = [], last = ContinuousClock.now, isFirst = true
            for try await event in client.generate(submission) {
                guard case .tokens = event else { continue }
                let now = ContinuousClock.now
                if !isFirst { gaps.append(Gap(end: now, seconds: (now - last) / .seconds(1))) }
                (last, isFirst) = (now, false)
                if now >= end || stop.isGiven { break }
            }
            return gaps
        }
    }
}
