import HTTPTypes
import NIOCore
import NIOEmbedded
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1
import Synchronization
import Testing

@testable import Gateway

/// Streams on their way through the pipeline of a connection, without a socket.
@Suite struct StreamSenderTests {
    /// Pieces that a test adds when it likes.
    private final class Script: ReplyStream {
        struct State {
            var pieces: [String] = []
            var hasEnded = false
            var isAbandoned = false
            var listener: (@Sendable () -> Void)?
        }

        let state = Mutex(State())

        func add(_ pieces: String..., ends: Bool = false) {
            let listener = state.withLock { state in
                state.pieces += pieces
                state.hasEnded = ends
                return state.listener.take()
            }
            listener?()
        }

        func next(into bytes: inout [UInt8], orTell listener: @escaping @Sendable () -> Void) -> ReplyStep {
            state.withLock { state in
                if !state.pieces.isEmpty {
                    bytes += state.pieces.removeFirst().utf8
                    return .piece(arrival: .now)
                }
                if state.hasEnded { return .ended(failure: nil) }
                state.listener = listener
                return .nothingYet
            }
        }

        func abandon() { state.withLock { $0.isAbandoned = true } }

        var waiting: Int { state.withLock { $0.pieces.count } }
        var isAbandoned: Bool { state.withLock { $0.isAbandoned } }
    }

    private final class Outcome {
        var isOver = false
        var failure: (any Error)?
    }

    private let channel: EmbeddedChannel
    private let sender: StreamSender
    private let connections = Connections()

    init() throws {
        channel = EmbeddedChannel(handlers: [HTTPResponseEncoder(), HTTP1ToHTTPServerCodec(secure: false)])
        let patience = TimeAmount.hours(1)
        let handler = ConnectionHandler(
            connections: connections, headTimeout: patience, bodyTimeout: patience, uploadTimeout: patience, stallTimeout: patience)
        try channel.pipeline.syncOperations.addHandler(handler)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        sender = try #require(handler.sender)
    }

    private func send(_ stream: Script) -> Outcome {
        let outcome = Outcome()
        sender.send(stream) { failure in
            outcome.isOver = true
            outcome.failure = failure
        }
        return outcome
    }

    private func writeHead() { channel.writeAndFlush(HTTPResponsePart.head(HTTPResponse(status: .ok)), promise: nil) }

    private func written() throws -> [String] {
        channel.embeddedEventLoop.run()
        var pieces: [String] = []
        while let data = try channel.readOutbound(as: IOData.self) {
            guard case .byteBuffer(let buffer) = data else { continue }
            pieces.append(String(buffer: buffer))
        }
        return pieces
    }

    @Test func everyPieceIsOneChunkInOneBuffer() throws {
        let stream = Script()
        let outcome = send(stream)
        stream.add("first")
        // Nothing overtakes the head.
        #expect(try written() == [])
        writeHead()
        #expect(try written().dropFirst() == ["5\r\nfirst\r\n"])
        stream.add("second, and longer", "third", ends: true)
        #expect(try written() == ["12\r\nsecond, and longer\r\n", "5\r\nthird\r\n"])
        #expect(outcome.isOver && outcome.failure == nil)
        channel.writeAndFlush(HTTPResponsePart.end(nil), promise: nil)
        #expect(try written().joined() == "0\r\n\r\n")
        #expect(connections.deliveries.histogram.count == 3)
    }

    @Test func nothingIsTakenForAClientThatDoesNotRead() throws {
        let stream = Script()
        _ = send(stream)
        writeHead()
        _ = try written()
        channel.isWritable = false
        channel.pipeline.fireChannelWritabilityChanged()
        stream.add("a", "b")
        #expect(try written() == [])
        #expect(stream.waiting == 2)
        channel.isWritable = true
        channel.pipeline.fireChannelWritabilityChanged()
        #expect(try written() == ["1\r\na\r\n", "1\r\nb\r\n"])
    }

    @Test func aConnectionThatEndsAbandonsItsStream() throws {
        let stream = Script()
        let outcome = send(stream)
        writeHead()
        _ = try channel.finish(acceptAlreadyClosed: true)
        #expect(stream.isAbandoned)
        #expect(outcome.isOver && outcome.failure != nil)
        // One that comes too late learns it at once.
        let late = Script(), end = send(late)
        #expect(late.isAbandoned && end.failure != nil)
    }

    @Test func anEmptyPieceIsNoEnd() {
        var buffer = ByteBuffer()
        for count in [1, 9, 10, 15, 16, 255, 256, 70_000] {
            buffer.clear()
            buffer.writeChunk(Array(repeating: 7, count: count))
            #expect(buffer.readString(length: buffer.readableBytes - count - 2) == String(count, radix: 16) + "\r\n")
        }
        buffer.clear()
        buffer.writeChunk([])
        #expect(buffer.readableBytes == 0)
    }
}
