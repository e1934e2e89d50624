import ClusterCore
import Generation
import JSONReader
import Jobs
import Logging
import RequestAdmission

/// Lines of jobs as requests to the desk that serves clients: the same parameters, the same answers, behind everybody else.
struct LineAnswering: LineDesk {
    private static let mostLines = 512

    let desk: ServingDesk
    let logger: Logger

    var modelName: String { desk.backend.model.name }

    /// As many wait as the cluster has rows, so that none that comes free stays so. What requests of clients hold is not for lines.
    func room() async -> LineRoom {
        let room = await desk.backend.room()
        return LineRoom(
            lines: min(max(2 * min(room.rows, Self.mostLines), 4), Self.mostLines),
            memory: room.blockSize > 0 ? LineRoom.Memory(blocks: room.blocks, blockSize: room.blockSize) : nil)
    }

    func answer(_ line: JobLine) async -> LineReply {
        let id = Exchange.identifier("req-", .random(in: 0 ... .max))
        var logger = logger
        logger[metadataKey: "request"] = "\(id)"
        let watch = ConnectionWatch()
        let exchange = Exchange(id: id, logger: logger, watch: watch)
        // The job is to the desk what a connection is: when it goes, so does what it asked for.
        let reply = await withTaskCancellationHandler {
            do throws(APIError) {
                return try await desk.reply(to: line, exchange)
            } catch {
                return Reply(error)
            }
        } onCancel: {
            watch.end()
        }
        guard case .whole(let body) = reply.body else { return LineReply(status: 500, body: Array("null".utf8), requestID: id) }
        return LineReply(status: reply.status, body: body, requestID: id, usage: Batch.Usage(answer: body))
    }

    func outline(of line: JobLine) async -> LineOutline? { try? await desk.outline(of: line) }
}

extension ServingDesk {
    func reply(to line: JobLine, _ exchange: Exchange) async throws(APIError) -> Reply {
        let body = try Self.body(of: line)
        switch line.endpoint {
        case .completions:
            var request = try CompletionRequest(body)
            try request.shared.settle(for: line)
            return try await complete(request, exchange)
        case .chatCompletions:
            var request = try ChatRequest(body)
            try request.shared.settle(for: line)
            return try await chat(request, exchange)
        }
    }

    /// What the line will take: its prompt, or the first of them, and how long the answer may be.
    func outline(of line: JobLine) async throws(APIError) -> LineOutline {
        let body = try Self.body(of: line)
        let tokens: [TokenID]
        var promptCount = 1
        let shared: SharedParameters
        let maxTokens: Int32?
        switch line.endpoint {
        case .completions:
            let request = try CompletionRequest(body)
            guard let prompt = request.prompts.first else { throw .invalid("prompt", "is empty") }
            tokens = try await encoder.tokens(of: prompt, addsSpecialTokens: request.addsSpecialTokens, parameter: "prompt")
            (shared, maxTokens, promptCount) = (request.shared, request.maxTokens ?? CompletionRequest.usualMaxTokens, request.prompts.count)
        case .chatCompletions:
            let request = try ChatRequest(body)
            let prompt = try formatting().prompt(of: request.conversation)
            tokens = try await encoder.tokens(of: prompt, addsSpecialTokens: false, parameter: "messages")
            (shared, maxTokens) = (request.shared, request.maxTokens)
        }
        let room = max(0, backend.model.admission.maxModelLength - tokens.count)
        return LineOutline(
            prompt: tokens, maxTokens: min(maxTokens.map(Int.init) ?? room, room), promptCount: promptCount, choiceCount: shared.choices,
            hasFixedLength: shared.ignoresEndTokens && shared.stop.isEmpty && shared.stopTokens.isEmpty)
    }

    /// The body of a line's request. That there is one was seen when the file was read.
    private static func body(of line: JobLine) throws(APIError) -> JSONObject {
        let document: JSONDocument
        do {
            document = try JSONDocument(file: "line", source: line.request)
        } catch {
            throw APIError(400, "the line is not valid JSON: \(error)", code: "invalid_json")
        }
        guard let body = document.root.object?["body"]?.object else { throw .invalid("body", "must be a JSON object") }
        return body
    }
}

extension SharedParameters {
    /// What a line has from its job.
    fileprivate mutating func settle(for line: JobLine) throws(APIError) {
        if streams { throw .invalid("stream", "a line of a batch is answered as a whole") }
        seed = seed ?? line.seed
        priority = .low
        if let id = line.groupID, let planned = line.plan?.group {
            group = PrefixGroup(id: id, prefixCount: Int32(clamping: planned.prefixTokens), memberCount: Int32(clamping: planned.lineCount))
        }
    }
}

extension Batch.Usage {
    /// What the body of an answer says; zero if it says nothing, as errors do.
    init(answer body: [UInt8]) {
        self.init()
        guard let usage = (try? JSONDocument(file: "answer", source: body))?.root.object?["usage"]?.object else { return }
        promptTokens = Int64(usage["prompt_tokens"]?.integer ?? 0)
        completionTokens = Int64(usage["completion_tokens"]?.integer ?? 0)
        cachedTokens = Int64(usage["prompt_tokens_details"]?.object?["cached_tokens"]?.integer ?? 0)
    }
}
