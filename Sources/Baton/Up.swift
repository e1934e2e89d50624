import ArgumentParser
import ClusterCore
import Foundation
import Kernels
import LocalCluster
import Logging
import ProgramSupport
import ServiceLifecycle

struct Up: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Bring up a local cluster of real processes; it ends as one with Ctrl-C.")

    @OptionGroup var cluster: ClusterOptions
    @OptionGroup var http: UpHTTPOptions
    @OptionGroup var logging: LogOptions

    @Option(help: "Where clients reach the coordinator.")
    var rpc = "tcp://127.0.0.1:5550"

    @Option(help: "File for a trace of requests, prompts, KV and rows, for ui.perfetto.dev or chrome://tracing.")
    var trace: String?

    @Option(help: "YAML file with the same names as these options.")
    var config: String?

    func run() async throws {
        let logger = logging.makeLogger(label: "up")
        let logs = FileManager.default.temporaryDirectory.appendingPathComponent("baton-up-\(getpid())")
        var plan = try cluster.plan(rpc: rpc, logs: logs)
        plan.http = try http.address()
        plan.coordinatorArguments += try http.arguments + http.keyArguments(directory: logs)
        if let trace { plan.coordinatorArguments += ["--trace", trace] }
        let cluster = LocalCluster(plan: plan)
        logger.info("logs in \(logs.path)")
        try await Program.serve(ClusterService(cluster: cluster, logger: logger), logger: logger) {
            await cluster.stopAll(patience: .zero)
        }
    }
}

/// Keeps the processes of a cluster together: when one ends by itself, all do.
private struct ClusterService: Service {
    let cluster: LocalCluster
    let logger: Logger

    func run() async throws {
        do {
            try await cluster.startAll()
            let ready = Task {
                do { try await awaitReadiness() } catch is CancellationError {} catch { logger.error("\(error)") }
            }
            defer { ready.cancel() }
            var failure: ClusterStartError?
            for await (name, code) in cluster.failures.cancelOnGracefulShutdown() {
                failure = cluster.failure(of: name, code: code)
                break
            }
            await cluster.stopAll()
            if let failure { throw failure }
        } catch {
            await cluster.stopAll()
            throw error
        }
    }

    private func awaitReadiness() async throws {
        try await Readiness.wait(for: cluster.plan)
        let rpc = cluster.plan.rpc
        logger.info("ready: baton generate --rpc \(rpc) \"Once upon a time\"")
        guard let http = cluster.plan.http else { return }
        logger.info("ready: OpenAI's API at \(http.url)/v1; curl \(http.url)/v1/models")
    }
}

/// The options that `up` and `demo` share.
struct ClusterOptions: ParsableArguments {
    @Option(help: "Directory of a Hugging Face model, or a GGUF file.")
    var model: String

    @OptionGroup var shape: ClusterShape

    func plan(rpc: String, logs: URL) throws -> ClusterPlan { try shape.plan(model: model, rpc: rpc, logs: logs) }

    /// The other programs stand beside this one.
    static var programs: URL {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
        return URL(fileURLWithPath: own).deletingLastPathComponent()
    }
}

/// What the processes of a cluster are, whatever the model; `batch` has it too.
struct ClusterShape: ParsableArguments {
    @Option(help: ArgumentHelp(
        "How to serve: baton, baton-dense (on prefill and decode workers), mixed, orca, orca-padded or static (on mixed workers). The answers are the same.",
        valueName: "arm"))
    var arm: Arm?

    @Option(help: "Processes that compute prompts (default: 1, or 0 where the arm has mixed workers).")
    var prefillWorkers: Int?

    @Option(help: "Processes that generate tokens (default: 1, or 0 where the arm has mixed workers).")
    var decodeWorkers: Int?

    @Option(help: "Processes that do both in the same steps (default: 0, or 1 where the arm has mixed workers).")
    var mixedWorkers: Int?

    @Option(help: "Compute threads of each worker.")
    var threads = 1

    @Option(help: "Whether workers lend each other idle cores: auto (those of this cluster), off, or a directory, for all clusters that name it.")
    var coreLeases = "auto"

    @Option(help: "Number format of the weights: auto, float32, bfloat16 or int8.")
    var dtype = "auto"

    @Option(help: "Number format of KV: auto (as the weights), float32, bfloat16 or int8.")
    var kvDtype = "auto"

    @Option(help: "Memory for KV blocks of each worker.")
    var kvCacheMemory = ByteSize(bytes: 256 << 20)

    @Option(help: "Rows of each batch.")
    var maxNumSeqs = 8

    @Option(help: "Tokens in one step of a prefill or mixed worker.")
    var maxNumBatchedTokens = 512

    @Option(help: "Whether workers keep KV after its last use, for prompts that begin with the same tokens: on or off. The answers are the same.")
    var prefixCache = "on"

    @Option(help: "How workers are chosen: prefix (where the prompt's beginning is, unless that costs more than it saves), least-loaded or round-robin.")
    var placement = "prefix"

    func validate() throws {
        guard ["on", "off"].contains(prefixCache) else { throw ValidationError("--prefix-cache must be on or off") }
        guard PlacementPolicy(rawValue: placement) != nil else {
            let names = PlacementPolicy.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("--placement must be one of \(names), not \(placement)")
        }
        let (prefillWorkers, decodeWorkers, mixedWorkers) = workerCounts
        guard prefillWorkers >= 0, decodeWorkers >= 0, mixedWorkers >= 0 else {
            throw ValidationError("--prefill-workers, --decode-workers and --mixed-workers must not be negative")
        }
        guard (prefillWorkers > 0) == (decodeWorkers > 0) else {
            throw ValidationError("--prefill-workers and --decode-workers need each other: both must be 0, or neither")
        }
        guard !coreLeases.isEmpty else { throw ValidationError("--core-leases must be auto, off or a directory") }
        guard decodeWorkers + mixedWorkers > 0 else { throw ValidationError("a cluster needs workers") }
        if let arm, (arm.isSeparated ? decodeWorkers : mixedWorkers) == 0 {
            throw ValidationError("--arm \(arm.rawValue) needs \(arm.isSeparated ? "prefill and decode" : "mixed") workers")
        }
    }

    private var workerCounts: (prefill: Int, decode: Int, mixed: Int) {
        let isSeparated = arm?.isSeparated ?? true
        return (prefillWorkers ?? (isSeparated ? 1 : 0), decodeWorkers ?? (isSeparated ? 1 : 0), mixedWorkers ?? (isSeparated ? 0 : 1))
    }

    func plan(model: String, rpc: String, logs: URL) throws -> ClusterPlan {
        let (prefillWorkers, decodeWorkers, mixedWorkers) = workerCounts
        var plan = ClusterPlan(
            programs: ClusterOptions.programs, model: model, prefillWorkers: prefillWorkers, decodeWorkers: decodeWorkers,
            mixedWorkers: mixedWorkers, rpc: rpc, workers: try freeLoopbackEndpoint(), threads: threads, logs: logs)
        plan.workerArguments = [
            "--dtype", dtype, "--kv-dtype", kvDtype, "--kv-cache-memory", String(kvCacheMemory.bytes),
            "--max-num-seqs", String(maxNumSeqs), "--max-num-batched-tokens", String(maxNumBatchedTokens),
            "--prefix-cache", prefixCache,
        ]
        plan.coordinatorArguments += ["--placement", placement]
        plan.arm = arm
        plan.cores = ThreadTeam.allowedCores
        plan.coreLeases = switch coreLeases {
        case "auto": logs.appendingPathComponent("core-leases").path
        case "off": nil
        default: coreLeases
        }
        return plan
    }
}

extension LocalCluster {
    /// What to say of a process that ended by itself.
    nonisolated func failure(of name: String, code: Int32) -> ClusterStartError {
        let text = (try? String(contentsOf: log(of: name), encoding: .utf8)) ?? ""
        let last = text.split(separator: "\n").last.map(String.init) ?? "no output"
        return ClusterStartError(process: name, problem: "ended with code \(code): \(last) (\(log(of: name).path))")
    }

    /// Waits until a process ends by itself.
    nonisolated func firstFailure() async -> any Error {
        for await (name, code) in failures { return failure(of: name, code: code) }
        return CancellationError()
    }
}
