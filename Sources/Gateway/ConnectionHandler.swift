import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1

/// What has to be seen of a connection while its requests are being answered elsewhere: that the client has gone, that
/// what it sends is no HTTP, that it takes for ever over a body or leaves what it is sent unread.
final class ConnectionHandler: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    /// How long a client that was refused may go on sending before its connection is cut. Cut at once, it might lose
    /// the answer that says why.
    private static let lingerTime = TimeAmount.seconds(2)

    private let connections: Connections
    private let bodyTimeout: TimeAmount
    private let uploadTimeout: TimeAmount
    private let stallTimeout: TimeAmount
    private let headTimeout: TimeAmount
    private var watch: ConnectionWatch?
    private(set) var sender: StreamSender?
    /// Requests whose answer has not ended.
    private var openRequests = 0
    /// The head of an answer is out, its end is not.
    private var isAnswering = false
    /// The connection ends with the answer that is being sent.
    private var closesAfterAnswer = false
    /// Nothing that comes or goes matters any more.
    private var isClosing = false
    private var bodyDeadline: Scheduled<Void>?
    private var stallDeadline: Scheduled<Void>?
    private var headDeadline: Scheduled<Void>?

    init(
        connections: Connections, headTimeout: TimeAmount, bodyTimeout: TimeAmount, uploadTimeout: TimeAmount, stallTimeout: TimeAmount
    ) {
        self.connections = connections
        self.headTimeout = headTimeout
        self.bodyTimeout = bodyTimeout
        self.uploadTimeout = uploadTimeout
        self.stallTimeout = stallTimeout
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let sender: StreamSender
        do { sender = try StreamSender(context, deliveries: connections.deliveries) } catch {
            preconditionFailure("this handler stands behind the one that writes HTTP: \(error)")
        }
        self.sender = sender
        watch = connections.open(context.channel, StreamOutlet(sender, on: context.eventLoop))
        awaitHead(context)
    }

    /// The server's own timer for connections without a request begins anew with every byte, so that drops of a head would keep one open
    /// for ever.
    private func awaitHead(_ context: ChannelHandlerContext) {
        headDeadline = context.eventLoop.assumeIsolated().scheduleTask(in: headTimeout) { [self] in close(context) }
    }

    func handlerRemoved(context: ChannelHandlerContext) { end(context) }

    func channelInactive(context: ChannelHandlerContext) {
        end(context)
        context.fireChannelInactive()
    }

    private func end(_ context: ChannelHandlerContext) {
        headDeadline?.cancel()
        bodyDeadline?.cancel()
        stallDeadline?.cancel()
        connections.close(context.channel)
        watch?.end()
        watch = nil
        sender?.abandon()
        sender = nil
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // Its end of the connection is closed: nobody waits for what is being made.
        if case ChannelEvent.inputClosed = event { watch?.end() }
        context.fireUserInboundEventTriggered(event)
    }

    // MARK: What comes

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isClosing else { return }
        switch unwrapInboundIn(data) {
        case .head(let head):
            openRequests += 1
            headDeadline?.cancel()
            if head.headerFields[.expect]?.lowercased() == "100-continue" {
                context.writeAndFlush(wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
            }
            let patience = head.path?.hasPrefix("/v1/files") == true ? uploadTimeout : bodyTimeout
            bodyDeadline = context.eventLoop.assumeIsolated().scheduleTask(in: patience) { [self] in
                refuse(context, .slowBody)
            }
        case .body: break
        case .end: bodyDeadline?.cancel()
        }
        context.fireChannelRead(data)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case HTTPParserError.headerOverflow:
            refuse(context, APIError(431, "the headers are too long", code: "headers_too_large"))
        case HTTPParserError.invalidEOFState: close(context)
        case is HTTPParserError, is HTTP1TypeConversionError:
            refuse(context, APIError(400, "this is not HTTP: \(error)", code: "invalid_http"))
        default: context.fireErrorCaught(error)
        }
    }

    /// Answers in place of whoever works on the request, and ends the connection.
    private func refuse(_ context: ChannelHandlerContext, _ error: APIError) {
        guard !isClosing else { return }
        watch?.end()
        guard !isAnswering else { return close(context) }
        let body = error.body.utf8
        var fields = HTTPFields()
        fields[.contentType] = "application/json"
        fields[.contentLength] = String(body.count)
        fields[.connection] = "close"
        let head = HTTPResponse(status: .init(code: error.status), headerFields: fields)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(ByteBuffer(bytes: body))), promise: nil)
        context.write(wrapOutboundOut(.end(nil)), promise: nil)
        linger(context)
    }

    private func close(_ context: ChannelHandlerContext) {
        isClosing = true
        context.close(promise: nil)
    }

    private func linger(_ context: ChannelHandlerContext) {
        isClosing = true
        bodyDeadline?.cancel()
        context.flush()
        let loop = context.eventLoop.assumeIsolated()
        loop.scheduleTask(in: Self.lingerTime) { context.close(promise: nil) }
        context.close(mode: .output, promise: nil)
    }

    // MARK: What goes

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        stallDeadline?.cancel()
        if !context.channel.isWritable, !isClosing {
            stallDeadline = context.eventLoop.assumeIsolated().scheduleTask(in: stallTimeout) { [self] in
                watch?.end()
                close(context)
            }
        }
        sender?.resume()
        context.fireChannelWritabilityChanged()
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard !isClosing else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        switch unwrapOutboundIn(data) {
        case .head(let head):
            if head.status.kind != .informational { isAnswering = true }
            closesAfterAnswer = head.headerFields[.connection]?.lowercased() == "close"
            context.write(data, promise: promise)
            if isAnswering { sender?.open() }
        case .body: context.write(data, promise: promise)
        case .end:
            isAnswering = false
            sender?.close()
            openRequests -= 1
            context.write(data, promise: promise)
            if closesAfterAnswer { linger(context) } else if openRequests == 0, !isClosing { awaitHead(context) }
        }
    }
}
