import ArgumentParser
import Foundation
import Inference
import LocalCluster
import ProgramSupport
import ServingExperiments
import Tokenizer

struct BenchGateway: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gateway",
        abstract: "What HTTP costs: a token's way through the coordinator, processor time, and what idle connections do to others.",
        discussion: """
            Starts a cluster of its own. The same streams are read over HTTP and over RPC in turn. The way of a token is \
            baton:token_delivery_seconds; processor time is that of the coordinator's threads. Ten thousand idle \
            connections need as many file descriptors (ulimit -n) in each of two processes.
            """)

    @Option(help: "Directory of a Hugging Face model, or a GGUF file.")
    var model: String

    @Option(help: "Answers that are streamed at the same time.")
    var streams = 64

    @Option(help: "Seconds of streams over HTTP, and over RPC.")
    var seconds = 120.0

    @Option(help: "KV memory of each worker.")
    var kvCacheMemory = "256MiB"

    @Option(help: "Connections that are open and silent.")
    var idleConnections = 10_000

    @Option(help: "Stretches with idle connections, each beside one without; 0: none.")
    var pairs = 40

    @Option(help: "Seconds of each of these.")
    var pairSeconds = 1.5

    @Option(help: "YAML file with the same names as these options.")
    var config: String?

    func validate() throws {
        guard (1...512).contains(streams) else { throw ValidationError("--streams must be 1 to 512") }
        guard (0.1...86_400).contains(seconds), (0.1...60).contains(pairSeconds) else { throw ValidationError("times must be 0.1 seconds or more") }
        guard (1...100_000).contains(idleConnections), (0...1000).contains(pairs) else {
            throw ValidationError("--idle-connections must be 1 to 100000, --pairs 0 to 1000")
        }
    }

    func run() async throws {
        DescriptorLimit.raise()
        let vocabulary = try Tokenizer(modelPath: model).idBound
        let cluster = LocalCluster(plan: try .bench(model: model, kvCacheMemory: kvCacheMemory, rows: streams))
        print(try await cluster.whileRunning { try await measure(cluster, vocabulary) }.result.text)
        try? FileManager.default.removeItem(at: cluster.plan.logs)
    }

    private func measure(_ cluster: LocalCluster, _ vocabulary: Int) async throws -> GatewayReport {
        guard let http = cluster.plan.http, let coordinator = await cluster.process(ClusterPlan.coordinatorName) else {
            throw ClusterStartError(process: ClusterPlan.coordinatorName, problem: "has ended")
        }
        let experiment = try await GatewayExperiment(
            GatewayExperiment.Settings(
                rpc: cluster.plan.rpc, url: http.url, port: http.port, coordinator: coordinator.processID, vocabulary: vocabulary,
                streams: streams, duration: .seconds(seconds), slice: .seconds(min(15, seconds)), idleConnections: idleConnections,
                pairs: pairs, pairSlice: .seconds(pairSeconds)))
        let progress = ProgressLine(title: "gateway")
        let report = try await experiment.run { progress.show($0) }
        progress.finish()
        try await experiment.close()
        return report
    }
}
