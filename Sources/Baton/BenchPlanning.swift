import ArgumentParser
import Foundation
import ProgramSupport
import ServingExperiments

struct BenchPlanning: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "planning",
        abstract: "What planning a job gives, in virtual time, and how long planning takes.",
        discussion: """
            The planner and the admission that jobs run with, on an engine whose steps take a given time and whose memory is imitated; \
            the tables are the same on every machine. The rates of an engine are those that `baton bench engine` measures; by default \
            those of SmolLM-135M's shape in bfloat16 on two threads, as docs/BENCHMARKS.md has them.
            """)

    @Option(help: "Tokens of a prefix that a group shares: 2000 is the paper's job, 500 the one for small machines.")
    var prefix = 500

    @Option(help: "Prompts of a job.")
    var requests = 400

    @Option(help: "Prompts to a group.")
    var degrees = NumberList([1, 2, 4, 8, 16])

    @Option(help: "Rows of the arms that count requests.")
    var rows = 32

    @Option(help: "Tokens of a step at most.")
    var maxNumBatchedTokens = 512

    @Option(help: "Prompt tokens per second.")
    var prefillRate = 3336.0

    @Option(help: "Milliseconds of a step of one row.")
    var stepMs = 7.8

    @Option(help: "Tokens of context per second that the attention of rows reads.")
    var contextRate = 2_100_000.0

    @Option(help: "Of prompts, lengths and orders.")
    var seed: UInt64 = 1

    @Option(help: "Also time the planning of so many prompts of 200 tokens, or 0.")
    var timePrompts = 0

    @Flag(help: "Print the results as one JSON object.")
    var json = false

    func validate() throws {
        guard (20...100_000).contains(prefix), (1...100_000).contains(requests), (1...4096).contains(rows) else {
            throw ValidationError("--prefix must be 20 to 100000, --requests 1 to 100000, --rows 1 to 4096")
        }
        guard degrees.numbers.allSatisfy({ (1...100_000).contains($0) }) else { throw ValidationError("--degrees must be 1 to 100000") }
        guard (rows...1_000_000).contains(maxNumBatchedTokens) else {
            throw ValidationError("--max-num-batched-tokens must be from --rows to 1000000")
        }
        guard prefillRate > 0, stepMs > 0, contextRate > 0 else {
            throw ValidationError("--prefill-rate, --step-ms and --context-rate must be above 0")
        }
        guard (0...4_000_000).contains(timePrompts) else { throw ValidationError("--time-prompts must be 0 to 4000000") }
    }

    func run() throws {
        let experiments = PlanningExperiments(
            unit: prefix, count: requests, degrees: degrees.numbers, rows: rows, stepTokens: maxNumBatchedTokens,
            cost: StepCost(prefillRate: prefillRate, stepSeconds: stepMs / 1000, contextRate: contextRate), seed: seed)
        var report = try experiments.run()
        if timePrompts > 0 { report.timing = PlanningTiming.measure(count: timePrompts, seed: seed) }
        if json { try printJSON(report) } else { print(report.text) }
    }
}
