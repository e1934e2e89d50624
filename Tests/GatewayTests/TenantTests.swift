import ClusterCore
import Generation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import JSONReader
import NIOCore
import Synchronization
import Testing

@testable import Gateway

/// Limits of API keys.
@Suite struct TenantTests {
    // MARK: The account

    private static let start = ContinuousClock.now

    @Test func tokensComeBackWithTime() {
        var account = TenantAccount(TenantLimits(tokensPerMinute: 600), at: Self.start)
        #expect(account.ask(at: Self.start) == .enters)
        account.charge(700, at: Self.start)
        // 101 tokens are missing to the first that may be used; ten come in a second.
        #expect(account.ask(at: Self.start) == .refused("600 tokens per minute", retryAfter: 11))
        #expect(account.ask(at: Self.start + .seconds(9)) != .enters)
        #expect(account.ask(at: Self.start + .seconds(11)) == .enters)
        // No more is saved up than a minute's worth.
        account.charge(600, at: Self.start + .seconds(3600))
        #expect(account.ask(at: Self.start + .seconds(3600)) != .enters)
    }

    @Test func requestsWaitAsFarAsTheyMay() {
        var account = TenantAccount(TenantLimits(concurrentRequests: 2, queuedRequests: 1), at: Self.start)
        let answers = (0..<4).map { _ in account.ask(at: Self.start) }
        #expect(answers == [.enters, .enters, .waits, .refused("2 requests at a time and 1 waiting", retryAfter: 1)])
        account.end()
        account.enterFromQueue()
        #expect(account.running == 2 && account.waiting == 0)
        #expect(account.ask(at: Self.start) == .waits)
        account.leaveQueue()
        account.end()
        #expect(account.ask(at: Self.start) == .enters)
    }

    // MARK: Waiting

    @Test func whoWaitsGetsThePlaceOrLeaves() async throws {
        let tenant = Tenant(TenantLimits(concurrentRequests: 1, queuedRequests: 2))
        let first = try await tenant.enter(ConnectionWatch())
        let (staying, leaving) = (ConnectionWatch(), ConnectionWatch())
        let gone = Task { try await tenant.enter(leaving) }
        let second = Task { try await tenant.enter(staying) }
        // Both wait now, or will: neither can have a place.
        leaving.end()
        await #expect(throws: APIError.self) { try await gone.value }
        first.giveBack()
        first.giveBack()
        let permit = try await second.value
        // Given back once, not twice: the place is taken.
        let third = Task { try await tenant.enter(staying) }
        permit.giveBack()
        _ = try await third.value
    }

    @Test func nobodyWaitsLongerThanTheClientDoes() async throws {
        let tenant = Tenant(TenantLimits(concurrentRequests: 1, queuedRequests: 1))
        let first = try await tenant.enter(ConnectionWatch())
        do {
            _ = try await tenant.enter(ConnectionWatch(), until: .now + .milliseconds(20))
            Issue.record("there was no place")
        } catch {
            #expect(error.status == 408)
        }
        // It has left the queue, and nobody holds the place that comes free.
        let next = Task { try await tenant.enter(ConnectionWatch(), until: .now + .seconds(600)) }
        first.giveBack()
        _ = try await next.value
    }

    /// How many run now, and at most.
    private final class Running: Sendable {
        private let counts = Mutex([0, 0])
        var now: Int { counts.withLock { $0[0] } }
        var most: Int { counts.withLock { $0[1] } }

        func change(by difference: Int) {
            counts.withLock { counts in
                counts[0] += difference
                counts[1] = max(counts[1], counts[0])
            }
        }
    }

    @Test func manyAtOnceNeverPassTheLimit() async throws {
        let tenant = Tenant(TenantLimits(concurrentRequests: 3, queuedRequests: 1000))
        let running = Running()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<300 {
                group.addTask {
                    let watch = ConnectionWatch()
                    if number.isMultiple(of: 7) { Task { watch.end() } }
                    guard let permit = try? await tenant.enter(watch) else { return }
                    running.change(by: 1)
                    await Task.yield()
                    running.change(by: -1)
                    permit.giveBack()
                }
            }
            try await group.waitForAll()
        }
        #expect(running.now == 0)
        #expect((1...3).contains(running.most))
        // All places are free again.
        var permits: [Tenant.Permit] = []
        for _ in 0..<3 { permits.append(try await tenant.enter(ConnectionWatch())) }
        #expect(permits.count == 3)
    }

    // MARK: Over HTTP

    private func gateway(_ line: String, _ script: FakeBackend.Script = .answers([[.init("a"), .init("b")]])) throws -> TestGateway {
        var gateway = try TestGateway(script)
        gateway.configuration.apiKeys.add(key: "free")
        var limits = TenantLimits()
        for setting in line.split(separator: " ") {
            let problem = limits.take(setting)
            #expect(problem == nil)
        }
        let isDigest = gateway.configuration.apiKeys.add(digest: APIKeys.fileLine(for: "bound").dropLast(), limits: limits)
        #expect(isDigest)
        return gateway
    }

    private func post(_ client: any TestClientProtocol, key: String, stream: Bool = false) async throws -> TestGateway.Answer {
        let body = "{\"prompt\": \"one two\", \"max_tokens\": 2, \"stream\": \(stream)}"
        return try await client.execute(
            uri: "/v1/completions", method: .post, headers: [.authorization: "Bearer \(key)", .contentType: "application/json"],
            body: .init(string: body)
        ) { TestGateway.Answer($0) }
    }

    @Test func whoUsedItsTokensIsToldWhenToComeAgain() async throws {
        let gateway = try gateway("max-tokens-per-minute=3")
        try await gateway.application().test(.router) { client in
            #expect(try await post(client, key: "bound").status == 200)
            let submitted = gateway.backend.submissions.count
            let refused = try await post(client, key: "bound", stream: true)
            #expect(refused.status == 429)
            let pause = try #require(refused.headers[.retryAfter].flatMap { Int($0) })
            #expect(pause >= 1)
            #expect(try refused.error().at("code").text == "rate_limit_exceeded")
            // No work was done, and others are not concerned.
            #expect(gateway.backend.submissions.count == submitted)
            #expect(try await post(client, key: "free").status == 200)
            let metrics = try await client.execute(uri: "/metrics", method: .get, headers: [.authorization: "Bearer free"]) { String(buffer: $0.body) }
            for (code, count) in [(200, 2), (429, 1)] {
                let line = metrics.split(separator: "\n").first { $0.hasPrefix("baton:http_responses_total{") && $0.contains("code=\"\(code)\"") }
                #expect(line?.hasSuffix(" \(count)") == true)
            }
        }
    }

    @Test(arguments: [false, true])
    func placesAreGivenBack(stream: Bool) async throws {
        for script in [FakeBackend.Script.answers([[.init("a")]]), .refusal(.init(code: .failed, message: "x")), .failure([.init("a")], .init(code: .failed, message: "x"))] {
            let gateway = try gateway("max-concurrent-requests=1", script)
            try await gateway.application().test(.router) { client in
                for _ in 0..<3 {
                    let status = try await post(client, key: "bound", stream: stream).status
                    #expect(status != 429)
                }
            }
        }
    }
}
