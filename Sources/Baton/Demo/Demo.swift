import ArgumentParser
import BatonClient
import ClusterCore
import Foundation
import Generation
import LocalCluster
import ProgramSupport

struct Demo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show a live cluster at work, and that every answer is the batch-of-one answer.")

    @Option(help: "Directory of a Hugging Face model with a prompts.json.")
    var model = "Models/baton-tiny"

    @Option(help: "Milliseconds between arrivals. The workers are never slowed down.")
    var pace = 15

    @Option(help: "On a terminal, show everything once more, this many times slower; 0 for not.")
    var slowMotion = 15

    @Option(help: "Processes that compute prompts.")
    var prefillWorkers = 2

    @Option(help: "Processes that generate tokens.")
    var decodeWorkers = 1

    @Option(help: "Processes that do both in the same steps.")
    var mixedWorkers = 0

    @Option(help: "Rows of each batch.")
    var maxNumSeqs = 6

    func run() async throws {
        let prompts = try DemoPrompt.load(besideModel: model)
        let options = try ClusterOptions.parse([
            "--model", model, "--prefill-workers", String(prefillWorkers), "--decode-workers", String(decodeWorkers),
            "--mixed-workers", String(mixedWorkers), "--max-num-seqs", String(maxNumSeqs),
        ])
        let logs = FileManager.default.temporaryDirectory.appendingPathComponent("baton-demo-\(getpid())")
        let cluster = LocalCluster(plan: try options.plan(rpc: try freeLoopbackEndpoint(), logs: logs))
        let interrupt = SignalWatch(SIGINT) { Task { await cluster.stopAll(patience: .seconds(1)); Foundation.exit(130) } }
        defer { interrupt.stop() }
        print("starting a coordinator, \(fleet) (logs in \(logs.path))")
        let (answers, codes) = try await cluster.whileRunning(patience: .seconds(10)) { try await serve(prompts, rpc: cluster.plan.rpc) }
        let equal = try await report(prompts, answers)
        let unclean = codes.filter { $0.value != 0 }.keys.sorted()
        guard unclean.isEmpty else { throw DemoError(message: "did not end cleanly: \(unclean.joined(separator: ", "))") }
        guard equal == prompts.count else {
            throw DemoError(message: "\(prompts.count - equal) answers differ from the batch-of-one answer")
        }
        print("\(equal) of \(prompts.count) answers equal the batch-of-one answer, token for token; all processes ended")
        try? FileManager.default.removeItem(at: logs)
    }

    /// Who works, for people.
    private var fleet: String {
        [("prefill", prefillWorkers), ("decode", decodeWorkers), ("mixed", mixedWorkers)].filter { $0.1 > 0 }
            .map { "\($1) \($0) worker\($1 == 1 ? "" : "s")" }.joined(separator: ", ")
    }

    /// Sends the prompts one after the other, without waiting for answers, while the board shows what happens.
    private func serve(_ prompts: [DemoPrompt], rpc: String) async throws -> [Answer] {
        let client = try await BatonClient.connect(to: rpc, name: "baton demo")
        let board = DemoBoard(
            titles: prompts.map(\.title), workers: try await client.status().workers, rowCount: maxNumSeqs)
        let view = DemoView(board: board)
        let events = try await client.watch()
        let watching = Task { try await view.show(events) }
        defer { watching.cancel() }
        let answers = try await withThrowingTaskGroup(of: (Int, Answer).self) { group in
            for (index, prompt) in prompts.enumerated() {
                if index > 0 { try await Task.sleep(for: .milliseconds(pace)) }
                group.addTask { (index, try await client.answer(to: prompt.submission(seed: UInt64(index)))) }
            }
            var answers: [Int: Answer] = [:]
            for try await (index, answer) in group { answers[index] = answer }
            return prompts.indices.compactMap { answers[$0] }
        }
        // The last events (rows that leave) come after the last answer.
        try await Task.sleep(for: .milliseconds(300))
        watching.cancel()
        _ = await watching.result
        await client.close()
        try await view.replay(on: board, slowerBy: slowMotion)
        return answers
    }

    /// Runs every prompt alone in this process and compares.
    /// - Returns: how many answers are equal.
    private func report(_ prompts: [DemoPrompt], _ answers: [Answer]) async throws -> Int {
        print("\nanswers, compared with each prompt run alone in one process:")
        let engine = try LocalEngineOptions.parse(["--model", model])
        let references = try await LocalAnswer.answers(
            to: prompts.enumerated().map { $1.submission(seed: UInt64($0)) }, engine: engine)
        var equal = 0
        for (prompt, (answer, alone)) in zip(prompts, zip(answers, references)) {
            let same = alone.tokens == answer.tokens && alone.text == answer.text
            equal += same ? 1 : 0
            let workers = "\(answer.completion.prefillWorker) → \(answer.completion.decodeWorker?.name ?? "–")"
            print("\n[\(same ? "equal" : "DIFFERS")] \(prompt.title) (\(prompt.priority.name); \(workers); \(answer.tokens.count) tokens)")
            print("  " + (prompt.text + answer.text).replacing("\n", with: "\n  "))
            if !same { print("  alone: " + alone.text.replacing("\n", with: "\n  ")) }
        }
        print("")
        return equal
    }
}

extension DemoPrompt {
    /// Every third answer is sampled, so that the comparison covers the random numbers as well.
    func submission(seed: UInt64) -> Submission {
        let sampling = seed % 3 == 2 ? SamplingParameters(temperature: 0.7, topP: 0.9) : .greedy
        return Submission(
            prompt: .text(text), sampling: sampling, seed: seed, maxTokens: maxTokens, priority: priority)
    }
}
