import BatonClient
import ClusterCore
import Generation

/// Asks a cluster in the ways that the library has. Start one with `baton up --model Models/baton-tiny`, then `swift run Client`.
@main
struct Client {
    static func main() async throws {
        let arguments = CommandLine.arguments
        let client = try await BatonClient.connect(to: arguments.count > 1 ? arguments[1] : "tcp://127.0.0.1:5550", name: "example")
        do {
            try await stream(client)
            try await sideBySide(client)
            try await firstWords(client)
            try await whatever(client)
        } catch let failure as RequestFailure {
            // The cluster says no: `failure.isRetryable` tells whether the same request may succeed later.
            print("refused: \(failure.code.rawValue): \(failure.message)")
        }
        await client.close()
    }

    /// Text as it comes. The seed that was drawn gives the same answer again, on any worker.
    static func stream(_ client: BatonClient) async throws {
        let submission = Submission(
            prompt: .text("Once upon a time"), sampling: SamplingParameters(temperature: 0.8, topP: 0.95), maxTokens: 40, stopStrings: ["\n\n"])
        for try await event in client.generate(submission) {
            switch event {
            case .accepted(let acceptance): print("seed \(acceptance.seed):", terminator: " ")
            case .prompt: break
            case .tokens(_, _, _, let text): print(text, terminator: "")
            case .finished(_, let completion):
                print(completion.text)
                print("\(completion.tokenCount) tokens, first after \(completion.timings.timeToFirstToken), \(completion.reason.rawValue)")
            }
        }
    }

    /// Requests share one connection and one running batch.
    static func sideBySide(_ client: BatonClient) async throws {
        let prompts = ["The fox", "The lighthouse", "The clockmaker"]
        let answers = try await withThrowingTaskGroup(of: (Int, Answer).self) { group in
            for (index, prompt) in prompts.enumerated() {
                group.addTask {
                    (index, try await client.answer(to: Submission(prompt: .text(prompt), sampling: .greedy, maxTokens: 12)))
                }
            }
            return try await group.reduce(into: [Int: Answer]()) { $0[$1.0] = $1.1 }
        }
        for (index, prompt) in prompts.enumerated() { print("\(prompt)…\(answers[index]?.text ?? "")") }
    }

    /// Leaving the loop cancels the request in the cluster: its row and its memory are free at once.
    static func firstWords(_ client: BatonClient) async throws {
        var count = 0
        for try await event in client.generate(Submission(prompt: .text("Tell me everything"), sampling: .greedy, maxTokens: 500)) {
            guard case .tokens(_, _, let tokens, _) = event else { continue }
            count += tokens.count
            if count >= 5 { break }
        }
        print("cancelled after \(count) tokens")
    }

    /// A lost connection or a restarted coordinator does not end this stream: it goes on at the next token.
    static func whatever(_ client: BatonClient) async throws {
        var text = ""
        let submission = Submission(prompt: .text("The end"), sampling: .greedy, maxTokens: 10)
        for try await event in client.generate(submission, resumingFor: .seconds(30)) {
            if case .tokens(_, _, _, let more) = event { text += more }
            if case .finished(_, let completion) = event { text += completion.text }
        }
        print("The end\(text)")
    }
}
