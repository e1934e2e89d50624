import ArgumentParser
import Foundation
import ProgramSupport
import ServingExperiments

struct BenchPlacement: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "placement",
        abstract: "Compare ways of placing prompts that begin alike, in virtual time.",
        discussion: """
            The coordinator's own scheduler and the prefill workers' own queues, pools and prefix trees, with engines whose steps take a given \
            time: the figures are the same on every machine. Lengths and arrivals are those of published traces; half of the requests go on \
            with a conversation, the others begin one with an opening that many have in common. Arrivals are as dense as it takes to keep the \
            workers busy for the given share of the time if nothing were computed twice. Imbalance is how much more the busiest worker had to \
            do than one does on average.
            """)

    @Option(help: "Requests of each trace.")
    var requests = 4000

    @Option(help: "Prefill workers, one number for each run.")
    var workers = NumberList([1, 2, 4, 8])

    @Option(help: "Share of the workers' time that the prompts take.")
    var utilisation = 0.75

    @Option(help: "Memory of all workers together, as a share of what the trace's different blocks take.")
    var memoryShare = 1.25

    @Option(help: "Divide the lengths of the traces by this.")
    var scale = 4.0

    @Option(help: "Prompts that a worker may have in flight.")
    var maxNumSeqs = 256

    @Option(help: "A real trace in Mooncake's format, instead of those that are drawn.")
    var trace: String?

    @Option(help: "Prompt tokens per second.")
    var prefillRate = 3336.0

    @Option(help: "Milliseconds of a step of one row.")
    var stepMs = 7.8

    @Option(help: "Tokens of context per second that attention reads.")
    var contextRate = 2_100_000.0

    @Option(help: "Of lengths, prompts and arrivals.")
    var seed: UInt64 = 1

    @Flag(help: "Print the results as one JSON object.")
    var json = false

    func validate() throws {
        guard (1...1_000_000).contains(requests) else { throw ValidationError("--requests must be 1 to 1000000") }
        guard workers.numbers.allSatisfy({ (1...10_000).contains($0) }) else { throw ValidationError("--workers must be 1 to 10000") }
        guard utilisation > 0, utilisation < 1 else { throw ValidationError("--utilisation must be between 0 and 1") }
        guard memoryShare > 0, memoryShare <= 100 else { throw ValidationError("--memory-share must be above 0 and at most 100") }
        guard (1...65_536).contains(maxNumSeqs) else { throw ValidationError("--max-num-seqs must be 1 to 65536") }
        guard scale >= 1, scale <= 512 else { throw ValidationError("--scale must be 1 to 512") }
        guard prefillRate > 0, stepMs > 0, contextRate > 0 else {
            throw ValidationError("--prefill-rate, --step-ms and --context-rate must be above 0")
        }
    }

    func run() throws {
        let experiment = PlacementExperiment(
            count: requests, workers: workers.numbers, utilisation: utilisation, memoryShare: memoryShare, scale: scale,
            cost: StepCost(prefillRate: prefillRate, stepSeconds: stepMs / 1000, contextRate: contextRate), seed: seed, maxSequences: maxNumSeqs)
        let report =
            if let trace {
                experiment.run(try DatasetFile.trace(path: trace), named: URL(fileURLWithPath: trace).lastPathComponent)
            } else {
                experiment.run()
            }
        if json { try printJSON(report) } else { print(report.text) }
    }
}
