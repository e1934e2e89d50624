import ArgumentParser
import Experiments
import Foundation
import Inference
import Kernels
import ProgramSupport

struct BenchAttention: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "attention",
        abstract: "Attention of one layer over a prefix that the rows of a batch share, beside the machine's limits.",
        discussion: """
            Every row has the prefix and a tail of its own. Arms in turn: the shared kernel, the plain kernel over the same \
            blocks, the plain kernel over private copies, and what auto chooses. All must agree to the bit. The bound is the \
            time to read the prefix once and the tails at the read bandwidth, or to compute at the peak of bfloat16 (by tiles, where the kernels use them), whichever \
            is longer; both are probed in every round.
            """)

    @Option(help: "Layouts of heads, of smollm (9/3 x 64), qwen (14/2 x 64), grouped (32/8 x 128), multihead (32/32 x 128).")
    var shapes = "smollm,qwen,grouped,multihead"

    @Option(help: "Lengths of the prefix, in tokens; multiples of 64.")
    var prefix = NumberList([64, 256, 1024, 4096, 16384])

    @Option(help: "Rows of the batch.")
    var batch = NumberList([1, 2, 4, 8, 16, 32, 64])

    @Option(help: "Tokens of each row's own, the one that the step computes among them.")
    var tail = 1

    @Option(help: "Number format of KV.")
    var kvDtype = KVFormat.bfloat16

    @Option(help: "Numbers of threads to measure, e.g. 1,2.")
    var threads = NumberList([1])

    @Option(help: "Cores to pin the threads to, e.g. 0,1 (default: not pinned).")
    var cores = NumberList([])

    @Option(help: "Memory for private copies of the prefix; larger ones are left out.")
    var copyMemory = ByteSize(bytes: 3 << 30)

    @Option(help: "Times that every cell (heads, threads, prefix, batch) is measured, at most.")
    var rounds = 7

    @Option(help: "Seconds after which a cell that was measured \(AttentionBenchmark.leastRounds) times is left.")
    var cellSeconds = 60.0

    @Flag(help: "Print one JSON object.")
    var json = false

    @Option(help: "YAML file with the same names as these options.")
    var config: String?

    private func chosenShapes() throws -> [AttentionBenchmark.Shape] {
        try shapes.split(separator: ",").map { name in
            guard let shape = AttentionBenchmark.Shape.all.first(where: { $0.name == name }) else {
                let known = AttentionBenchmark.Shape.all.map(\.name).joined(separator: ", ")
                throw ValidationError("--shapes: '\(name)' is none of \(known)")
            }
            return shape
        }
    }

    func validate() throws {
        _ = try chosenShapes()
        guard prefix.numbers.allSatisfy({ (64...1 << 20).contains($0) && $0 % 64 == 0 }) else {
            throw ValidationError("--prefix needs multiples of 64, up to \(1 << 20)")
        }
        guard batch.numbers.allSatisfy({ (1...1024).contains($0) }) else { throw ValidationError("--batch needs numbers from 1 to 1024") }
        guard (1...4096).contains(tail) else { throw ValidationError("--tail must be 1 to 4096") }
        guard (1...1000).contains(rounds) else { throw ValidationError("--rounds must be 1 to 1000") }
        guard cellSeconds >= 0 else { throw ValidationError("--cell-seconds must not be negative") }
        guard let most = threads.numbers.max(), threads.numbers.allSatisfy({ (1...1024).contains($0) }) else {
            throw ValidationError("--threads needs numbers from 1 to 1024")
        }
        guard cores.numbers.isEmpty || cores.numbers.count >= most else {
            throw ValidationError("--cores names \(cores.numbers.count) cores for \(most) threads")
        }
    }

    func run() throws {
        let kernels = try KernelSet.select(environment: ProcessInfo.processInfo.environment)
        let team = try ThreadTeam(maxThreads: threads.numbers.max() ?? 1)
        try team.place(on: cores.numbers)
        let probe = try MachineProbe(team: team), shapes = try chosenShapes()
        let total = shapes.count * threads.numbers.count * prefix.numbers.count * batch.numbers.count
        var rows: [AttentionBenchmark.Row] = []
        let progress = ProgressLine(title: "attention by \(kernels)")
        for shape in shapes {
            let benchmark = try AttentionBenchmark(
                shape: shape, format: kvDtype.resolved(weights: .bfloat16), kernels: kernels, team: team, probe: probe,
                prefixes: prefix.numbers, batches: batch.numbers, tail: tail, copyBytes: copyMemory.bytes)
            for threads in threads.numbers {
                for prefix in prefix.numbers {
                    for batch in batch.numbers {
                        progress.show(Double(rows.count) / Double(total))
                        rows.append(
                            try benchmark.measure(
                                prefix: prefix, batch: batch, threads: threads, rounds: rounds, seconds: cellSeconds))
                    }
                }
            }
        }
        progress.finish()
        if json { return try printJSON(rows) }
        print("| heads | threads | prefix | batch | prefix MB | shared, µs | plain, µs | copies, µs | bound, µs | of the bound | by | × plain | × copies | auto × plain |")
        print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
        for row in rows { print(line(row)) }
        for line in AttentionSummary(rows).lines { print("\n" + line) }
    }

    private func line(_ row: AttentionBenchmark.Row) -> String {
        func text(_ ratio: AttentionBenchmark.Ratio?) -> String {
            ratio.map { String(format: "%.2f (%.2f–%.2f)", $0.median, $0.low, $0.high) } ?? "-"
        }
        return String(
            format: "| %@ | %d | %d | %d | %.1f | %.0f | %.0f | %@ | %.0f | %@ | %@ | %@ | %@ | %@ |", row.shape, row.threads, row.prefix,
            row.batch, Double(row.prefixBytes) / 1e6, row.sharedMicroseconds, row.plainMicroseconds,
            row.copiesMicroseconds.map { String(format: "%.0f", $0) } ?? "-", row.boundMicroseconds, text(row.boundShare),
            row.isBoundByMemory ? "memory" : "arithmetic", text(row.speedupOverPlain), text(row.speedupOverCopies),
            text(row.automaticSpeedup))
    }
}
