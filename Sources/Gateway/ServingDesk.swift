import ClusterCore
import Crypto
import Generation
import JSONReader
import Logging
import RequestAdmission
import Tokenizer

/// What every route answers.
struct ServingDesk: Sendable {
    let backend: any ServingBackend
    let chat: ChatFormatting?
    /// Of all programs, for `/version`.
    let version: String
    private let deliveries: DeliveryTimes
    private let replies: ReplyCounts
    let jobs: JobDesk
    let encoder: PromptEncoder
    private let lengths: LengthCheck

    init(
        backend: any ServingBackend, chat: ChatFormatting?, version: String, deliveries: DeliveryTimes = DeliveryTimes(),
        replies: ReplyCounts = ReplyCounts(), jobs: JobDesk = JobDesk(access: .off)
    ) {
        self.backend = backend
        self.chat = chat
        self.version = version
        self.deliveries = deliveries
        self.replies = replies
        self.jobs = jobs
        encoder = PromptEncoder(tokenizer: backend.model.admission.tokenizer)
        lengths = LengthCheck(limit: backend.model.admission.maxModelLength)
    }

    private var tokenizer: Tokenizer { backend.model.admission.tokenizer }

    /// - Parameter body: of routes that have one.
    func reply(to route: Route, body: JSONObject?, _ exchange: Exchange) async throws(APIError) -> Reply {
        switch (route, body) {
        case (.completions, let body?): try await complete(try CompletionRequest(body), exchange)
        case (.chatCompletions, let body?): try await chat(try ChatRequest(body), exchange)
        case (.tokenize, let body?): try await tokenize(try TokenizeRequest(body))
        case (.detokenize, let body?): try detokenize(try DetokenizeRequest(body))
        case (.models, _): Reply(["object": "list", "data": [modelObject]])
        case (.model(let name), _): try model(name)
        case (.liveness, _): Reply(["status": "ok"])
        case (.health, _), (.readiness, _): try await readiness()
        case (.version, _): Reply(["version": .string(version)])
        case (.metrics, _): await metrics()
        case (.jobs, let body?): try await jobs.create(body, model: backend.model.name)
        case (.completions, nil), (.chatCompletions, nil), (.tokenize, nil), (.detokenize, nil), (.jobs, nil): throw .cutBody
        }
    }

    // MARK: Generation

    func complete(_ request: CompletionRequest, _ exchange: Exchange) async throws(APIError) -> Reply {
        try check(model: request.shared.model)
        let permit = try await exchange.tenant?.enter(exchange.watch, until: exchange.end(of: request.shared)), reception = try await enter()
        var prompts: [[TokenID]] = []
        var submissions: [Submission] = []
        for prompt in request.prompts {
            let tokens = try await encoder.tokens(
                of: prompt, addsSpecialTokens: request.addsSpecialTokens, parameter: "prompt")
            let maxTokens = try lengths.maxTokens(
                request.maxTokens, usual: CompletionRequest.usualMaxTokens, promptCount: tokens.count, parameter: "prompt")
            var submission = request.shared.submission(
                tokens, maxTokens: maxTokens, timeout: try timeLeft(request.shared, exchange))
            submission.logprobs = request.logprobs.map { Int32($0) }
            // A prompt that is echoed is also scored, if there is nothing else to be done.
            submission.promptLogprobs = request.echoes ? submission.logprobs ?? (maxTokens == 0 ? 0 : nil) : nil
            submission.constraint = request.constraint
            prompts.append(tokens)
            submissions.append(submission)
        }
        let format = CompletionFormat(request, prompts: prompts, head: head("cmpl-", reception), tokenizer: tokenizer)
        return try await deliver(submissions, format, streams: request.shared.streams, permit, exchange)
    }

    func chat(_ request: ChatRequest, _ exchange: Exchange) async throws(APIError) -> Reply {
        try check(model: request.shared.model)
        let permit = try await exchange.tenant?.enter(exchange.watch, until: exchange.end(of: request.shared)), reception = try await enter()
        let chat = try formatting()
        let call = request.tools.required.isEmpty ? nil : try chat.requiredCall(of: request.tools.required)
        let prompt = try chat.prompt(of: request.conversation) + (call?.prefix ?? "")
        let tokens = try await encoder.tokens(of: prompt, addsSpecialTokens: false, parameter: "messages")
        let maxTokens = try lengths.maxTokens(
            request.maxTokens, usual: nil, promptCount: tokens.count, parameter: "messages")
        var submission = request.shared.submission(
            tokens, maxTokens: maxTokens, timeout: try timeLeft(request.shared, exchange))
        submission.logprobs = request.logprobs.map { Int32($0) }
        submission.constraint = call?.constraint ?? request.constraint
        if request.tools.shown != nil { submission.keptTokens = chat.toolCallTokens }
        let format = ChatFormat(request, chat: chat, requiredCall: call, head: head("chatcmpl-", reception), tokenizer: tokenizer)
        return try await deliver([submission], format, streams: request.shared.streams, permit, exchange)
    }

    private func deliver(
        _ submissions: [Submission], _ format: some AnswerFormat, streams: Bool, _ permit: Tenant.Permit?, _ exchange: Exchange
    ) async throws(APIError) -> Reply {
        let delivery = AnswerDelivery(answers: backend.submit(submissions), permit: permit, exchange: exchange)
        return streams ? try await delivery.stream(format) : try await delivery.whole(format)
    }

    func formatting() throws(APIError) -> ChatFormatting {
        guard let chat else {
            throw APIError(400, "this model has no chat template", parameter: "messages", code: "no_chat_template")
        }
        return chat
    }

    /// `nil` and the one served are fine.
    private func check(model name: String?) throws(APIError) {
        if let name, name != backend.model.name { throw .noModel(name, served: backend.model.name) }
    }

    /// Nothing is tokenized for a request that would be refused.
    private func enter() async throws(APIError) -> Reception {
        let reception = await backend.reception()
        if let failure = reception.refusal { throw APIError(failure) }
        return reception
    }

    /// The client's time runs from the arrival of the request.
    private func timeLeft(_ shared: SharedParameters, _ exchange: Exchange) throws(APIError) -> Duration? {
        guard let timeout = shared.timeout else { return nil }
        let left = timeout - (.now - exchange.arrival)
        guard left > .zero else {
            throw .expired
        }
        return left
    }

    private func head(_ prefix: String, _ reception: Reception) -> AnswerHead {
        let seed = UInt64.random(in: 0 ... .max)
        return AnswerHead(
            id: Exchange.identifier(prefix, seed), seed: seed, created: WallClock.seconds, model: backend.model.name,
            fingerprint: reception.numerics?.fingerprint)
    }

    // MARK: Tokens

    private func tokenize(_ request: TokenizeRequest) async throws(APIError) -> Reply {
        try check(model: request.model)
        let tokens: [TokenID]
        switch request.source {
        case .text(let text):
            tokens = try await encoder.tokens(of: text, addsSpecialTokens: request.addsSpecialTokens, parameter: "prompt")
        case .chat(let chat):
            tokens = try await encoder.tokens(
                of: try formatting().prompt(of: chat.conversation), addsSpecialTokens: request.addsSpecialTokens,
                parameter: "messages")
        }
        let texts = tokens.map { token in JSONText(tokenizer.token(token)) }
        return Reply([
            "count": .integer(tokens.count), "max_model_len": .integer(lengths.limit),
            "tokens": .array(tokens.map { .integer(Int($0)) }), "token_strs": request.returnsTexts ? .array(texts) : .null,
        ])
    }

    private func detokenize(_ request: DetokenizeRequest) throws(APIError) -> Reply {
        try check(model: request.model)
        let bound = tokenizer.idBound
        if let stranger = request.tokens.first(where: { Int($0) >= bound }) {
            throw .invalid("tokens", "\(stranger) is outside the vocabulary of \(bound)")
        }
        return Reply(["prompt": .string(tokenizer.decode(request.tokens, skipSpecialTokens: false))])
    }

    // MARK: The server itself

    private var modelObject: JSONText {
        let model = backend.model
        return [
            "id": .string(model.name), "object": "model", "created": .integer(model.created), "owned_by": "baton",
            "root": .string(model.name), "parent": .null, "max_model_len": .integer(lengths.limit),
        ]
    }

    private func model(_ name: String) throws(APIError) -> Reply {
        guard name == backend.model.name else { throw .noModel(name, served: backend.model.name) }
        return Reply(modelObject)
    }

    private func readiness() async throws(APIError) -> Reply {
        let status = await backend.status()
        if status.isReady { return Reply(["status": "ok"]) }
        let reason = status.draining ? "the server is shutting down" : "no workers are ready"
        throw APIError(503, reason, type: "server_error", code: "not_ready", retryAfter: APIError.retryPause)
    }

    private func metrics() async -> Reply {
        let text = PrometheusText(
            metrics: await backend.measurements(), status: await backend.status(), deliveries: deliveries.histogram,
            replies: replies.all, jobs: await jobs.measurements(), model: backend.model.name)
        return Reply(text: text.text, contentType: PrometheusText.contentType)
    }
}

extension NumericsClass {
    /// Equal for equal classes, in the shape of OpenAI's `system_fingerprint`.
    var fingerprint: String {
        let fields = [modelHash, weightFormat, kvFormat, kernelFamily, String(canary)]
        let digest = SHA256.hash(data: Array(fields.joined(separator: "\n").utf8))
        return "fp_" + digest.prefix(6).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }
}
