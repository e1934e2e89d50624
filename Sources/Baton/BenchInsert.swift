import ArgumentParser
import ClusterCore
import Experiments
import Foundation
import Inference
import Kernels
import ProgramSupport

struct BenchInsert: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "insert",
        abstract: "What a query costs a running batch by entering or leaving: dense tensors against block tables.",
        discussion: """
            The boundary between two iterations alone, as a decode worker has it, with a real KV cache: the decision and the \
            copies. Other rows are half as long as the longest. The share is of one iteration of the same batch, with its \
            longest row as long as the model's positions allow. Medians, least and most over the rounds.
            """)

    @Option(help: "Directory of a Hugging Face model, or a GGUF file (see: baton model make).")
    var model: String

    @Option(help: "Number format of the weights.")
    var dtype = WeightFormat.auto

    @Option(help: "Where packed weights are kept for the next start and for other processes: auto, off, or a directory.")
    var weightCache = WeightCache.automatic

    @Option(help: "Number format of KV: auto (as the weights), float32, bfloat16 or int8.")
    var kvDtype = KVFormat.auto

    @Option(help: "Rows of the batch.")
    var rows = 8

    @Option(help: "Lengths of the longest row, in tokens.")
    var longest = NumberList([256, 512, 1024, 2048, 4096])

    @Option(help: "Threads of an iteration.")
    var threads = 1

    @Option(help: "Cores to pin the threads to, e.g. 0,1 (default: not pinned).")
    var cores = NumberList([])

    @Option(help: "Times that every row is measured.")
    var rounds = 9

    @Flag(help: "Print one JSON object.")
    var json = false

    @Option(help: "YAML file with the same names as these options.")
    var config: String?

    func validate() throws {
        guard (2...1024).contains(rows) else { throw ValidationError("--rows must be 2 to 1024") }
        guard rounds >= 1 else { throw ValidationError("--rounds must be at least 1") }
        guard (1...1024).contains(threads) else { throw ValidationError("--threads must be 1 to 1024") }
        guard longest.numbers.allSatisfy({ (64...1 << 20).contains($0) }) else {
            throw ValidationError("--longest needs lengths from 64 to \(1 << 20)")
        }
        guard cores.numbers.isEmpty || cores.numbers.count >= threads else {
            throw ValidationError("--cores names \(cores.numbers.count) cores for \(threads) threads")
        }
    }

    func run() throws {
        let environment = ProcessInfo.processInfo.environment
        let team = try ThreadTeam(maxThreads: threads)
        try team.place(on: cores.numbers)
        let loaded = try Model(
            path: model, format: dtype, kernels: try KernelSet.select(environment: environment), team: team, threads: threads,
            float32Path: try Float32Path.select(environment: environment), cache: weightCache)
        var table = InsertTable()
        let progress = ProgressLine(title: "\(model), \(loaded.weightFormat.rawValue)")
        for (index, length) in longest.numbers.enumerated() {
            progress.show(Double(index) / Double(longest.numbers.count))
            let benchmark = try InsertBenchmark(
                model: loaded, team: team, threads: threads, kvFormat: kvDtype, rows: rows, longest: length)
            try measure(benchmark, into: &table)
        }
        progress.finish()
        if json { try printJSON(table.rows) } else { print(text(of: table)) }
    }

    /// Both layouts in turn, so that the machine's drift meets both.
    private func measure(_ benchmark: InsertBenchmark, into table: inout InsertTable) throws {
        _ = try benchmark.iterationTime()
        let iterations = try (0..<max(3, rounds)).map { _ in try benchmark.iterationTime() }
        for event in InsertBenchmark.Event.allCases {
            var dense: [InsertBenchmark.Measurement] = [], tables: [InsertBenchmark.Measurement] = []
            for round in -1..<rounds {
                let pair = (benchmark.measure(event, layout: .dense), benchmark.measure(event, layout: .blockTables))
                guard round >= 0 else { continue }
                dense.append(pair.0)
                tables.append(pair.1)
            }
            table.add(dense, iterations: iterations)
            table.add(tables, iterations: iterations)
        }
    }

    private func text(of table: InsertTable) -> String {
        let heading = ["layout", "event", "longest", "blocks", "KiB", "µs", "least … most", "iteration µs", "share"]
        let rows = [heading] + table.rows.map { row in
            [
                row.layout, row.event, String(row.longest), String(row.blocksCopied), String(row.bytesCopied >> 10),
                String(format: "%.1f", row.microseconds),
                String(format: "%.1f … %.1f", row.leastMicroseconds, row.mostMicroseconds),
                String(format: "%.0f", row.iterationMicroseconds), String(format: "%.2f %%", row.iterationShare * 100),
            ]
        }
        let widths = heading.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in zip(row, widths).map { $0.padded(to: $1) }.joined(separator: "  ") }.joined(separator: "\n")
    }
}
