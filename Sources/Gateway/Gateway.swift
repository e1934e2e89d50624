import Hummingbird
import HummingbirdCore
import Jobs
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle

/// The HTTP server: OpenAI's routes in front of a cluster.
public final class Gateway: Sendable {
    private let group: ServiceGroup
    private let threads: MultiThreadedEventLoopGroup
    /// Works on batch jobs; `nil`: there are none.
    private let runner: JobRunner?

    /// - Parameters:
    ///   - chat: `nil`: the model has no chat template, and chats are refused.
    ///   - version: told at `/version`.
    ///   - jobs: where batch jobs are kept.
    ///   - onListening: called with the port once clients can connect.
    public init(
        _ configuration: GatewayConfiguration, backend: any ServingBackend, chat: ChatFormatting?, version: String,
        jobs: JobAccess = .off, logger: Logger, onListening: @escaping @Sendable (Int) -> Void
    ) {
        // Answers are made elsewhere; to pass them on takes a few percent of one core.
        threads = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        runner = Self.runner(for: jobs, backend: backend, chat: chat, logger: logger)
        let application = Self.application(
            configuration, backend: backend, chat: chat, version: version, jobs: JobDesk(access: jobs, runner: runner), threads: threads,
            logger: logger, onListening: onListening)
        group = ServiceGroup(configuration: .init(services: [application], logger: Self.quiet(logger)))
    }

    /// Serves until ``shutDown()`` is called.
    ///
    /// - Throws: whatever keeps the address from being bound.
    public func run() async throws {
        let jobs = runner.map { runner in Task { await runner.run() } }
        do {
            try await group.run()
        } catch {
            await stopJobs()
            await jobs?.value
            try? await threads.shutdownGracefully()
            throw error
        }
        await stopJobs()
        await jobs?.value
        try await threads.shutdownGracefully()
    }

    /// Lets go of the lines of jobs; whoever opens their store next goes on with them.
    public func stopJobs() async { runner?.stop() }

    /// Lines are tokenized beside the requests of clients, not before them.
    static func runner(for jobs: JobAccess, backend: any ServingBackend, chat: ChatFormatting?, logger: Logger) -> JobRunner? {
        guard case .open(let store, let settings) = jobs else { return nil }
        let desk = LineAnswering(desk: ServingDesk(backend: backend, chat: chat, version: ""), logger: logger)
        return JobRunner(store: store, desk: desk, planner: PrefixPlanner(), settings: settings, logger: logger)
    }

    /// Accepts no more connections and ends those that are open when their requests have been answered.
    public func shutDown() async { await group.triggerGracefulShutdown() }

    static func application(
        _ configuration: GatewayConfiguration, backend: any ServingBackend, chat: ChatFormatting?, version: String,
        jobs: JobDesk = JobDesk(access: .off), threads: any EventLoopGroup, logger: Logger, onListening: @escaping @Sendable (Int) -> Void
    ) -> Application<GatewayResponder> {
        let connections = Connections()
        let desk = ServingDesk(backend: backend, chat: chat, version: version, deliveries: connections.deliveries, replies: connections.replies, jobs: jobs)
        let channel = HTTP1Channel.Configuration(
            additionalChannelHandlers: [
                ConnectionHandler(
                    connections: connections, headTimeout: .init(configuration.idleTimeout), bodyTimeout: .init(configuration.bodyTimeout),
                    uploadTimeout: .init(configuration.uploadTimeout),
                    stallTimeout: .init(configuration.stallTimeout))
            ],
            idleTimeout: .init(configuration.idleTimeout),
            httpDecoderConfiguration: .init(
                maxHeaderFieldSize: configuration.maxHeaderBytes, maxHeaderListSize: configuration.maxHeaderBytes,
                maxHeaderFieldCount: 100))
        return Application(
            responder: GatewayResponder(
                desk: desk, configuration: configuration, connections: connections, logger: logger),
            server: .http1(configuration: channel),
            configuration: ApplicationConfiguration(
                address: .hostname(configuration.host, port: configuration.port), serverName: "baton/\(version)", backlog: 4096,
                availableConnectionsDelegate: MaximumAvailableConnections(configuration.maxConnections, logger: quiet(logger))),
            onServerRunning: { channel in onListening(channel.localAddress?.port ?? configuration.port) },
            eventLoopGroupProvider: .shared(threads), logger: quiet(logger))
    }

    /// What the server says of itself is of interest only if it goes wrong.
    private static func quiet(_ logger: Logger) -> Logger {
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .error)
        return quiet
    }
}
