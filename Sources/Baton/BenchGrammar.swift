import ArgumentParser
import Experiments
import Foundation
import Grammar
import Kernels
import ProgramSupport

struct BenchGrammar: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "grammar",
        abstract: "What the masks of constrained answers cost a row, beside a step of a model.",
        discussion: """
            A token is one mask and the reading of the token before it. Answers are drawn at random from the masks; the first pass \
            is cold, later ones meet the same states again. The vocabulary is made up like those of real models.
            """)

    @Option(help: "Tokens of the vocabulary.")
    var vocabulary = 151_936

    @Option(help: "Milliseconds of the step to compare with.")
    var step = 22.0

    @Option(help: "Different answers of each constraint.")
    var answers = 20

    @Option(help: "Passes over all of them after the first.")
    var passes = 5

    @Option(help: "Tokens of an answer at most.")
    var maxTokens = 200

    @Option(help: "Seed of the vocabulary.")
    var seed: UInt64 = 1

    @Flag(help: "Print one JSON object.")
    var json = false

    @Option(help: "YAML file with the same names as these options.")
    var config: String?

    private struct Report: Encodable {
        var masks: [GrammarBenchmark.Row]
        var sampling: [MaskedSamplingBenchmark.Row]
    }

    func validate() throws {
        guard (1024...1 << 20).contains(vocabulary) else { throw ValidationError("--vocabulary must be 1024 to \(1 << 20)") }
        guard step > 0, step.isFinite else { throw ValidationError("--step must be more than 0") }
        guard answers >= 1, passes >= 1, maxTokens >= 1 else { throw ValidationError("--answers, --passes and --max-tokens must be at least 1") }
    }

    func run() throws {
        let benchmark = GrammarBenchmark(
            vocabulary: SyntheticTokens.vocabulary(size: vocabulary, seed: seed), step: .microseconds(Int64(step * 1000)))
        var rows: [GrammarBenchmark.Row] = []
        for (name, constraint) in GrammarBenchmark.constraints {
            rows.append(try benchmark.measure(name, constraint, answers: answers, passes: passes, maxTokens: maxTokens))
        }
        let sampling = try MaskedSamplingBenchmark.measure(
            vocabulary: vocabulary, kernels: KernelSet.select(environment: ProcessInfo.processInfo.environment))
        if json { return try printJSON(Report(masks: rows, sampling: sampling)) }
        print("| constraint | states | compile, ms | cold: worst, µs | cold: median | warm: median | warm: mean | warm: p99 | of a step, % | MiB |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
        for row in rows {
            print(String(
                format: "| %@ | %d | %.1f | %.0f | %.0f | %.1f | %.1f | %.1f | %.2f | %.1f |", row.constraint, row.states, row.compileMilliseconds,
                row.coldWorstMicroseconds, row.coldMicroseconds, row.warmMicroseconds, row.warmMeanMicroseconds, row.warmP99Microseconds,
                100 * row.stepShare, row.megabytes))
        }
        print("\n| sampling a row, µs | no mask | 75 % of the tokens | 1 % | one token |")
        print("| --- | --- | --- | --- | --- |")
        for row in sampling {
            print(String(
                format: "| %@ | %.0f | %.0f | %.0f | %.0f |", row.sampling, row.unmaskedMicroseconds, row.manyMicroseconds, row.fewMicroseconds,
                row.forcedMicroseconds))
        }
    }
}
