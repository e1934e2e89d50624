import ArgumentParser
import Experiments
import Foundation
import Inference
import Kernels
import ProgramSupport

struct Bench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Measure speed.",
        subcommands: [
            BenchEngine.self, BenchAttention.self, BenchCores.self, BenchInsert.self, BenchParking.self, BenchBaton.self, BenchScaling.self, BenchGrammar.self,
            BenchServe.self, BenchCancel.self, BenchGateway.self, BenchBeside.self, BenchPlanning.self, BenchPlacement.self, BenchBatchLLM.self,
        ])
}

struct BenchEngine: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "engine",
        abstract: "Prefill and decode in this process, beside what the machine can do at the same moment.",
        discussion: """
            Every row is measured once in each round; medians are printed. The ceiling is the time that the machine's memory \
            or its arithmetic units need at least, measured just before and after. Shares of the time by part are of the step: \
            gemm (products of the layers), attention, element (norms, rope, activation), head (product with the \
            vocabulary), rest (sampling, and what lies between).
            """)

    @Option(help: "Directory of a Hugging Face model, or a GGUF file (see: baton model make).")
    var model: String

    @Option(help: "Number format of the weights.")
    var dtype = WeightFormat.auto

    @Option(help: "Where packed weights are kept for the next start and for other processes: auto (beside the model, else among the user's caches; small models nowhere), off, or a directory.")
    var weightCache = WeightCache.automatic

    @Option(help: "Numbers of threads to measure, e.g. 1,2.")
    var threads = NumberList([1])

    @Option(help: "Cores to pin the threads to, e.g. 0,1 (default: not pinned).")
    var cores = NumberList([])

    @Option(help: "Prompt lengths to measure, or none.")
    var prefill = NumberList([128, 512, 2048])

    @Option(help: "Batch sizes to measure, or none.")
    var decode = NumberList([1, 2, 4, 8, 16, 32])

    @Option(help: "Keys that each row of a decode batch sees at least.")
    var context = NumberList([128, 2048])

    @Option(help: "Number format of KV: auto (as the weights), float32, bfloat16 or int8.")
    var kvDtype = KVFormat.auto

    @Option(help: "Steps of a decode measurement (default: at least 8, and for 0.4 seconds).")
    var steps: Int?

    @Option(help: "Prompt tokens in a step.")
    var maxNumBatchedTokens = 512

    @Option(help: "Times that every row is measured.")
    var rounds = 3

    @Flag(help: "Print one JSON object.")
    var json = false

    @Option(help: "YAML file with the same names as these options.")
    var config: String?

    func validate() throws {
        if let steps, !(1...EngineBenchmark.Workload.decodeSteps).contains(steps) {
            throw ValidationError("--steps must be 1 to \(EngineBenchmark.Workload.decodeSteps)")
        }
        guard rounds >= 1 else { throw ValidationError("--rounds must be at least 1") }
        guard maxNumBatchedTokens >= 1 else { throw ValidationError("--max-num-batched-tokens must be at least 1") }
        guard let most = threads.numbers.max(), most <= 1024, threads.numbers.allSatisfy({ $0 >= 1 }) else { throw ValidationError("--threads needs numbers from 1 to 1024") }
        guard cores.numbers.isEmpty || cores.numbers.count >= most else {
            throw ValidationError("--cores names \(cores.numbers.count) cores for \(most) threads")
        }
    }

    func run() throws {
        let environment = ProcessInfo.processInfo.environment
        let kernels = try KernelSet.select(environment: environment)
        let most = threads.numbers.max() ?? 1
        let team = try ThreadTeam(maxThreads: most)
        try team.place(on: cores.numbers)
        let loaded = try Model(
            path: model, format: dtype, kernels: kernels, team: team, threads: most,
            float32Path: try Float32Path.select(environment: environment), cache: weightCache)
        let loadedAt = ProcessClock.age
        let workloads = self.workloads(atMost: loaded.configuration.maxPositions)
        let benchmark = try EngineBenchmark(
            model: loaded, team: team, kvFormat: kvDtype, chunk: maxNumBatchedTokens, steps: steps, workloads: workloads)
        try benchmark.firstToken(threads: most)
        let firstAt = ProcessClock.age
        let title = "\(model), \(loaded.weightFormat.rawValue)", progress = ProgressLine(title: title)
        var all: [[EngineBenchmark.Measurement]] = []
        for round in 0..<rounds {
            var measurements: [EngineBenchmark.Measurement] = []
            for threads in threads.numbers {
                for workload in workloads {
                    let share = Double(measurements.count) / Double(workloads.count * self.threads.numbers.count)
                    progress.show((Double(round) + share) / Double(rounds))
                    measurements.append(try benchmark.measure(workload, threads: threads))
                }
            }
            all.append(measurements)
        }
        progress.finish()
        let table = EngineTable(
            rounds: all, model: URL(fileURLWithPath: model).lastPathComponent, weights: loaded.weightFormat.rawValue,
            kv: loaded.kvLayout(blockSize: 16, format: kvDtype).format.rawValue, fitsCache: loaded.weightByteCount < Self.lastLevelCache)
        if json { try printJSON(table.rows) } else {
            print("\(title): \(loaded.kernelFamily) by \(KernelSet.explanation(environment: environment))")
            if let loadedAt, let firstAt {
                print(String(
                    format: "weights %@; loaded %.2f s after the start of the process, first token of a prompt of %d after %.2f s",
                    "\(loaded.cacheOutcome)", loadedAt, EngineBenchmark.firstPromptCount, firstAt))
            }
            print(table.text + "\n")
        }
    }

    /// Those that the model's positions allow.
    private func workloads(atMost positions: Int) -> [EngineBenchmark.Workload] {
        let prompts = prefill.numbers.map { EngineBenchmark.Workload.prefill(tokens: $0) }
        let batches = context.numbers.flatMap { keys in
            decode.numbers.map { EngineBenchmark.Workload.decode(batch: $0, context: keys) }
        }
        return (prompts + batches).filter { $0.positions <= positions }
    }

    /// Bytes of the largest cache of the first core; 32 MiB if the system does not say.
    private static var lastLevelCache: Int {
        let sizes = (0..<8).compactMap { index in
            try? String(contentsOfFile: "/sys/devices/system/cpu/cpu0/cache/index\(index)/size", encoding: .utf8)
        }
        return sizes.compactMap { Int($0.prefix { $0.isNumber }) }.max().map { $0 << 10 } ?? 32 << 20
    }
}
