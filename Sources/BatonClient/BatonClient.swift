import ClusterCore
import Generation
import Transport
import Wire

/// A connection to a coordinator's RPC endpoint.
///
/// Requests run side by side over one connection. Every answer either arrives whole, each token once and in order, or
/// its stream throws; a stream that a consumer stops reading cancels its request.
///
/// ```swift
/// let client = try await BatonClient.connect(to: "tcp://127.0.0.1:5550")
/// for try await event in client.generate(Submission(prompt: .text("Once upon a time"), sampling: .greedy)) {
///     if case .tokens(_, _, _, let text) = event { print(text, terminator: "") }
/// }
/// ```
public actor BatonClient {
    private typealias Stream = AsyncThrowingStream<AnswerEvent, any Error>

    private struct OpenAnswer {
        var continuation: Stream.Continuation
        var assembly = AnswerAssembly()
    }

    /// Silence after which the coordinator is taken for gone while anything is open.
    private static let patience = Duration.seconds(5)
    private static let pingInterval = Duration.seconds(1)

    private let endpoint: String
    private let thread: SocketThread
    private var link: DealerLink<ServerMessage, ClientMessage>?
    private var server: ServerHello?
    private var lastHeard = ContinuousClock.now
    private var nextKey: UInt64 = 1
    private var answers: [UInt64: OpenAnswer] = [:]
    private var helloWaiters: [CheckedContinuation<ServerHello, any Error>] = []
    private var statusWaiters: [CheckedContinuation<ClusterStatus, any Error>] = []
    private var watchers: [UInt64: AsyncThrowingStream<ClusterEvent, any Error>.Continuation] = [:]
    private var isClosed = false
    /// Whether the coordinator knows this connection.
    private var isGreeted = false
    private var pinging: Task<Void, Never>?

    public nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    /// Connects and waits for the coordinator's greeting.
    ///
    /// - Parameters:
    ///   - endpoint: e.g. `tcp://127.0.0.1:5550`.
    ///   - name: shown in the coordinator's logs.
    /// - Throws: ``ClientError/unreachable(endpoint:waited:)``, or a `TransportError` for a malformed endpoint.
    public static func connect(
        to endpoint: String, name: String = "client", timeout: Duration = .seconds(5)
    ) async throws -> BatonClient {
        let client = try BatonClient(endpoint: endpoint)
        do {
            try await client.open(name: name, timeout: timeout)
        } catch {
            await client.close()
            throw error
        }
        return client
    }

    private init(endpoint: String) throws {
        self.endpoint = endpoint
        thread = try SocketThread(name: "baton-client")
    }

    /// Only now: a call on a closed client still has to run to find out that it is closed.
    deinit {
        pinging?.cancel()
        thread.stop()
    }

    private func open(name: String, timeout: Duration) async throws {
        link = try DealerLink(
            thread: thread, connect: Endpoint(endpoint),
            receive: { [weak self] result in self?.assumeIsolated { $0.receive(result) } },
            disconnected: { [weak self] in self?.assumeIsolated { $0.connectionEnded() } })
        let deadline = Instant.now + timeout
        server = try await withCheckedThrowingContinuation { waiter in
            helloWaiters.append(waiter)
            greet(as: name, until: deadline, patience: timeout)
        }
        pinging = Task { [weak self] in
            while !Task.isCancelled {
                try? await Task.sleep(for: Self.pingInterval)
                await self?.ping()
            }
        }
    }

    /// Until the connection is there, a greeting goes nowhere.
    private func greet(as name: String, until deadline: Instant, patience: Duration) {
        guard !helloWaiters.isEmpty else { return }
        guard Instant.now < deadline else {
            return failHello(ClientError.unreachable(endpoint: endpoint, waited: patience))
        }
        _ = try? link?.send(.hello(clientName: name))
        _ = thread.schedule(at: .now + .milliseconds(20)) { [weak self] in
            self?.assumeIsolated { $0.greet(as: name, until: deadline, patience: patience) }
        }
    }

    /// What the coordinator said of itself.
    public var serverHello: ServerHello? { server }

    /// Sends a request and streams its answer.
    ///
    /// The stream throws `RequestFailure` when the cluster refuses or fails the request and ``ClientError`` when the
    /// connection does. Ending the iteration early cancels the request.
    public nonisolated func generate(_ submission: Submission) -> AsyncThrowingStream<AnswerEvent, any Error> {
        let (stream, continuation) = Stream.makeStream()
        let start = Task { await self.start(submission, continuation) }
        continuation.onTermination = { reason in
            guard case .cancelled = reason else { return }
            Task {
                if let key = await start.value { await self.cancel(key) }
            }
        }
        return stream
    }

    /// Sends a request and waits for the whole answer.
    public nonisolated func answer(to submission: Submission) async throws -> Answer {
        var assembly = AnswerAssembly()
        for try await event in generate(submission) {
            try assembly.take(event)
            if let answer = assembly.answer { return answer }
        }
        throw CancellationError()
    }

    /// A picture of the cluster.
    public func status() async throws -> ClusterStatus {
        beginListening()
        try send(.status)
        return try await withCheckedThrowingContinuation { statusWaiters.append($0) }
    }

    /// What happens in the cluster from now on.
    public func watch() throws -> AsyncThrowingStream<ClusterEvent, any Error> {
        let (stream, continuation) = AsyncThrowingStream<ClusterEvent, any Error>.makeStream()
        beginListening()
        let key = nextKey
        nextKey += 1
        watchers[key] = continuation
        continuation.onTermination = { _ in Task { await self.stopWatching(key) } }
        try send(.watch)
        return stream
    }

    /// Ends the connection; whatever is open fails with ``ClientError/closed``.
    public func close() {
        guard !isClosed else { return }
        isClosed = true
        pinging?.cancel()
        failEverything(ClientError.closed)
        link?.close()
        link = nil
    }
}

// MARK: - Requests

extension BatonClient {
    private func start(_ submission: Submission, _ continuation: Stream.Continuation) -> UInt64? {
        let key = nextKey
        nextKey += 1
        do {
            beginListening()
            guard isGreeted else { throw ClientError.connectionLost("not connected again yet") }
            answers[key] = OpenAnswer(continuation: continuation)
            try send(.submit(key: key, submission))
            return key
        } catch {
            answers[key] = nil
            continuation.finish(throwing: error)
            return nil
        }
    }

    /// Silence counts from when somebody begins to wait.
    private func beginListening() {
        if answers.isEmpty, statusWaiters.isEmpty, watchers.isEmpty { lastHeard = .now }
    }

    private func cancel(_ key: UInt64) {
        guard answers.removeValue(forKey: key) != nil else { return }
        try? send(.cancel(key: key))
    }

    private func stopWatching(_ key: UInt64) { watchers[key] = nil }

    private func send(_ message: ClientMessage) throws {
        guard let link, !isClosed else { throw ClientError.closed }
        guard try link.send(message) else { throw ClientError.connectionLost("its send queue is full") }
    }
}

// MARK: - What arrives

extension BatonClient {
    private func receive(_ result: Result<ServerMessage, WireError>) {
        lastHeard = .now
        switch result {
        case .success(let message): take(message)
        case .failure(let error): failEverything(ClientError.brokenStream("\(error)"))
        }
    }

    private func take(_ message: ServerMessage) {
        switch message {
        case .hello(let hello):
            if let server, server.epoch != hello.epoch { coordinatorRestarted() }
            server = hello
            isGreeted = true
            for waiter in helloWaiters { waiter.resume(returning: hello) }
            helloWaiters = []
        case .accepted(let key, let acceptance): deliver(.accepted(acceptance), to: key)
        case .prompt(let key, let first, let tokens): deliver(.prompt(first: first, tokens: tokens), to: key)
        case .tokens(let key, let choice, let firstIndex, let tokens, let text):
            deliver(.tokens(choice: choice, firstIndex: firstIndex, tokens: tokens, text: text), to: key)
        case .finished(let key, let choice, let completion): deliver(.finished(choice: choice, completion), to: key)
        case .failed(let key, let failure): answers.removeValue(forKey: key)?.continuation.finish(throwing: failure)
        case .pong(let epoch):
            if let server, server.epoch != epoch { coordinatorRestarted() }
        case .unknownClient:
            coordinatorRestarted()
            isGreeted = false
            greetAgain()
        case .status(let status):
            if !statusWaiters.isEmpty { statusWaiters.removeFirst().resume(returning: status) }
        case .event(let event):
            for watcher in watchers.values { watcher.yield(event) }
        }
    }

    private func deliver(_ event: AnswerEvent, to key: UInt64) {
        guard var answer = answers[key] else { return }
        do {
            try answer.assembly.take(event)
            answer.continuation.yield(event)
            answers[key] = answer
            guard answer.assembly.isFinished else { return }
            answer.continuation.finish()
        } catch {
            answer.continuation.finish(throwing: error)
            try? send(.cancel(key: key))
        }
        answers[key] = nil
    }
}

// MARK: - The connection

extension BatonClient {
    private func ping() {
        let isWaiting = !answers.isEmpty || !statusWaiters.isEmpty || !watchers.isEmpty
        if isWaiting, ContinuousClock.now - lastHeard > Self.patience {
            failEverything(ClientError.connectionLost("silent for \(Self.patience)"))
        }
        try? send(.ping)
    }

    private func connectionEnded() {
        failEverything(ClientError.connectionLost("the coordinator closed it"))
        isGreeted = false
        greetAgain()
    }

    /// The socket reconnects by itself; the greeting makes this client known again.
    private func greetAgain() {
        guard !isClosed, !isGreeted, helloWaiters.isEmpty else { return }
        _ = try? link?.send(.hello(clientName: "returning"))
        _ = thread.schedule(at: .now + .milliseconds(100)) { [weak self] in self?.assumeIsolated { $0.greetAgain() } }
    }

    private func coordinatorRestarted() {
        failEverything(ClientError.connectionLost("the coordinator restarted"))
    }

    private func failHello(_ error: any Error) {
        for waiter in helloWaiters { waiter.resume(throwing: error) }
        helloWaiters = []
    }

    private func failEverything(_ error: any Error) {
        if isClosed { failHello(error) }
        for answer in answers.values { answer.continuation.finish(throwing: error) }
        answers = [:]
        for waiter in statusWaiters { waiter.resume(throwing: error) }
        statusWaiters = []
        for watcher in watchers.values { watcher.finish(throwing: error) }
        watchers = [:]
    }
}
