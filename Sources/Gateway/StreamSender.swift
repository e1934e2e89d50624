import NIOCore
import NIOHTTP1

/// Sends the streams of one connection, one at a time, from its event loop. A piece goes out as one chunk of HTTP in one buffer, written
/// past the codec: that would cut it into three writes, and a task that waited for each token would cost more than the token.
///
/// Confined to the event loop.
final class StreamSender {
    private struct Sending {
        var stream: any ReplyStream
        var done: (_ failure: (any Error)?) -> Void
    }

    private let deliveries: DeliveryTimes
    /// Of the last handler that a buffer on its way out would meet. What is written here goes to the socket as it is.
    private let exit: ChannelHandlerContext
    private var sending: Sending?
    /// The head of an answer is out, its end is not.
    private var isOpen = false
    private var isPumping = false
    private var piece: [UInt8] = []
    private var chunk: ByteBuffer
    private var wake: @Sendable () -> Void = {}

    /// - Parameter context: of a handler behind the codec.
    init(_ context: ChannelHandlerContext, deliveries: DeliveryTimes) throws {
        self.deliveries = deliveries
        exit = try context.pipeline.syncOperations.context(handlerType: HTTPResponseEncoder.self)
        chunk = context.channel.allocator.buffer(capacity: 1024)
        let loop = context.eventLoop, bound = NIOLoopBound(Weak(self), eventLoop: loop)
        wake = { loop.execute { bound.value.sender?.pump() } }
    }

    private struct Weak {
        weak var sender: StreamSender?
        init(_ sender: StreamSender) { self.sender = sender }
    }

    /// Sends all of `stream`, once the head of the answer is out. The end of the answer is left to be written.
    ///
    /// - Parameter done: called with what the stream broke off with, or that the connection has ended.
    func send(_ stream: any ReplyStream, done: @escaping (_ failure: (any Error)?) -> Void) {
        precondition(sending == nil, "two answers at a time on one connection")
        sending = Sending(stream: stream, done: done)
        guard exit.channel.isActive else { return abandon() }
        pump()
    }

    /// The head of an answer is on its way out.
    func open() {
        isOpen = true
        pump()
    }

    /// The end of an answer is on its way out.
    func close() { isOpen = false }

    /// The client reads again what it is sent.
    func resume() { pump() }

    /// Nothing goes out any more.
    func abandon() {
        isOpen = false
        guard let sending else { return }
        sending.stream.abandon()
        end(ChannelError.ioOnClosedChannel)
    }

    private func end(_ failure: (any Error)?) {
        guard let done = sending?.done else { return }
        sending = nil
        done(failure)
    }

    /// Writes what there is, as long as the client takes it.
    private func pump() {
        // Flushing may tell of a client that reads again; it is asked below.
        guard isOpen, !isPumping else { return }
        isPumping = true
        defer { isPumping = false }
        while exit.channel.isWritable, let stream = sending?.stream {
            let step = write(stream)
            exit.flush()
            switch step {
            case .piece: continue
            case .nothingYet: return
            case .ended(let failure): return end(failure)
            }
        }
    }

    /// Writes pieces until there are no more, or the client is to take some first.
    private func write(_ stream: any ReplyStream) -> ReplyStep {
        while true {
            piece.removeAll(keepingCapacity: true)
            let step = stream.next(into: &piece, orTell: wake)
            guard case .piece(let arrival) = step else { return step }
            chunk.clear()
            chunk.writeChunk(piece)
            exit.write(HTTPResponseEncoder.wrapOutboundOut(.byteBuffer(chunk)), promise: arrival.map { written(since: $0) })
            guard exit.channel.isWritable else { return step }
        }
    }

    /// Kept when the bytes are in the socket.
    private func written(since arrival: ContinuousClock.Instant) -> EventLoopPromise<Void> {
        let promise = exit.eventLoop.makePromise(of: Void.self)
        promise.futureResult.assumeIsolated().whenSuccess { [deliveries] in deliveries.note(since: arrival) }
        return promise
    }
}

/// The way to a ``StreamSender`` from elsewhere.
struct StreamOutlet: Sendable {
    private let loop: any EventLoop
    private let sender: NIOLoopBound<StreamSender>

    /// On the event loop.
    init(_ sender: StreamSender, on loop: any EventLoop) {
        self.loop = loop
        self.sender = NIOLoopBound(sender, eventLoop: loop)
    }

    /// Sends all of `stream` but its end, after what was written before.
    ///
    /// - Throws: what the stream broke off with, or that the connection has ended.
    func send(_ stream: any ReplyStream) async throws {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                loop.execute {
                    sender.value.send(stream) { failure in
                        if let failure { continuation.resume(throwing: failure) } else { continuation.resume() }
                    }
                }
            }
        } onCancel: {
            stream.abandon()
        }
    }
}

extension ByteBuffer {
    /// A chunk of a body whose transfer coding is `chunked`. Empty ones are left out: they would be its end.
    mutating func writeChunk(_ bytes: [UInt8]) {
        guard !bytes.isEmpty else { return }
        writeHexadecimal(bytes.count)
        writeStaticString("\r\n")
        writeBytes(bytes)
        writeStaticString("\r\n")
    }

    private mutating func writeHexadecimal(_ number: Int) {
        let digits = max(1, (Int.bitWidth - number.leadingZeroBitCount + 3) / 4)
        for place in (0..<digits).reversed() {
            let digit = UInt8((number >> (4 * place)) & 15)
            writeInteger(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
        }
    }
}
