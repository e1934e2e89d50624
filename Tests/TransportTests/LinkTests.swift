import ClusterCore
import Testing
import Wire

@testable import Transport

@Suite struct LinkTests {
    /// A router and a dealer that have exchanged pings.
    private func connected() async throws -> (router: Station, dealer: Station, endpoint: String) {
        let (router, dealer) = (try Station(), try Station())
        let endpoint = try await router.bind()
        try await dealer.connect(to: endpoint)
        #expect(try await eventually { try await dealer.send(.ping(1)) })
        #expect(await eventually { await router.received == [.ping(1)] })
        return (router, dealer, endpoint)
    }

    @Test func messagesGoBothWaysInOrder() async throws {
        let (router, dealer, _) = try await connected()
        for index in 2...500 { #expect(try await dealer.send(index % 9 == 0 ? .tokens(count: index) : .ping(UInt64(index)))) }
        #expect(await eventually { await router.received.count == 500 })
        let expected = (1...500).map { $0 % 9 == 0 ? ControlMessage.tokens(count: $0) : .ping(UInt64($0)) }
        #expect(await router.received == expected)
        let peer = try #require(await router.peers.first)
        #expect(await router.peers.count == 1)
        for index in 1...300 { #expect(try await router.send(.ping(UInt64(index)), to: peer) == .sent) }
        #expect(await eventually { await dealer.received.count == 300 })
        #expect(await dealer.received == (1...300).map { .ping(UInt64($0)) })
        await router.close()
        await dealer.close()
    }

    @Test func aVanishedPeerIsUnreachable() async throws {
        let (router, dealer, endpoint) = try await connected()
        let peer = try #require(await router.peers.first)
        #expect(try await router.send(.ping(1), to: PeerID(99)) == .unreachable)
        await dealer.close()
        #expect(try await eventually { try await router.send(.ping(2), to: peer) == .unreachable })
        // It comes back as somebody else.
        try await dealer.connect(to: endpoint)
        #expect(try await eventually { try await dealer.send(.ping(3)) })
        #expect(await eventually { await router.received.last == .ping(3) })
        #expect(await router.peers.count == 2)
        await router.close()
        await dealer.close()
    }

    @Test func aForgottenPeerIsKnownAgainUnderAnotherName() async throws {
        let (router, dealer, _) = try await connected()
        let peer = try #require(await router.peers.first)
        await router.forget(peer)
        #expect(try await router.send(.ping(1), to: peer) == .unreachable)
        #expect(try await dealer.send(.ping(2)))
        #expect(await eventually { await router.peers.count == 2 })
        let again = try #require(await router.peers.last)
        #expect(try await router.send(.ping(3), to: again) == .sent)
        #expect(await eventually { await dealer.received == [.ping(3)] })
        await router.close()
        await dealer.close()
    }

    @Test func aDealerSaysThatItsRouterIsGoneAndReconnects() async throws {
        let (router, dealer, endpoint) = try await connected()
        #expect(await dealer.disconnectCount == 0)
        await router.close()
        #expect(await eventually { await dealer.disconnectCount == 1 })
        #expect(try await !dealer.send(.ping(2)), "nothing is queued for nobody")
        let successor = try Station()
        // The system lets go of the port when libzmq's own thread has closed it.
        #expect(await eventually { (try? await successor.bind(endpoint)) != nil })
        #expect(try await eventually { try await dealer.send(.ping(3)) })
        #expect(await eventually { await successor.received == [.ping(3)] })
        await dealer.close()
        await successor.close()
    }

    @Test func aRouterSurvivesWhatIsNoMessage() async throws {
        let (router, dealer, endpoint) = try await connected()
        let stranger = try Station()
        try await stranger.connectBare(to: endpoint)
        let valid = try ControlMessage.ping(7).frames().map(\.bytes)
        let bad: [[[UInt8]]] = [
            [[]], [[], []], [[0xFF, 0xFF]], [[UInt8](repeating: 0, count: 5000)], valid + [[1]],
            Array(repeating: [1], count: 1000), valid + Array(repeating: [], count: 999),
        ]
        for frames in bad { #expect(try await eventually { try await stranger.sendBare(frames) }) }
        #expect(try await eventually { try await stranger.sendBare(valid) })
        #expect(await eventually { await router.received == [.ping(1), .ping(7)] })
        #expect(await router.malformedCount == bad.count)
        #expect(await router.errors.count == bad.count)
        #expect(await router.errors.contains(.headerTooLong(message: "control", byteCount: 5000)))
        #expect(try await dealer.send(.ping(8)))
        #expect(await eventually { await router.received.last == .ping(8) })
        for station in [router, dealer, stranger] { await station.close() }
    }

    @Test func aDealerSurvivesWhatIsNoMessage() async throws {
        let (stranger, dealer) = (try Station(), try Station())
        try await dealer.connect(to: stranger.bindBare())
        #expect(try await eventually { try await dealer.send(.ping(1)) })
        #expect(await eventually { await stranger.bareMessages.count == 1 })
        let name = try #require(await stranger.bareMessages.first?.first)
        let valid = try ControlMessage.ping(7).frames().map(\.bytes)
        // A good header does not make up for what follows it.
        let bad: [[[UInt8]]] = [
            [[]], [[0xFF]], valid + [[]], valid + Array(repeating: [], count: 999), Array(repeating: [1], count: 1000),
        ]
        for frames in bad + [valid] { #expect(try await stranger.sendBare([name] + frames)) }
        #expect(await eventually { await dealer.received == [.ping(7)] })
        #expect(await dealer.errors.count == bad.count)
        #expect(await dealer.disconnectCount == 0)
        await stranger.close()
        await dealer.close()
    }

    @Test func anOversizedFrameEndsOnlyItsOwnConnection() async throws {
        let (router, good, bad) = (try Station(), try Station(), try Station())
        let endpoint = try await router.bind(maxFrameBytes: 4096)
        for dealer in [good, bad] { try await dealer.connect(to: endpoint) }
        #expect(try await eventually { try await good.send(.ping(1)) })
        #expect(try await eventually { try await bad.send(.tokens(count: 1000)) })
        #expect(await eventually { await bad.disconnectCount == 1 })
        #expect(try await good.send(.ping(2)))
        #expect(await eventually { await router.received == [.ping(1), .ping(2)] })
        #expect(await good.disconnectCount == 0)
        #expect(await router.malformedCount == 0)
        // The other one is welcome again, as long as it keeps to the limit.
        #expect(try await eventually { try await bad.send(.tokens(count: 200)) })
        #expect(await eventually { await router.received.last == .tokens(count: 200) })
        for station in [router, good, bad] { await station.close() }
    }

    @Test(arguments: ["tcp://0.0.0.0:*", "tcp://*:*", "tcp://10.1.2.3:5555"])
    func othersReachNothingByAccident(_ endpoint: String) async throws {
        let station = try Station()
        await #expect(throws: TransportError.insecureBind(endpoint)) { try await station.bind(endpoint) }
    }

    @Test func theNetworkIsOpenedOnRequest() async throws {
        let station = try Station()
        let endpoint = try await station.bind("tcp://0.0.0.0:*", security: LinkSecurity(allowsInsecureNetwork: true))
        #expect(try Endpoint(endpoint).isWildcardHost)
        await station.close()
    }

    @Test(.enabled(if: hasIPv6Loopback)) func anIPv6AddressIsAsGood() async throws {
        let (router, dealer) = (try Station(), try Station())
        let endpoint = try await router.bind("tcp://[::1]:*")
        #expect(endpoint.hasPrefix("tcp://[::1]:"))
        try await dealer.connect(to: endpoint)
        #expect(try await eventually { try await dealer.send(.ping(1)) })
        #expect(await eventually { await router.received == [.ping(1)] })
        await router.close()
        await dealer.close()
    }

    @Test func aPortInUseIsNamed() async throws {
        let (first, second) = (try Station(), try Station())
        let endpoint = try await first.bind()
        let error = await #expect(throws: TransportError.self) { try await second.bind(endpoint) }
        guard case .system("bind", endpoint, _) = error else {
            Issue.record("threw \(String(describing: error))")
            return
        }
        await first.close()
    }

    @Test func aFailedConnectionLeavesNothingBehind() async throws {
        let station = try Station()
        for _ in 0..<3 { await #expect(throws: TransportError.self) { try await station.connect(to: "tcp://127.0.0.1:*") } }
        #expect(await station.socketCount == 0)
    }
}
