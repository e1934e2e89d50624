import ClusterCore
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import JSONReader
import Jobs
import Logging
import NIOCore
import NIOPosix
import RequestAdmission
import Testing

@testable import Gateway

/// A gateway with a job store, and a runner beside it.
private struct JobGateway {
    let gateway: TestGateway
    let store: JobStore
    let runner: JobRunner
    let application: Application<GatewayResponder>

    init(_ script: FakeBackend.Script = .answers([[.init("Hello"), .init(" there")]]), limits: JobLimits = JobLimits(), keys: [String] = []) throws {
        var gateway = try TestGateway(script)
        for key in keys { gateway.configuration.apiKeys.add(key: key) }
        self.gateway = gateway
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("baton-gateway-jobs-\(UUID().uuidString)/jobs.sqlite").path
        store = try JobStore(path: path, limits: limits)
        var settings = JobRunner.Settings()
        settings.interval = .milliseconds(20)
        settings.shortestPause = .milliseconds(1)
        let access = JobAccess.open(store, settings)
        var logger = Logger(label: "gateway-test")
        logger.logLevel = .critical
        let chat = try gateway.template.map { try ChatFormatting(source: $0, tokenizer: gateway.backend.model.admission.tokenizer) }
        runner = try #require(Gateway.runner(for: access, backend: gateway.backend, chat: chat, logger: logger))
        application = Gateway.application(
            gateway.configuration, backend: gateway.backend, chat: chat, version: "1.2.3", jobs: JobDesk(access: access, runner: runner),
            threads: MultiThreadedEventLoopGroup.singleton, logger: logger
        ) { _ in }
    }

    func ask(_ method: HTTPRequest.Method, _ path: String, _ body: String? = nil, headers: HTTPFields = [:]) async throws -> TestGateway.Answer {
        try await application.test(.router) { client in
            try await client.execute(uri: path, method: method, headers: headers, body: body.map { ByteBuffer(string: $0) }) { TestGateway.Answer($0) }
        }
    }

    func upload(_ content: String, purpose: String = "batch", headers: HTTPFields = [:]) async throws -> TestGateway.Answer {
        var headers = headers
        headers[.contentType] = "multipart/form-data; boundary=xyz"
        let form = """
            --xyz\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n\(purpose)\r\n--xyz\r\n\
            Content-Disposition: form-data; name="file"; filename="in.jsonl"\r\nContent-Type: application/octet-stream\r\n\r\n\
            \(content)\r\n--xyz--\r\n
            """
        return try await ask(.post, "/v1/files", form, headers: headers)
    }

    func create(_ file: String, endpoint: String = "/v1/completions", window: String = "24h", more: String = "") async throws -> TestGateway.Answer {
        try await ask(
            .post, "/v1/batches", #"{"input_file_id": "\#(file)", "endpoint": "\#(endpoint)", "completion_window": "\#(window)"\#(more)}"#,
            headers: [.contentType: "application/json"])
    }

    /// Uploads, creates, and waits until the batch has ended.
    func run(_ lines: [String], endpoint: String = "/v1/completions") async throws -> JSONObject {
        let file = try await upload(lines.joined(separator: "\n")).json().at("id").text ?? ""
        let id = try await create(file, endpoint: endpoint).json().at("id").text ?? ""
        let work = Task { await runner.run() }
        defer { runner.stop() }
        while try await store.batch(id).status.isOpen { try await Task.sleep(for: .milliseconds(5)) }
        runner.stop()
        await work.value
        return try await ask(.get, "/v1/batches/\(id)").json()
    }

    static func line(_ id: String, _ body: String, endpoint: String = "/v1/completions") -> String {
        #"{"custom_id": "\#(id)", "method": "POST", "url": "\#(endpoint)", "body": \#(body)}"#
    }

    func lines(ofFile id: String?) async throws -> [JSONObject] {
        let text = try await ask(.get, "/v1/files/\(try #require(id))/content").text
        return try text.split(separator: "\n").map { try #require(try JSONDocument(file: "line", source: Array($0.utf8)).root.object) }
    }
}

@Suite struct JobRouteTests {
    @Test func filesThereAndBack() async throws {
        let jobs = try JobGateway()
        // Longer than a chunk, with what looks like delimiters.
        let content = String(repeating: "{\"a\": \"é🙂\"}\r\n--xy\r\n", count: 30_000)
        let file = try await jobs.upload(content).json()
        let id = try file.at("id").text ?? ""
        #expect(try file.at("object").text == "file" && file.at("bytes").integer == content.utf8.count)
        #expect(try file.at("filename").text == "in.jsonl" && file.at("purpose").text == "batch" && file.at("status").text == "processed")
        #expect(try await jobs.ask(.get, "/v1/files/\(id)").json().at("id").text == id)
        #expect(try await jobs.ask(.get, "/v1/files/\(id)/content").text == content)
        let other = try await jobs.upload("x", purpose: "user_data").json().at("id").text ?? ""
        let list = try await jobs.ask(.get, "/v1/files?limit=1").json()
        #expect(try list.at("data", 0, "id").text == other && list.at("has_more").boolean == true)
        let next = try await jobs.ask(.get, "/v1/files?limit=1&after=\(other)").json()
        #expect(try next.at("data", 0, "id").text == id && next.at("has_more").boolean == false)
        #expect(try await jobs.ask(.get, "/v1/files?purpose=user_data").json().at("data").count == 1)
        #expect(try await jobs.ask(.delete, "/v1/files/\(id)").json().at("deleted").boolean == true)
        for path in ["/v1/files/\(id)", "/v1/files/\(id)/content"] {
            let gone = try await jobs.ask(.get, path)
            #expect(gone.status == 404)
            #expect(try gone.error().at("code").text == "not_found")
        }
    }

    @Test func formsThatCannotBeFiles() async throws {
        var limits = JobLimits()
        limits.maxFileBytes = 1000
        let jobs = try JobGateway(limits: limits)
        #expect(try await jobs.upload(String(repeating: "x", count: 1001)).status == 413)
        #expect(try await jobs.upload("").error().at("param").text == "file")
        #expect(try await jobs.upload("x", purpose: "").error().at("param").text == "purpose")
        #expect(try await jobs.ask(.post, "/v1/files", "{}", headers: [.contentType: "application/json"]).status == 415)
        let type: HTTPFields = [.contentType: "multipart/form-data; boundary=xyz"]
        #expect(try await jobs.ask(.post, "/v1/files", "--xyz\r\n", headers: type).status == 400)
        #expect(try await jobs.ask(.post, "/v1/files", "--xyz--", headers: type).error().at("param").text == "file")
        // Nothing of it was kept.
        #expect(try await jobs.ask(.get, "/v1/files").json().at("data").count == 0)
    }

    @Test(.timeLimit(.minutes(2))) func aBatchFromFileToAnswers() async throws {
        let jobs = try JobGateway()
        let batch = try await jobs.run([
            JobGateway.line("a", #"{"prompt": "Once", "max_tokens": 2}"#), JobGateway.line("b \\\"/é", #"{"prompt": "x", "n": 2, "echo": true, "seed": 9, "priority": "high"}"#),
            JobGateway.line("c", #"{"prompt": "x", "temperature": -1}"#), JobGateway.line("d", #"{"prompt": "x", "stream": true}"#),
            JobGateway.line("e", #"{"model": "other", "prompt": "x"}"#), "",
        ])
        #expect(try batch.at("object").text == "batch" && batch.at("status").text == "completed")
        #expect(try batch.at("request_counts", "total").integer == 5 && batch.at("request_counts", "completed").integer == 2)
        #expect(try batch.at("request_counts", "failed").integer == 3 && batch.at("errors").isNull && batch.at("metadata").isNull)
        #expect(try batch.at("usage", "output_tokens").integer == 6)
        let answers = try await jobs.lines(ofFile: try batch.at("output_file_id").text)
        func entry(_ id: String) throws -> JSONObject {
            for answer in answers where try answer.at("custom_id").text == id { return answer }
            throw APIError.cutBody
        }
        let answer = try entry("a")
        #expect(try answer.at("response", "status_code").integer == 200 && answer.at("error").isNull)
        #expect(try answer.at("response", "body", "choices", 0, "text").text == "Hello there")
        let other = try entry("b \"/é")
        #expect(try other.at("response", "body", "choices").count == 2)
        #expect(try other.at("response", "body", "choices", 1, "text").text == "xHello there")
        let errors = try await jobs.lines(ofFile: try batch.at("error_file_id").text)
        let found = try errors.map { try ($0.at("custom_id").text, $0.at("response", "status_code").integer, $0.at("response", "body", "error", "param").text) }
            .sorted { ($0.0 ?? "") < ($1.0 ?? "") }
        #expect(found.map(\.0) == ["c", "d", "e"] && found.map(\.1) == [400, 400, 404] && found.map(\.2) == ["temperature", "stream", "model"])
        // Jobs take what is left, and a seed that is not given is drawn before.
        let submissions = jobs.gateway.backend.submissions
        #expect(submissions.allSatisfy { $0.priority == .low && $0.seed != nil } && submissions.contains { $0.seed == 9 })
        let results = try await jobs.ask(.get, "/v1/batches/\(try batch.at("id").text ?? "")/results?order=input&after=1")
        #expect(results.text.split(separator: "\n").count == 3)
        let position = try #require(HTTPField.Name("X-Last-Position"))
        #expect(results.headers[position] == "4")
        let metrics = try await jobs.ask(.get, "/metrics").text
        #expect(metrics.contains(#"baton:job_lines{model_name="fake",state="answered"} 2"#))
        #expect(metrics.contains(#"baton:job_batches{model_name="fake",state="completed"} 1"#))
    }

    @Test(.timeLimit(.minutes(2))) func chatsAndForms() async throws {
        let jobs = try JobGateway()
        let body = #"{"messages": [{"role": "user", "content": "Hi"}], "response_format": {"type": "json_object"}}"#
        let batch = try await jobs.run([JobGateway.line("a", body, endpoint: "/v1/chat/completions")], endpoint: "/v1/chat/completions")
        let answers = try await jobs.lines(ofFile: try batch.at("output_file_id").text)
        #expect(try answers[0].at("response", "body", "choices", 0, "message", "content").text == "Hello there")
        #expect(jobs.gateway.backend.submissions.first?.constraint != nil)
    }

    @Test(.timeLimit(.minutes(2))) func aFileThatIsWrongFailsItsBatch() async throws {
        let batch = try await JobGateway().run([JobGateway.line("a", "{}"), JobGateway.line("a", "{}"), "oops"])
        #expect(try batch.at("status").text == "failed" && batch.at("errors", "object").text == "list")
        #expect(try batch.at("errors", "data", 0, "code").text == "duplicate_custom_id" || batch.at("errors", "data").count == 1)
        #expect(try batch.at("output_file_id").isNull && batch.at("failed_at").integer != nil)
    }

    @Test func batchesThatCannotBeMade() async throws {
        let jobs = try JobGateway()
        let file = try await jobs.upload("x").json().at("id").text ?? ""
        let stranger = try await jobs.upload("x", purpose: "vision").json().at("id").text ?? ""
        #expect(try await jobs.create("file-x").error().at("param").text == "input_file_id")
        #expect(try await jobs.create(file, endpoint: "/v1/embeddings").error().at("param").text == "endpoint")
        #expect(try await jobs.create(file, window: "1 year").error().at("param").text == "completion_window")
        #expect(try await jobs.create(file, more: #", "metadata": {"a": 1}"#).error().at("param").text == "metadata")
        #expect(try await jobs.create(stranger).status == 400)
        for name in ["input_file_id", "endpoint", "completion_window"] {
            var members = ["input_file_id": file, "endpoint": "/v1/completions", "completion_window": "24h"]
            members[name] = nil
            let body = String(decoding: try JSONSerialization.data(withJSONObject: members), as: UTF8.self)
            let answer = try await jobs.ask(.post, "/v1/batches", body, headers: [.contentType: "application/json"])
            #expect(try answer.error().at("param").text == name)
        }
        #expect(try await jobs.ask(.get, "/v1/batches").json().at("data").count == 0)
    }

    @Test func listsAndCancelling() async throws {
        let jobs = try JobGateway()
        let file = try await jobs.upload(JobGateway.line("a", "{}")).json().at("id").text ?? ""
        var ids: [String] = []
        for _ in 0..<3 { ids.append(try await jobs.create(file, more: #", "metadata": {"k": "v"}"#).json().at("id").text ?? "") }
        let page = try await jobs.ask(.get, "/v1/batches?limit=2").json()
        #expect(try page.at("data", 0, "id").text == ids[2] && page.at("has_more").boolean == true && page.at("last_id").text == ids[1])
        #expect(try page.at("data", 0, "metadata", "k").text == "v" && page.at("data", 0, "status").text == "validating")
        let last = try await jobs.ask(.get, "/v1/batches?limit=2&after=\(ids[1])").json()
        #expect(try last.at("data", 0, "id").text == ids[0] && last.at("has_more").boolean == false)
        #expect(try await jobs.ask(.get, "/v1/batches?limit=x").error().at("param").text == "limit")
        #expect(try await jobs.ask(.post, "/v1/batches/\(ids[0])/cancel").json().at("status").text == "cancelling")
        #expect(try await jobs.ask(.post, "/v1/batches/batch_x/cancel").status == 404)
        // Sent twice, made once.
        let key = try #require(HTTPField.Name("Idempotency-Key"))
        let body = #"{"input_file_id": "\#(file)", "endpoint": "/v1/completions", "completion_window": "24h"}"#
        let twice = try await [0, 1].asyncMap { _ in
            try await jobs.ask(.post, "/v1/batches", body, headers: [.contentType: "application/json", key: "once"]).json().at("id").text
        }
        #expect(twice[0] == twice[1] && twice[0] != nil)
    }

    @Test func methodsAndKeys() async throws {
        let jobs = try JobGateway()
        let answer = try await jobs.ask(.put, "/v1/files")
        #expect(answer.status == 405 && answer.headers[.allow] == "GET, HEAD, POST")
        #expect(try await jobs.ask(.delete, "/v1/batches/x").status == 405)
        #expect(try await jobs.ask(.get, "/v1/files/a/b").status == 404)
        let locked = try JobGateway(keys: ["secret"])
        for path in ["/v1/files", "/v1/batches", "/v1/files/x/content"] { #expect(try await locked.ask(.get, path).status == 401) }
        #expect(try await locked.upload("x").status == 401)
        #expect(try await locked.upload("x", headers: [.authorization: "Bearer secret"]).status == 200)
    }

    @Test func withoutAStore() async throws {
        let off = try TestGateway()
        #expect(try await off.ask(.get, "/v1/files").status == 404)
        #expect(try await off.post("/v1/batches", #"{"a": 1}"#).status == 404)
        let desk = JobDesk(access: .unavailable("the disk is gone"))
        do {
            _ = try await desk.batches(ListQuery())
            Issue.record("no error")
        } catch {
            #expect(error.status == 503 && error.message.contains("the disk is gone") && error.code == "jobs_unavailable")
        }
    }
}

extension Array {
    fileprivate func asyncMap<Result>(_ body: (Element) async throws -> Result) async rethrows -> [Result] {
        var results: [Result] = []
        for element in self { results.append(try await body(element)) }
        return results
    }
}
