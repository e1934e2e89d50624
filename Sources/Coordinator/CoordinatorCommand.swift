import ArgumentParser
import ClusterCore
import Foundation
import Gateway
import Inference
import Logging
import ProgramSupport
import RequestAdmission
import ServiceLifecycle
import Tokenizer
import Transport

struct CoordinatorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "coordinator",
        abstract: "The process that clients and workers talk to: admission, placement, delivery.",
        discussion: """
            Every option may also be set as an environment variable (--max-model-len as BATON_MAX_MODEL_LEN) or as a \
            key of the YAML file named by --config.
            """,
        version: Version.current)

    @Option(help: "Directory of a Hugging Face model, or a GGUF file; only its tokenizer and configuration are read.")
    var model: String

    @Option(help: "Name under which the model is served (default: the directory's or file's name).")
    var servedModelName: String?

    @Option(help: "Where clients connect.")
    var rpc = "tcp://127.0.0.1:5550"

    @Option(help: "Where workers connect.")
    var workers = "tcp://127.0.0.1:5551"

    @Option(help: "Tokens of prompt and answer together (default: as the model allows).")
    var maxModelLen: Int?

    @Option(help: "Requests that may wait for a worker; more are refused.")
    var maxQueuedRequests = 10_000

    @Option(help: "Seconds by which a request counts as having come earlier for each step of priority.")
    var priorityHeadStart: Double = 300

    @Option(help: "Seconds between two looks at whether a query should move from one decode worker to another; 0: never.")
    var rebalanceInterval: Double = 1

    @Option(help: "How workers are chosen: prefix (where the prompt's beginning is, unless that costs more than it saves), least-loaded or round-robin.")
    var placement = PlacementPolicy.prefix

    @Option(help: "File for a trace of requests, prompts, KV and rows, for ui.perfetto.dev or chrome://tracing.")
    var trace: String?

    @OptionGroup var gateway: GatewayOptions
    @OptionGroup var jobs: JobOptions
    @OptionGroup var network: NetworkOptions
    @OptionGroup var logging: LogOptions
    @OptionGroup var parent: ParentOptions
    @OptionGroup var check: CheckOptions

    func validate() throws {
        if let maxModelLen, maxModelLen < 2 { throw ValidationError("--max-model-len must be at least 2") }
        guard maxQueuedRequests >= 1 else { throw ValidationError("--max-queued-requests must be at least 1") }
        guard (0.001...1e9).contains(priorityHeadStart) else {
            throw ValidationError("--priority-head-start must be 0.001 to 1e9 seconds, not \(priorityHeadStart)")
        }
        guard (0...1e9).contains(rebalanceInterval) else {
            throw ValidationError("--rebalance-interval must be 0 to 1e9 seconds, not \(rebalanceInterval)")
        }
    }

    func run() async throws {
        let settings = try makeSettings()
        let http = try gateway.configuration(allowsInsecureNetwork: network.insecureNetwork)
        if check.checkConfig { return print("configuration is valid") }
        parent.watch()
        DescriptorLimit.raise()
        let logger = logging.makeLogger(label: "coordinator")
        let shell = try CoordinatorShell(settings, logger: logger)
        try await shell.open()
        let chat = try gateway.chat(tokenizer: settings.admission.tokenizer, logger: logger)
        var server: Gateway?
        if let http { server = makeGateway(http, shell, settings, chat, await jobs.access(logger: logger), logger) }
        try await Program.serve(CoordinatorService(shell: shell, gateway: server), logger: logger) { await shell.drain() }
    }

    private func makeGateway(
        _ configuration: GatewayConfiguration, _ shell: CoordinatorShell, _ settings: CoordinatorShell.Settings, _ chat: ChatFormatting?,
        _ jobs: JobAccess, _ logger: Logger
    ) -> Gateway {
        let model = ServedModel(
            name: settings.scheduler.modelName, created: Int(Date().timeIntervalSince1970), admission: settings.admission)
        return Gateway(
            configuration, backend: GatewayBackend(shell: shell, model: model), chat: chat, version: Version.current, jobs: jobs,
            logger: logger
        ) { port in logger.info("HTTP at http://\(configuration.shownHost):\(port)") }
    }

    private func makeSettings() throws -> CoordinatorShell.Settings {
        let configuration = try ModelConfiguration(path: model)
        let tokenizer = try Tokenizer(modelPath: model)
        let admission = Admission(
            tokenizer: tokenizer, configuration: configuration, maxModelLength: maxModelLen ?? .max)
        return CoordinatorShell.Settings(
            rpc: try Endpoint(rpc), workers: try Endpoint(workers), security: try network.security(binding: [rpc, workers]),
            admission: admission,
            scheduler: Scheduler.Configuration(
                modelName: servedModelName ?? URL(fileURLWithPath: model).standardizedFileURL.lastPathComponent, maxModelLength: admission.maxModelLength,
                maxQueuedRequests: maxQueuedRequests,
                rebalanceInterval: rebalanceInterval > 0 ? .seconds(rebalanceInterval) : nil,
                priorityHeadStart: .seconds(priorityHeadStart), placement: placement),
            trace: trace, measures: gateway.http)
    }
}

private struct CoordinatorService: Service {
    let shell: CoordinatorShell
    /// `nil`: RPC is the only way in.
    let gateway: Gateway?

    func run() async throws {
        guard let gateway else { return try await drainWhenAsked() }
        // Detached: a signal must not reach the server by itself, which would then be deaf to whoever asks for its health
        // while it drains.
        let serving = Task.detached { try await gateway.run() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await serving.value }
            group.addTask { try await drainWhenAsked() }
            // Whichever ends first: the server does so only if it cannot serve.
            try await group.next()
            group.cancelAll()
        }
    }

    private func drainWhenAsked() async throws {
        try await gracefulShutdown()
        // Their lines would be accepted requests, which draining waits for; the store keeps them for the next coordinator.
        await gateway?.stopJobs()
        await shell.drain()
        await gateway?.shutDown()
        // The last words to clients and workers are still in the sockets' queues.
        try? await Task.sleep(for: .milliseconds(250))
        await shell.close()
    }
}
