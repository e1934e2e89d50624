import ArgumentParser
import Foundation
import Inference
import Kernels
import ProgramSupport
import ServingExperiments

struct BenchBatchLLM: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "batchllm",
        abstract: "The BatchLLM experiments: jobs whose prompts share prefixes, on clusters of real processes.",
        discussion: """
            Cells are measured one by one and kept as files, so that it may be stopped at any moment and goes on where it was; whatever \
            is there goes into the report. Results count for the programs and the model that they were measured with. Needs a \
            model with a tokenizer, e.g. a GGUF file of: baton model make --format gguf.
            """)

    @Option(help: "Directory of a Hugging Face model, or a GGUF file.")
    var model: String

    @Option(help: "Directory in which results are kept.")
    var results = ".bench-results/batchllm"

    @Option(help: "Markdown file to write; its plots stand in a directory of the same name beside it.")
    var report = "docs/experiments/batchllm.md"

    @Option(help: "Minutes after which no further cell is begun.")
    var budget: Double?

    @Flag(help: "Five minutes: one degree, fewer runs and requests, shorter prompts.")
    var short = false

    @Flag(help: "The paper's own sizes: 6400 requests of 2000 + 200 tokens, for servers.")
    var paper = false

    @Flag(help: "Write the report of what is there, and measure nothing.")
    var reportOnly = false

    @Option(help: "Experiments, e.g. 1,3 (default: all of the form).")
    var experiments = NumberList([])

    @Option(help: "Arms, e.g. lru,memory (default: all).")
    var arms: String?

    @Option(help: "Prompts that share a prefix, e.g. 1,16 (default: as the form says).")
    var degrees = NumberList([])

    @Option(help: "Tokens of a prefix; prompts have a tenth of it of their own, and answers a twentieth (default: as the form says).")
    var prefix: Int?

    @Option(help: "Requests of a job (default: as the form says).")
    var requests: Int?

    @Option(help: "Rows of the batch, for arms that count requests (default: as the form says).")
    var rows: Int?

    @Option(help: "Seeds of the workloads (default: as the form says).")
    var seeds = NumberList([])

    @Option(help: "Repetitions (default: as the form says).")
    var runs: Int?

    @Option(help: "Write the job of the first degree and seed into this directory, for other engines (Benchmarks/peers/jobs.py), and measure nothing.")
    var writeJob: String?

    @Flag(help: "Print the results as one JSON object.")
    var json = false

    @Option(help: "YAML file with the same names as these options.")
    var config: String?

    func validate() throws {
        guard !(short && paper) else { throw ValidationError("--short and --paper exclude each other") }
        _ = try plan()
        if let budget, !(budget > 0) { throw ValidationError("--budget must be above 0") }
        guard ThreadTeam.allowedCores.count >= 2 else { throw ValidationError("needs two cores") }
    }

    func run() async throws {
        if let writeJob { return try write(jobTo: URL(fileURLWithPath: writeJob)) }
        let began = ContinuousClock.now
        let store = try ResultStore(directory: URL(fileURLWithPath: results))
        let logs = FileManager.default.temporaryDirectory.appendingPathComponent("baton-bench-\(getpid())")
        let launcher = BenchLauncher(model: model, cores: Array(ThreadTeam.allowedCores.prefix(2)), logs: logs)
        let bench = try BatchBench(model: model, launcher: launcher, results: store.directory)
        let session = BatchSession(
            plan: try plan(), arms: Set(BatchArm.allCases), store: store, build: bench.build, bench: bench,
            now: { began.duration(to: .now) / .seconds(1) }, report: Self.show)
        // A cell is begun only if it will end in time; stopping and the report take some seconds.
        let minutes = budget ?? (short ? 5 : nil)
        let found = reportOnly ? session.stored() : try await session.run(until: minutes.map { $0 * 60 - 10 })
        try write(found, build: bench.build)
        if json { try printJSON(found.results) } else { print("report: \(report)") }
    }

    private static func show(_ progress: BatchSession.Progress) {
        let line =
            switch progress {
            case .measuring(let cell, let done, let count): "\(done + 1)/\(count) \(cell.name)"
            case .failed(let cell, let why): "\(cell.name) failed: \(why)"
            case .stopped(let left): "time is up: \(left) cells left; run again to go on"
            }
        FileHandle.standardError.write(Data((line + "\n").utf8))
    }

    // MARK: The plan

    private func plan() throws -> BatchExperimentPlan {
        var plan: BatchExperimentPlan = short ? .short : paper ? .paper : .full
        if !experiments.numbers.isEmpty {
            plan.experiments = try experiments.numbers.map { number in
                guard let experiment = BatchExperiment(rawValue: number) else {
                    throw ValidationError("--experiments: there is no experiment \(number) here")
                }
                return experiment
            }
        }
        if let arms {
            plan.arms = try arms.split(separator: ",").map { name in
                guard let arm = BatchArm(rawValue: String(name)) else {
                    throw ValidationError("--arms: \(name) is none of \(BatchArm.allCases.map(\.rawValue).joined(separator: ", "))")
                }
                return arm
            }
        }
        if !degrees.numbers.isEmpty { plan.degrees = degrees.numbers }
        if !seeds.numbers.isEmpty { plan.seeds = seeds.numbers.map { UInt64($0) } }
        plan.runs = runs ?? plan.runs
        plan.unit = prefix ?? plan.unit
        plan.count = requests ?? plan.count
        plan.rows = rows ?? plan.rows
        guard (20...100_000).contains(plan.unit), (1...1_000_000).contains(plan.count), (1...256).contains(plan.rows) else {
            throw ValidationError("--prefix must be 20 to 100000, --requests 1 to 1000000, --rows 1 to 256")
        }
        guard plan.runs >= 1, plan.degrees.allSatisfy({ (1...1_000_000).contains($0) }) else {
            throw ValidationError("--runs and --degrees must be at least 1")
        }
        return plan
    }

    private func write(jobTo directory: URL) throws {
        let plan = try plan(), vocabularySize = try ModelConfiguration(path: model).vocabularySize
        guard let degree = plan.degrees.first, let seed = plan.seeds.first else { throw ValidationError("--degrees and --seeds must name one each") }
        let workload = PrefixWorkload.paper(degree: degree, unit: plan.unit, count: plan.count)
        let file = directory.appendingPathComponent(workload.name + ".jsonl")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        try JobLine.text(of: workload, seed: seed, vocabularySize: vocabularySize).write(to: file, options: .atomic)
        print("job: \(file.path)")
    }

    // MARK: The report

    private func write(_ found: BatchResultSet, build: String) throws {
        let file = URL(fileURLWithPath: report)
        let plots = file.deletingPathExtension()
        try FileManager.default.createDirectory(at: plots, withIntermediateDirectories: true)
        let context = ReportContext(
            machine: MachineDescription.current, model: URL(fileURLWithPath: model).deletingPathExtension().lastPathComponent,
            build: build, date: Date().formatted(.iso8601.year().month().day()),
            command: ReportCommand(ofThisProcessAs: "bench-batchllm").text)
        let rendered = BatchReport(results: found, context: context, plotDirectory: plots.lastPathComponent).render()
        for plot in rendered.plots { try Data(plot.svg.utf8).write(to: plots.appendingPathComponent(plot.name), options: .atomic) }
        try Data(rendered.markdown.utf8).write(to: file, options: .atomic)
    }
}
