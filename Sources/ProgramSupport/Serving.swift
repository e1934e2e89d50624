import ArgumentParser
import Dispatch
import Foundation
import Logging
import ServiceLifecycle
import Transport
import UnixSignals

extension Program {
    /// Runs a service until it ends by itself or SIGTERM or SIGINT asks it to drain.
    ///
    /// - Parameter hasten: called on every further signal while it drains; a second call of a service's drain ends it at
    ///   once.
    public static func serve(
        _ service: some Service, logger: Logger, hasten: @escaping @Sendable () async -> Void
    ) async throws {
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .error)
        let count = SignalCounter()
        let sources = [SIGTERM, SIGINT].map { number in
            let source = DispatchSource.makeSignalSource(signal: number, queue: count.queue)
            source.setEventHandler {
                count.value += 1
                if count.value > 1 { Task { await hasten() } }
            }
            source.resume()
            return source
        }
        defer { for source in sources { source.cancel() } }
        let group = ServiceGroup(
            configuration: .init(
                services: [.init(service: service, successTerminationBehavior: .gracefullyShutdownGroup)],
                gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet))
        try await group.run()
        logger.info("ended")
    }

    // @unchecked: `value` is touched on `queue` alone.
    private final class SignalCounter: @unchecked Sendable {
        let queue = DispatchQueue(label: "signals")
        var value = 0
    }
}

/// Whom sockets may face.
public struct NetworkOptions: ParsableArguments {
    @Flag(help: "Allow sockets that other machines can reach. They are not encrypted: use a network that you trust.")
    public var insecureNetwork = false

    public init() {}

    /// - Throws: `TransportError` if one of the endpoints needs the permission and has it not.
    public func security(binding endpoints: [String]) throws -> LinkSecurity {
        let security = LinkSecurity(allowsInsecureNetwork: insecureNetwork)
        for endpoint in endpoints { try security.permitBind(to: Endpoint(endpoint)) }
        return security
    }
}

/// Looking at a configuration without running it.
public struct CheckOptions: ParsableArguments {
    @Flag(help: "Check options, configuration file and model, then end.")
    public var checkConfig = false

    @Option(help: "YAML file with the same names as these options.")
    public var config: String?

    public init() {}
}
