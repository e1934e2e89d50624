import ArgumentParser
import ClusterCore
import Experiments
import Foundation
import Inference
import Kernels
import ProgramSupport

struct BenchParking: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "parking",
        abstract: "What it costs to park a query's KV and to resume it, beside computing its tokens again.",
        discussion: """
            The workers' own store alone, in the wire's format and with its checksums, in memory and in files; prefill by the same \
            engine. Parking and resuming run on one thread whatever --threads says. A round measures all of a length in \
            neighbouring moments, tiers and lengths in turn; medians of the rounds, and the ratio of park and resume to prefill with \
            its 95 % interval. Files are read back from the system's cache where that still has them, as a worker's are.
            """)

    @Option(help: "Directory of a Hugging Face model, or a GGUF file (see: baton model make).")
    var model: String

    @Option(help: "Number format of the weights.")
    var dtype = WeightFormat.auto

    @Option(help: "Where packed weights are kept for the next start and for other processes: auto, off, or a directory.")
    var weightCache = WeightCache.automatic

    @Option(help: "Number format of KV: auto (as the weights), float32, bfloat16 or int8.")
    var kvDtype = KVFormat.auto

    @Option(help: "Lengths of the query, in tokens.")
    var lengths = NumberList([16, 32, 64, 128, 256, 512, 1024])

    @Option(help: "Prompt tokens in a step.")
    var maxNumBatchedTokens = 512

    @Option(help: "Threads of a step.")
    var threads = 1

    @Option(help: "Cores to pin the threads to, e.g. 0,1 (default: not pinned).")
    var cores = NumberList([])

    @Option(help: "For files (default: a directory of its own among the system's temporary ones).")
    var parkingDirectory: String?

    @Option(help: "Times that every row is measured.")
    var rounds = 15

    @Flag(help: "Print one JSON object.")
    var json = false

    @Option(help: "YAML file with the same names as these options.")
    var config: String?

    func validate() throws {
        guard rounds >= 1 else { throw ValidationError("--rounds must be at least 1") }
        guard maxNumBatchedTokens >= 1 else { throw ValidationError("--max-num-batched-tokens must be at least 1") }
        guard (1...1024).contains(threads) else { throw ValidationError("--threads must be 1 to 1024") }
        guard !lengths.numbers.isEmpty, lengths.numbers.allSatisfy({ (1...1 << 20).contains($0) }) else {
            throw ValidationError("--lengths needs lengths from 1 to \(1 << 20)")
        }
        guard cores.numbers.isEmpty || cores.numbers.count >= threads else {
            throw ValidationError("--cores names \(cores.numbers.count) cores for \(threads) threads")
        }
    }

    func run() throws {
        let environment = ProcessInfo.processInfo.environment
        let directory = parkingDirectory ?? FileManager.default.temporaryDirectory.appendingPathComponent("baton-bench-\(getpid())").path
        if parkingDirectory == nil { try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true) }
        defer { if parkingDirectory == nil { try? FileManager.default.removeItem(atPath: directory) } }
        let team = try ThreadTeam(maxThreads: threads)
        try team.place(on: cores.numbers)
        let loaded = try Model(
            path: model, format: dtype, kernels: try KernelSet.select(environment: environment), team: team, threads: threads,
            float32Path: try Float32Path.select(environment: environment), cache: weightCache)
        let longest = lengths.numbers.max() ?? 1
        guard longest <= loaded.configuration.maxPositions else {
            throw ValidationError("\(longest) tokens exceed the model's \(loaded.configuration.maxPositions) positions")
        }
        let benchmark = try ParkingBenchmark(
            model: loaded, team: team, threads: threads, kvFormat: kvDtype, longest: longest, chunk: maxNumBatchedTokens,
            directory: directory)
        let table = try measure(benchmark, title: "\(model), \(loaded.weightFormat.rawValue)")
        if json { try printJSON(table.rows) } else { print(text(of: table)) }
    }

    /// All lengths in each round, so that the machine's drift meets all; one round before the first is not counted.
    private func measure(_ benchmark: ParkingBenchmark, title: String) throws -> ParkingTable {
        let progress = ProgressLine(title: title)
        var measurements: [[ParkingBenchmark.Measurement]] = lengths.numbers.map { _ in [] }
        for round in -1..<rounds {
            progress.show(Double(round + 1) / Double(rounds + 1))
            let tiers = round % 2 == 0 ? ParkingLot.Tier.allCases : ParkingLot.Tier.allCases.reversed()
            for (index, length) in lengths.numbers.enumerated() {
                let measurement = try benchmark.measure(tokens: length, tiers: tiers)
                if round >= 0 { measurements[index].append(measurement) }
            }
        }
        progress.finish()
        var table = ParkingTable()
        for ofOneLength in measurements { table.add(ofOneLength) }
        return table
    }

    private func text(of table: ParkingTable) -> String {
        let heading = ["tier", "tokens", "KiB", "park µs", "resume µs", "prefill µs", "park + resume of prefill", "95 % interval"]
        let rows = [heading] + table.rows.map { row in
            [
                row.tier, String(row.tokens), String(row.bytes >> 10), String(format: "%.0f", row.parkMicroseconds),
                String(format: "%.0f", row.resumeMicroseconds), String(format: "%.0f", row.prefillMicroseconds),
                String(format: "%.4f", row.ofRecomputing), String(format: "%.4f … %.4f", row.ofRecomputingLow, row.ofRecomputingHigh),
            ]
        }
        let widths = heading.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        let lines = rows.map { row in zip(row, widths).map { $0.padded(to: $1) }.joined(separator: "  ") }
        return (lines + ParkingLot.Tier.allCases.map { tier in
            "\(tier): " + (table.leastWinningLength(tier).map { "costs less than recomputing from \($0) tokens on" }
                ?? "does not cost less than recomputing at the longest length")
        }).joined(separator: "\n")
    }
}
