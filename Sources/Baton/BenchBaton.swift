import ArgumentParser
import Foundation
import Inference
import Kernels
import ProgramSupport
import ServingExperiments

struct BenchBaton: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "baton",
        abstract: "The BATON experiments: ways of serving beside one another, on clusters of real processes.",
        discussion: """
            Cells are measured one by one and kept as files, so that it may be stopped at any moment and goes on where it was; whatever \
            is there goes into the report. Results count for the programs and the model that they were measured with. Needs a \
            model with a tokenizer, e.g. a GGUF file of: baton model make --format gguf.
            """)

    @Option(help: "Directory of a Hugging Face model, or a GGUF file.")
    var model: String

    @Option(help: "Directory in which results are kept.")
    var results = ".bench-results/baton"

    @Option(help: "Markdown file to write; its plots stand in a directory of the same name beside it.")
    var report = "docs/experiments/baton.md"

    @Option(help: "Minutes after which no further cell is begun.")
    var budget: Double?

    @Flag(help: "Five minutes: fewer batch sizes, runs and queries, shorter lengths.")
    var short = false

    @Flag(help: "Write the report of what is there, and measure nothing.")
    var reportOnly = false

    @Option(help: "Experiments, e.g. 1,2 (default: all of the form).")
    var experiments = NumberList([])

    @Option(help: "Arms, e.g. baton,mixed (default: all).")
    var arms: String?

    @Option(help: "Workloads of experiment 1, e.g. balanced,prefill-heavy (default: as the form says).")
    var workloads: String?

    @Option(help: "Rows of the batch, e.g. 8,16 (default: as the form says).")
    var batches = NumberList([])

    @Option(help: "Seeds of the workloads (default: as the form says).")
    var seeds = NumberList([])

    @Option(help: "Repetitions (default: as the form says).")
    var runs: Int?

    @Option(help: "Queries of a cell (default: as the form says).")
    var queries: Int?

    @Option(help: "Directory for a trace of each cell.")
    var trace: String?

    @Flag(help: "Print the results as one JSON object.")
    var json = false

    @Option(help: "YAML file with the same names as these options.")
    var config: String?

    func validate() throws {
        _ = try plan()
        if let budget, !(budget > 0) { throw ValidationError("--budget must be above 0") }
        guard ThreadTeam.allowedCores.count >= 2 else { throw ValidationError("needs two cores") }
    }

    func run() async throws {
        let began = ContinuousClock.now
        let store = try ResultStore(directory: URL(fileURLWithPath: results))
        let traces = try trace.map { path in
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            return URL(fileURLWithPath: path)
        }
        let logs = FileManager.default.temporaryDirectory.appendingPathComponent("baton-bench-\(getpid())")
        let launcher = BenchLauncher(model: model, cores: Array(ThreadTeam.allowedCores.prefix(2)), logs: logs)
        let bench = try BatonBench(
            model: model, launcher: launcher, results: store.directory, traces: traces, rateSeconds: short ? 0.3 : 0.8)
        let session = BenchmarkSession(
            plan: try plan(), arms: launcher.arms, store: store, build: bench.build, bench: bench,
            now: { began.duration(to: .now) / .seconds(1) }, report: Self.show)
        // A cell is begun only if it will end in time; stopping and the report take some seconds.
        let minutes = budget ?? (short ? 5 : nil)
        if !reportOnly { try await measure(session, store, until: minutes.map { $0 * 60 - 10 }) }
        let found = session.stored()
        try write(found, build: bench.build)
        if json { try printJSON(found.results) } else { print("report: \(report)") }
    }

    private func measure(_ session: BenchmarkSession, _ store: ResultStore, until deadline: Double?) async throws {
        if session.plan.experiments.contains(.longSession), store.longSession(build: session.build) == nil {
            var long = LongSession(workload: .uniform, rows: 32, seed: 42)
            let clock = ContinuousClock(), start = clock.now
            let outcome = long.run(queries: 100_000) { start.duration(to: clock.now) / .nanoseconds(1) }
            try store.store(outcome, build: session.build)
        }
        let found = try await session.run(until: deadline)
        for name in found.failures.keys.sorted() where found.failures[name] != BenchmarkSession.notServed {
            FileHandle.standardError.write(Data("\(name): \(found.failures[name] ?? "")\n".utf8))
        }
    }

    private static func show(_ progress: BenchmarkSession.Progress) {
        let line =
            switch progress {
            case .measuring(let cell, let done, let count): "\(done + 1)/\(count) \(cell.name)"
            case .failed(let cell, let why): "\(cell.name) failed: \(why)"
            case .stopped(let left): "time is up: \(left) cells left; run again to go on"
            }
        FileHandle.standardError.write(Data((line + "\n").utf8))
    }

    // MARK: The plan

    private func plan() throws -> ExperimentPlan {
        var plan = short ? ExperimentPlan.short : ExperimentPlan.full
        if !experiments.numbers.isEmpty {
            plan.experiments = try experiments.numbers.map { number in
                guard let experiment = Experiment(rawValue: number) else {
                    throw ValidationError("--experiments: there is no experiment \(number) here; 6 is `baton bench insert`")
                }
                return experiment
            }
        }
        if let arms {
            plan.arms = try arms.split(separator: ",").map { name in
                guard let arm = ServingArm(rawValue: String(name)) else {
                    throw ValidationError("--arms: \(name) is none of \(ServingArm.allCases.map(\.rawValue).joined(separator: ", "))")
                }
                return arm
            }
        }
        if let workloads { plan.workloads = try workloads.split(separator: ",").map { try Self.workload(named: String($0)) } }
        if !batches.numbers.isEmpty { plan.batches = batches.numbers }
        if !seeds.numbers.isEmpty { plan.seeds = seeds.numbers.map { UInt64($0) } }
        plan.runs = runs ?? plan.runs
        plan.queryCount = queries ?? plan.queryCount
        guard plan.runs >= 1, plan.queryCount >= 1, plan.batches.allSatisfy({ (1...512).contains($0) }) else {
            throw ValidationError("--runs and --queries must be at least 1, --batches 1 to 512")
        }
        return plan
    }

    private static func workload(named name: String) throws -> Workload {
        let known = ExperimentPlan.full.workloads + ExperimentPlan.short.workloads
        guard let workload = known.first(where: { $0.name == name }) else {
            throw ValidationError("--workloads: \(name) is none of \(known.map(\.name).joined(separator: ", "))")
        }
        return workload
    }

    // MARK: The report

    private func write(_ found: ResultSet, build: String) throws {
        let file = URL(fileURLWithPath: report)
        let plots = file.deletingPathExtension()
        try FileManager.default.createDirectory(at: plots, withIntermediateDirectories: true)
        let context = ReportContext(
            machine: MachineDescription.current, model: URL(fileURLWithPath: model).deletingPathExtension().lastPathComponent,
            build: build, date: Date().formatted(.iso8601.year().month().day()),
            command: ReportCommand(ofThisProcessAs: "bench-baton").text)
        let rendered = BatonReport(results: found, context: context, plotDirectory: plots.lastPathComponent).render()
        for plot in rendered.plots { try Data(plot.svg.utf8).write(to: plots.appendingPathComponent(plot.name), options: .atomic) }
        try Data(rendered.markdown.utf8).write(to: file, options: .atomic)
    }
}
