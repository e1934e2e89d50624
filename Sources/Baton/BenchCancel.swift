import ArgumentParser
import Foundation
import Inference
import LocalCluster
import ProgramSupport
import ServingExperiments
import Tokenizer

struct BenchCancel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel",
        abstract: "Clients that go away in every phase of their requests, over HTTP and RPC, and how soon nothing is held any more.",
        discussion: """
            Starts a cluster of its own. In each round clients go at once in every phase: queued, prefilling, transferring, \
            ready (KV whole, no row yet), decoding, parked. Fails if blocks stay referenced.
            """)

    @Option(help: "Directory of a Hugging Face model, or a GGUF file; positions for 1000 tokens are needed.")
    var model: String

    @Option(help: "Rounds, each of a client in every phase.")
    var rounds = 1000

    @Option(help: "Of the prompts.")
    var seed: UInt64 = 1

    @Flag(help: "Print one JSON object.")
    var json = false

    @Option(help: "YAML file with the same names as these options.")
    var config: String?

    func validate() throws {
        guard (1...1_000_000).contains(rounds) else { throw ValidationError("--rounds must be 1 to 1000000") }
    }

    func run() async throws {
        let vocabulary = try Tokenizer(modelPath: model).idBound
        var plan = try ClusterPlan.bench(model: model, kvCacheMemory: "64MiB", rows: 1)
        plan.roleArguments["prefill"] = ["--max-num-batched-tokens", "32", "--max-num-seqs", "8"]
        let cluster = LocalCluster(plan: plan)
        let report = try await cluster.whileRunning { try await measure(cluster, vocabulary) }.result
        try? FileManager.default.removeItem(at: plan.logs)
        if json { try printJSON(report) } else { print(report.text) }
    }

    private func measure(_ cluster: LocalCluster, _ vocabulary: Int) async throws -> CancellationReport {
        let plan = cluster.plan
        let experiment = try await CancellationExperiment(rpc: plan.rpc, port: plan.http?.port ?? 0, vocabulary: vocabulary) { name, isSuspended in
            await cluster.process(name)?.signal(isSuspended ? SIGSTOP : SIGCONT)
        }
        let progress = ProgressLine(title: "cancellations")
        var done = 0
        let outcome = try await experiment.run(rounds: rounds, seed: seed) { _ in
            done += 1
            progress.show(Double(done) / Double(rounds))
        }
        progress.finish()
        await experiment.close()
        return CancellationReport(outcome.rounds, repeated: outcome.repeated)
    }
}
