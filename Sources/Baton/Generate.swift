import ArgumentParser
import BatonClient
import ClusterCore
import Foundation
import Generation
import ProgramSupport

struct Generate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Answer a prompt, from a cluster or (--local) alone in this process.")

    @Argument(help: "The prompt. Without it and --prompt-tokens, standard input is read.")
    var prompt: String?

    @Option(help: "The prompt as token ids, e.g. 1,2,3.", transform: TokenList.init(parsing:))
    var promptTokens: TokenList?

    @Option(help: "The coordinator to ask.")
    var rpc = "tcp://127.0.0.1:5550"

    @OptionGroup var sampling: SamplingOptions

    @Option(help: "high, normal or low.")
    var priority = Priority.normal

    @Option(help: "Seconds until the request is given up (default: never).")
    var timeout: Double?

    @Flag(help: "Print one JSON object instead of the text.")
    var json = false

    @Flag(help: "Run the model in this process, the request alone: the reference for everything.")
    var local = false

    @OptionGroup var engine: LocalEngineOptions

    @Option(help: "YAML file with the same names as these options.")
    var config: String?

    func validate() throws {
        if prompt != nil, promptTokens != nil { throw ValidationError("give a prompt or --prompt-tokens, not both") }
        if local, engine.model == nil { throw ValidationError("--local needs --model PATH") }
        if let timeout, !(timeout > 0 && timeout < 1e9) { throw ValidationError("--timeout must be above 0") }
    }

    func run() async throws {
        var submission = sampling.submission(prompt: try readPrompt(), priority: priority)
        submission.timeout = timeout.map { .milliseconds(Int64($0 * 1000)) }
        if local {
            try await show(LocalAnswer.stream(submission, engine: engine))
        } else {
            let client = try await BatonClient.connect(to: rpc, name: "baton generate")
            let answer = Task { try await show(client.generate(submission)) }
            // Ctrl-C ends the stream, which cancels the request, before the process ends.
            let interrupt = SignalWatch(SIGINT) { answer.cancel() }
            defer { interrupt.stop() }
            let outcome = await answer.result
            await client.close()
            try outcome.get()
        }
    }

    private func readPrompt() throws -> Prompt {
        if let promptTokens { return .tokens(promptTokens.tokens) }
        if let prompt { return .text(prompt) }
        let input = try FileHandle.standardInput.readToEnd() ?? Data()
        guard let text = String(validating: input, as: UTF8.self) else {
            throw ValidationError("standard input is not UTF-8")
        }
        return .text(text)
    }

    private func show(_ events: AsyncThrowingStream<AnswerEvent, any Error>) async throws {
        var assembly = AnswerAssembly()
        // One answer appears as it comes; several, each as a whole.
        let isStreamed = !json && sampling.choices == 1
        if isStreamed, sampling.echo, let prompt { write(prompt) }
        for try await event in events {
            try assembly.take(event)
            if isStreamed {
                switch event {
                case .accepted, .prompt: break
                case .tokens(_, _, _, let piece): write(piece)
                case .finished(_, let completion): write(completion.text + "\n")
                }
            }
            guard let answer = assembly.answer else { continue }
            if json { return try printJSON(AnswerReport(answer, prompt: sampling.echo ? prompt : nil)) }
            if !isStreamed { write(answer.choices) }
            return
        }
        throw CancellationError()
    }

    private func write(_ choices: [Answer.Choice]) {
        for (index, choice) in choices.enumerated() {
            write("\(index > 0 ? "\n" : "")[\(index)]\n")
            if sampling.echo, let prompt { write(prompt) }
            write(choice.text + "\n")
        }
    }

    private func write(_ text: String) {
        FileHandle.standardOutput.write(Data(text.utf8))
    }
}

/// Token ids as they are written on a command line.
struct TokenList: Sendable {
    var tokens: [TokenID]

    init(parsing text: String) throws {
        tokens = try text.split(separator: ",", omittingEmptySubsequences: false).map { part in
            let word = part.trimmingCharacters(in: .whitespaces)
            guard let token = TokenID(word), token >= 0 else {
                throw ValidationError("expected token ids like 1,2,3; \"\(word)\" is none")
            }
            return token
        }
    }
}

extension Priority: ExpressibleByArgument {
    public init?(argument: String) {
        guard let priority = Priority.allCases.first(where: { $0.name == argument }) else { return nil }
        self = priority
    }

    public var defaultValueDescription: String { name }
    public static var allValueStrings: [String] { ["high", "normal", "low"] }
}
