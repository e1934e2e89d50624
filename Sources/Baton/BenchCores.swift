import ArgumentParser
import Experiments
import Foundation
import Inference
import Kernels
import ProgramSupport

struct BenchCores: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cores",
        abstract: "What lent cores cost and give: steps with and without leases, and how soon a lent core is back.",
        discussion: """
            Two workers of one core each, in this process. Steps with and without leases take turns; the speed is the median \
            of the pairs' ratios. With the other core idle it is what borrowing gives, with the other core taken it is what \
            looking costs.
            """)

    @Option(help: "Directory of a Hugging Face model, or a GGUF file (see: baton model make).")
    var model: String

    @Option(help: "Number format of the weights.")
    var dtype = WeightFormat.auto

    @Option(help: "Two cores: where the measured worker is at home, and the other one.")
    var cores = NumberList([0, 1])

    @Option(help: "Prompt tokens in a step.")
    var maxNumBatchedTokens = 512

    @Option(help: "Batch sizes of decode steps, or none.")
    var decode = NumberList([1, 8, 32])

    @Option(help: "Keys that each row sees.")
    var context = 128

    @Option(help: "Seconds for each comparison.")
    var seconds = 4.0

    @Option(help: "Times that the worker comes home.")
    var trials = 200

    @Flag(help: "Print one JSON object.")
    var json = false

    @Option(help: "YAML file with the same names as these options.")
    var config: String?

    func validate() throws {
        guard Set(cores.numbers).count == 2, cores.numbers.count == 2 else { throw ValidationError("--cores needs two cores") }
        guard maxNumBatchedTokens >= 1, context >= 1, trials >= 1, seconds > 0, decode.numbers.allSatisfy({ $0 >= 1 }) else {
            throw ValidationError("sizes and times must be positive")
        }
    }

    private struct Report: Encodable {
        var model: String
        var steps: [CoreLeaseBenchmark.Comparison]
        var homecoming: CoreLeaseBenchmark.Homecoming
    }

    func run() throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("baton-bench-\(getpid())").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let team = try ThreadTeam(maxThreads: 2)
        let loaded = try Model(
            path: model, format: dtype, kernels: try KernelSet.select(environment: ProcessInfo.processInfo.environment),
            team: team, threads: 2, cache: .automatic)
        let longest = max(maxNumBatchedTokens, context + 1)
        guard longest <= loaded.configuration.maxPositions else {
            throw ValidationError("\(longest) tokens exceed the model's \(loaded.configuration.maxPositions) positions")
        }
        let benchmark = try CoreLeaseBenchmark(
            model: loaded, directory: directory, home: cores.numbers[0], other: cores.numbers[1],
            chunk: maxNumBatchedTokens, context: context, batches: decode.numbers)
        let report = Report(
            model: "\(URL(fileURLWithPath: model).lastPathComponent), \(loaded.weightFormat.rawValue)",
            steps: try benchmark.comparisons(for: .seconds(seconds)), homecoming: try benchmark.homecoming(trials: trials))
        if json { try printJSON(report) } else { print(text(report)) }
    }

    private func text(_ report: Report) -> String {
        let rows = report.steps.map { step in
            String(
                format: "%@  other core %@  %9.1f tok/s alone, %9.1f with leases: %.3f (%.3f to %.3f, %d pairs)",
                step.workload.padded(to: 22), step.otherIsIdle ? "idle " : "taken", step.tokensPerSecondOff,
                step.tokensPerSecondOn, step.speed, step.low, step.high, step.pairs)
                + (step.ofBoth.map {
                    String(
                        format: "; %.1f with two of its own, of which %.3f (%.3f to %.3f)", step.tokensPerSecondBoth ?? .nan, $0,
                        step.ofBothLow ?? .nan, step.ofBothHigh ?? .nan)
                } ?? "")
        }
        let home = report.homecoming
        let way = String(
            format: "home again, while the other runs %@ on both: median %.2f ms, p90 %.2f, p99 %.2f, max %.2f of %d waits in %d (a chunk %.1f ms, a layer %.2f)",
            home.workload, home.median, home.p90, home.p99, home.max, home.waits, home.trials, home.chunk, home.layer)
        return ([report.model] + rows + [way]).joined(separator: "\n")
    }
}
