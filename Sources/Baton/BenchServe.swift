import ArgumentParser
import Foundation
import Generation
import Inference
import ProgramSupport
import RequestAdmission
import ServingExperiments
import Synchronization
import Tokenizer

struct BenchServe: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Send load to a server and report throughput and latencies.",
        discussion: """
            Requests are sent when they are due, whether or not those before have been answered. Flags and summary are those of \
            vLLM's benchmark. Prompts are token ids, or text with --tokenizer, which every server understands.
            """)

    @Option(help: "How the server is asked: openai (HTTP, any compatible server) or baton-rpc (a coordinator's RPC endpoint).")
    var backend = Backend.openai

    @Option(help: "Endpoint of the coordinator, with --backend baton-rpc.")
    var rpc = "tcp://127.0.0.1:5550"

    @Option(help: "Where the server is, with --backend openai.")
    var baseUrl = "http://127.0.0.1:8000"

    @Option(help: "Model to ask for (default: the first that the server has).")
    var model: String?

    @Option(help: "What is asked: completions or chat.")
    var route = OpenAIClient.Route.completions

    @Option(help: "Key to send, if the server wants one.")
    var apiKey: String?

    @Option(help: "Directory or GGUF file of a model whose tokenizer makes the prompts' text (default: prompts are token ids).")
    var tokenizer: String?

    @Option(help: "Ids below this are drawn for prompts without a tokenizer.")
    var vocabulary = 2048

    @Option(help: "random, prefix-repetition, trace, custom, azure-code, azure-conversation or mooncake-conversation.")
    var datasetName = "random"

    @Option(help: "File of a trace (Mooncake's JSONL) or of prompts ({\"prompt\", \"output_tokens\"} a line).")
    var datasetPath: String?

    @Option(help: "Requests to send.")
    var numPrompts = 1000

    @Option(help: "Requests per second, or inf for all at once.")
    var requestRate = "inf"

    @Option(help: "Shape of the gaps between requests: 1 is Poisson, less is burstier (1 / CV²). A published trace has its own.")
    var burstiness: Double?

    @Option(help: "Requests at the same time at most (default: no limit).")
    var maxConcurrency: Int?

    @Option(help: "Tokens of a random prompt.")
    var randomInputLen = 1024

    @Option(help: "Tokens of the answer to a random prompt.")
    var randomOutputLen = 128

    @Option(help: "How far random lengths vary, as a share of themselves: 0 to 1.")
    var randomRangeRatio = 0.0

    @Option(help: "Tokens that all random prompts begin with.")
    var randomPrefixLen = 0

    @Option(help: "Tokens of a repeated beginning.")
    var prefixRepetitionPrefixLen = 256

    @Option(help: "Tokens behind a repeated beginning.")
    var prefixRepetitionSuffixLen = 256

    @Option(help: "Beginnings that are repeated.")
    var prefixRepetitionNumPrefixes = 10

    @Option(help: "Tokens of the answer behind a repeated beginning.")
    var prefixRepetitionOutputLen = 128

    @Option(help: "Tokens of an answer where a custom file has none.")
    var customOutputLen = 256

    @Option(help: "Lengths of traces are divided by this, for small machines.")
    var lengthScale = 1.0

    @Option(
        parsing: .upToNextOption,
        help: "What a good request keeps, in milliseconds: ttft:500 tpot:100 e2el:10000. Adds the goodput.")
    var goodput: [String] = []

    @Option(help: "Times to show: of ttft, tpot, itl and e2el.")
    var percentileMetrics = "ttft,tpot,itl,e2el"

    @Option(help: "Percentiles to show.")
    var metricPercentiles = "99"

    @Flag(help: "Let answers have their full length, whatever the model thinks.")
    var ignoreEos = false

    @Option(help: "Temperature of sampling.")
    var temperature = 0.0

    @Option(help: "Of prompts, lengths and arrivals.")
    var seed: UInt64 = 0

    @Flag(help: "Write the result into a file, as JSON.")
    var saveResult = false

    @Flag(help: "Write every request's times into that file, too.")
    var saveDetailed = false

    @Option(help: "Name of that file (default: from date and model).")
    var resultFilename: String?

    @Flag(help: "Print the result as JSON.")
    var json = false

    @Option(help: "YAML file with the same names as these options.")
    var config: String?

    enum Backend: String, CaseIterable, ExpressibleByArgument {
        case openai
        case batonRPC = "baton-rpc"
    }

    func validate() throws {
        guard backend == .openai || (model == nil && apiKey == nil && route == .completions) else {
            throw ValidationError("--model, --api-key and --route chat do not go with --backend baton-rpc")
        }
        guard (1...10_000_000).contains(numPrompts) else { throw ValidationError("--num-prompts must be 1 to 10000000") }
        guard rate.map({ $0 > 0 && $0 <= 1e6 }) ?? (requestRate == "inf") else {
            throw ValidationError("--request-rate must be above 0, or inf, not \(requestRate)")
        }
        guard burstiness.map({ $0 > 0 && $0 <= 1e6 }) ?? true else { throw ValidationError("--burstiness must be above 0") }
        guard maxConcurrency.map({ $0 >= 1 }) ?? true else { throw ValidationError("--max-concurrency must be at least 1") }
        guard (0...1).contains(randomRangeRatio) else { throw ValidationError("--random-range-ratio must be 0 to 1") }
        let lengths = [
            randomInputLen, randomOutputLen, prefixRepetitionPrefixLen, prefixRepetitionSuffixLen, prefixRepetitionOutputLen, customOutputLen,
            prefixRepetitionNumPrefixes,
        ]
        guard lengths.allSatisfy({ (1...(1 << 24)).contains($0) }), (0...(1 << 24)).contains(randomPrefixLen) else {
            throw ValidationError("lengths must be 1 to \(1 << 24) tokens")
        }
        guard lengthScale > 0, lengthScale.isFinite else { throw ValidationError("--length-scale must be above 0") }
        guard vocabulary >= 2, vocabulary <= Int(Int32.max) else { throw ValidationError("--vocabulary must be at least 2") }
        guard ["trace", "custom"].contains(datasetName) == (datasetPath != nil) else {
            throw ValidationError("--dataset-path goes with --dataset-name trace or custom, and these with it")
        }
        _ = try goal()
        guard !percentiles.isEmpty else { throw ValidationError("--metric-percentiles needs numbers above 0 and at most 100") }
        guard metrics.allSatisfy(["ttft", "tpot", "itl", "e2el"].contains) else {
            throw ValidationError("--percentile-metrics knows ttft, tpot, itl and e2el")
        }
    }

    private var rate: Double? { Double(requestRate).flatMap { $0.isFinite ? $0 : nil } }
    private var metrics: [String] { percentileMetrics.split(separator: ",").map(String.init) }
    private var percentiles: [Double] {
        metricPercentiles.split(separator: ",").compactMap { Double($0) }.filter { $0 > 0 && $0 <= 100 }
    }

    private func goal() throws -> ServeGoal? {
        guard !goodput.isEmpty else { return nil }
        var goal = ServeGoal()
        for entry in goodput {
            let parts = entry.split(separator: ":")
            guard parts.count == 2, let limit = Double(parts[1]), limit > 0 else { throw ValidationError("--goodput \(entry): expected NAME:MILLISECONDS") }
            switch parts[0] {
            case "ttft": goal.timeToFirstToken = limit
            case "tpot": goal.timePerOutputToken = limit
            case "e2el": goal.latency = limit
            default: throw ValidationError("--goodput knows ttft, tpot and e2el, not \(parts[0])")
            }
        }
        return goal
    }

    private func dataset() throws -> ServeDataset {
        switch (datasetName, datasetPath) {
        case ("random", _):
            return .random(input: randomInputLen, output: randomOutputLen, range: randomRangeRatio, prefix: randomPrefixLen)
        case ("prefix-repetition", _):
            return .prefixRepetition(
                prefix: prefixRepetitionPrefixLen, suffix: prefixRepetitionSuffixLen, count: prefixRepetitionNumPrefixes,
                output: prefixRepetitionOutputLen)
        case ("trace", let path?): return .trace(lines: try DatasetFile.trace(path: path), scale: lengthScale)
        case ("custom", let path?): return .custom(try DatasetFile.custom(path: path), output: customOutputLen)
        case (let name, _):
            guard let trace = PublishedTrace(rawValue: name) else { throw ValidationError("--dataset-name \(name) is not known") }
            return .published(trace, scale: lengthScale)
        }
    }

    func run() async throws {
        let dataset = try dataset()
        let variation = PublishedTrace(rawValue: datasetName)?.variation
        let arrivals = ArrivalProcess(rate: rate, burstiness: burstiness ?? variation.map { 1 / ($0 * $0) } ?? 1)
        let text = try tokenizer.map { try Tokenizer(modelPath: $0) }
        let benchmark = ServeBenchmark(
            dataset: dataset, count: numPrompts, arrivals: arrivals, replaysTimes: datasetName == "trace" && rate == nil,
            maxConcurrency: maxConcurrency, seed: seed, vocabulary: text?.idBound ?? vocabulary)
        let (name, outcome) = try await measure(benchmark, decode: text.map { tokenizer in { tokenizer.decode($0) } })
        let summary = ServeSummary(
            model: name, measurements: outcome.measurements, duration: outcome.duration, maxConcurrent: outcome.maxConcurrent,
            percentiles: percentiles, goal: try goal())
        if json { try printJSON(summary) } else { print(summary.text(metrics: metrics, percentiles: percentiles)) }
        if saveResult || saveDetailed { try save(summary, outcome) }
        guard summary.completed > 0 else { throw ExitCode(1) }
    }

    private func measure(
        _ benchmark: ServeBenchmark, decode: (([TokenID]) -> String)?
    ) async throws -> (model: String, ServeBenchmark.Outcome) {
        let line = ServeProgressLine(count: numPrompts)
        defer { line.clear() }
        switch backend {
        case .openai:
            let name: String
            if let model { name = model } else { name = try await OpenAIClient.firstModel(at: baseUrl, apiKey: apiKey) }
            let client = OpenAIClient(
                url: baseUrl, model: name, route: route, apiKey: apiKey, ignoresEnd: ignoreEos, temperature: temperature,
                connections: maxConcurrency ?? numPrompts)
            let outcome = await benchmark.run(on: client, decode: decode) { line.show($0) }
            try await client.shutDown()
            return (name, outcome)
        case .batonRPC:
            let client = try await BatonRPCClient(endpoint: rpc, ignoresEnd: ignoreEos, temperature: temperature)
            let outcome = await benchmark.run(on: client, decode: decode) { line.show($0) }
            await client.close()
            return (await client.model, outcome)
        }
    }

    private struct SavedResult: Encodable {
        var date: Date
        var backend: String
        var baseURL: String
        var dataset: String
        var requestRate: String
        var burstiness: Double?
        var maxConcurrency: Int?
        var numPrompts: Int
        var seed: UInt64
        var summary: ServeSummary
        var requests: [ServeMeasurement]?
    }

    private func save(_ summary: ServeSummary, _ outcome: ServeBenchmark.Outcome) throws {
        let result = SavedResult(
            date: Date(), backend: backend.rawValue, baseURL: backend == .openai ? baseUrl : rpc, dataset: datasetName, requestRate: requestRate, burstiness: burstiness,
            maxConcurrency: maxConcurrency, numPrompts: numPrompts, seed: seed, summary: summary,
            requests: saveDetailed ? outcome.measurements : nil)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.dateEncodingStrategy = .iso8601
        let stamp = Int(Date().timeIntervalSince1970)
        let path = resultFilename ?? "baton-serve-\(summary.model.replacing("/", with: "-"))-\(stamp).json"
        try encoder.encode(result).write(to: URL(fileURLWithPath: path))
        FileHandle.standardError.write(Data("result in \(path)\n".utf8))
    }
}

extension OpenAIClient.Route: ExpressibleByArgument {}

/// How far the load is, in place on a terminal; nothing elsewhere.
private final class ServeProgressLine: Sendable {
    private let count: Int
    private let isTerminal = isatty(STDERR_FILENO) == 1
    private let lastShown = Mutex(ContinuousClock.now - .seconds(1))

    init(count: Int) { self.count = count }

    func show(_ progress: ServeBenchmark.Progress) {
        guard isTerminal else { return }
        let isDue = lastShown.withLock { last in
            guard ContinuousClock.now - last > .milliseconds(100) || progress.done == count else { return false }
            last = .now
            return true
        }
        guard isDue else { return }
        let failed = progress.failed > 0 ? ", \(progress.failed) failed" : ""
        let text = "\r\(progress.done) of \(count) done, \(progress.running) running\(failed)\u{1B}[K"
        FileHandle.standardError.write(Data(text.utf8))
    }

    func clear() { if isTerminal { FileHandle.standardError.write(Data("\r\u{1B}[K".utf8)) } }
}
