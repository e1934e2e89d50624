import ArgumentParser
import ClusterCore
import ProgramSupport
import Transport
import Wire

struct Ping: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Ask a worker's KV socket who it is; fails unless it belongs to a cluster.")

    @Argument(help: "The worker's endpoint, e.g. tcp://127.0.0.1:5561.")
    var endpoint: String

    @Option(help: "Seconds to wait for an answer.")
    var timeout: Double = 2

    @Option(help: "YAML file with the same names as these options.")
    var config: String?

    func run() async throws {
        let probe = try WorkerProbe()
        let welcome = try await probe.ask(try Endpoint(endpoint), patience: .milliseconds(Int64(timeout * 1000)))
        print("\(welcome.worker) serves model \(welcome.modelHash.prefix(12)), " + (welcome.isRegistered ? "registered" : "not registered"))
        guard welcome.isRegistered else { throw ExitCode.failure }
    }
}

/// Asks a worker who it is.
private actor WorkerProbe {
    private let thread: SocketThread
    private var link: DealerLink<KVReceiving, KVSending>?
    private var waiter: CheckedContinuation<KVWelcome, any Error>?

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    init() throws { thread = try SocketThread(name: "probe") }

    deinit { thread.stop() }

    func ask(_ endpoint: Endpoint, patience: Duration) async throws -> KVWelcome {
        link = try DealerLink(
            thread: thread, connect: endpoint,
            receive: { [weak self] result in self?.assumeIsolated { $0.receive(result) } })
        let deadline = Instant.now + patience
        defer { link?.close() }
        return try await withCheckedThrowingContinuation { continuation in
            waiter = continuation
            greet(endpoint, until: deadline)
        }
    }

    /// Until the connection is there, a greeting goes nowhere.
    private func greet(_ endpoint: Endpoint, until deadline: Instant) {
        guard waiter != nil else { return }
        guard Instant.now < deadline else {
            return finish(.failure(ProbeError(endpoint: "\(endpoint)")))
        }
        let hello = KVHello(worker: WorkerID("baton ping"), epoch: ClusterEpoch(0), modelHash: "")
        _ = try? link?.send(.hello(hello))
        _ = thread.schedule(at: .now + .milliseconds(50)) { [weak self] in
            self?.assumeIsolated { $0.greet(endpoint, until: deadline) }
        }
    }

    private func receive(_ result: Result<KVReceiving, WireError>) {
        switch result {
        case .success(.welcome(let welcome)): finish(.success(welcome))
        case .success: break
        case .failure(let error): finish(.failure(error))
        }
    }

    private func finish(_ result: Result<KVWelcome, any Error>) {
        waiter?.resume(with: result)
        waiter = nil
    }
}

private struct ProbeError: Error, CustomStringConvertible {
    var endpoint: String
    var description: String { "no worker answered at \(endpoint)" }
}
