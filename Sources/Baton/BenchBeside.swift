import ArgumentParser
import Foundation
import Inference
import Jobs
import LocalCluster
import ProgramSupport
import ServingExperiments
import Tokenizer

struct BenchBeside: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "beside",
        abstract: "What a batch job does to the latency of online requests: windows with and without one, in turn.",
        discussion: """
            Starts a cluster of its own, as baton up does. Online requests come over HTTP as a Poisson process, the same ones at \
            the same times in both windows of a pair; the job is one of /v1/batches with more lines than a window can answer, \
            which is cancelled at the window's end.
            """)

    @OptionGroup var cluster: ClusterOptions

    @Option(help: "Online requests per second.")
    var requestRate = 2.0

    @Option(help: "Tokens of an online prompt, ± a half.")
    var inputLen = 64

    @Option(help: "Tokens of an online answer, ± a half.")
    var outputLen = 32

    @Option(help: "Tokens of a prompt of the job.")
    var jobInputLen = 128

    @Option(help: "Tokens of an answer of the job.")
    var jobOutputLen = 64

    @Option(help: "Lines of the job: more than a window can answer.")
    var jobLines = 2000

    @Option(help: "Pairs of windows.")
    var pairs = 6

    @Option(help: "Seconds of a window.")
    var seconds = 15.0

    @Option(help: "Seconds from a job's start to its window.")
    var settlingSeconds = 2.0

    @Option(help: "Of requests and their times.")
    var seed = 42

    @Flag(help: "Print one JSON object.")
    var json = false

    @Option(help: "YAML file with the same names as these options.")
    var config: String?

    func validate() throws {
        guard requestRate > 0, (0.1...86_400).contains(seconds), (0...600).contains(settlingSeconds) else {
            throw ValidationError("--request-rate must be above 0, times 0.1 seconds or more")
        }
        guard inputLen >= 1, outputLen >= 2, jobInputLen >= 1, jobOutputLen >= 1 else {
            throw ValidationError("lengths must be at least 1, --output-len at least 2")
        }
        guard (1...1_000_000).contains(jobLines), (1...1000).contains(pairs), seed >= 0 else {
            throw ValidationError("--job-lines must be 1 to 1000000, --pairs 1 to 1000, --seed not negative")
        }
    }

    func run() async throws {
        let vocabulary = try Tokenizer(modelPath: cluster.model).idBound
        let logs = FileManager.default.temporaryDirectory.appendingPathComponent("baton-bench-\(getpid())")
        var plan = try cluster.plan(rpc: try freeLoopbackEndpoint(), logs: logs)
        plan.http = HTTPAddress(port: try freeLoopbackPort())
        plan.coordinatorArguments += ["--jobs", "on", "--job-store", logs.appendingPathComponent("jobs.sqlite").path]
        try FileManager.default.createDirectory(at: logs, withIntermediateDirectories: true)
        let running = LocalCluster(plan: plan)
        let report = try await running.whileRunning { [plan] in try await measure(plan, vocabulary) }.result
        if json { try printJSON(report.rows) } else { print(report.text) }
        try? FileManager.default.removeItem(at: logs)
    }

    private func measure(_ plan: ClusterPlan, _ vocabulary: Int) async throws -> BesideReport {
        guard let url = plan.http?.url else { preconditionFailure("\(plan) serves no HTTP") }
        let model = try await OpenAIClient.firstModel(at: url, apiKey: nil)
        let online = ServeBenchmark(
            dataset: .random(input: inputLen, output: outputLen, range: 0.5, prefix: 0),
            count: max(1, Int((requestRate * seconds).rounded())), arrivals: ArrivalProcess(rate: requestRate), maxConcurrency: nil,
            seed: UInt64(seed), vocabulary: vocabulary)
        let client = OpenAIClient(
            url: url, model: model, route: .completions, apiKey: nil, ignoresEnd: true, temperature: 0, connections: 64)
        let job = ServerJob(server: BatchServer(url: url, apiKey: nil)) { number in
            let file = plan.logs.appendingPathComponent("job-\(number).jsonl")
            try jobText(model, vocabulary, seed: UInt64(seed + number)).write(to: file, options: .atomic)
            return try InputScan(path: file.path)
        }
        let experiment = try await BesideExperiment(
            BesideExperiment.Settings(rpc: plan.rpc, url: url, online: online, pairs: pairs, settling: .seconds(settlingSeconds)))
        let progress = ProgressLine(title: "beside a job")
        let report = try await experiment.run(
            { salt in
                var salted = client
                salted.cacheSalt = salt
                return salted
            }, beside: job
        ) { progress.show($0) }
        progress.finish()
        await experiment.close()
        try await client.shutDown()
        return report
    }

    /// Prompts that have nothing in common, so that nothing of the job can be saved.
    private func jobText(_ model: String, _ vocabulary: Int, seed: UInt64) -> Data {
        let workload = PrefixWorkload(
            name: "job", count: jobLines, degree: 1, prefix: 0, distinct: jobInputLen, outputs: .constant(jobOutputLen))
        var text = ""
        for (number, query) in workload.queries(seed: seed, vocabularySize: vocabulary).enumerated() {
            text += """
                {"custom_id": "\(number)", "method": "POST", "url": "/v1/completions", "body": {"model": "\(model)", \
                "prompt": \(query.prompt), "max_tokens": \(query.outputCount), "ignore_eos": true, "temperature": 0}}

                """
        }
        return Data(text.utf8)
    }
}

/// A batch of the server, another one each time, so that nothing of it is cached.
private actor ServerJob: BesideExperiment.Job {
    private let server: BatchServer
    private let makeInput: @Sendable (_ number: Int) throws -> InputScan
    private var number = 0
    private var batch: String?

    init(server: BatchServer, makeInput: @escaping @Sendable (_ number: Int) throws -> InputScan) {
        self.server = server
        self.makeInput = makeInput
    }

    func start() async throws {
        number += 1
        let input = try makeInput(number)
        let file = try await server.upload(input)
        let batch = try await server.create(input, file: file, window: "24h", token: UUID().uuidString).id
        self.batch = batch
        while true {
            let status = try await server.batch(batch)
            guard status.status.isOpen else { throw BatchFailure("the job is \(status.status): \(status.problems.prefix(3))") }
            if status.status == .inProgress { return }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    func stop() async throws {
        guard let batch else { return }
        guard try await server.batch(batch).status == .inProgress else {
            throw BatchFailure("the job ended within its window; say --job-lines")
        }
        try await server.cancel(batch)
        while try await server.batch(batch).status.isOpen { try await Task.sleep(for: .milliseconds(50)) }
        self.batch = nil
    }
}
