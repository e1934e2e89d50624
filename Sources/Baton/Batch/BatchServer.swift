import AsyncHTTPClient
import Foundation
import JSONReader
import Jobs
import NIOCore
import NIOHTTP1

/// The Files and Batch APIs of a server, as a client uses them.
struct BatchServer: Sendable {
    /// How long a server may be away before the job is given up here. It goes on there.
    private static let patience = Duration.seconds(120)

    let url: String
    let apiKey: String?

    init(url: String, apiKey: String?) {
        var url = url.hasSuffix("/") ? String(url.dropLast()) : url
        if url.hasSuffix("/v1") { url.removeLast(3) }
        self.url = url
        self.apiKey = apiKey
    }

    /// A batch as the server shows it.
    struct Status: Sendable {
        var id: String
        var status: Batch.Status
        var counts: (total: Int, completed: Int, failed: Int)
        var usage: Batch.Usage
        var problems: [String]
        var token: String?

        init?(_ object: JSONObject) {
            guard let id = object["id"]?.text, let status = object["status"]?.text.flatMap({ Batch.Status(rawValue: $0) }),
                let counts = object["request_counts"]?.object
            else { return nil }
            self.id = id
            self.status = status
            func count(_ object: JSONObject?, _ name: String) -> Int { object?[name]?.integer ?? 0 }
            self.counts = (count(counts, "total"), count(counts, "completed"), count(counts, "failed"))
            let usage = object["usage"]?.object
            self.usage = Batch.Usage(
                promptTokens: Int64(count(usage, "input_tokens")),
                cachedTokens: Int64(count(usage?["input_tokens_details"]?.object, "cached_tokens")),
                completionTokens: Int64(count(usage, "output_tokens")))
            problems = (object["errors"]?.object?["data"]?.array.map { Array($0) } ?? []).map { problem in
                let line = problem.object?["line"]?.integer.map { "line \($0): " } ?? ""
                return line + (problem.object?["message"]?.text ?? problem.shown)
            }
            token = object["metadata"]?.object?[BatchJob.tokenName]?.text
        }
    }

    /// - Returns: the file's id.
    func upload(_ scan: InputScan) async throws -> String {
        let boundary = "baton-\(UUID().uuidString)"
        let head = """
            --\(boundary)\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--\(boundary)\r\n\
            Content-Disposition: form-data; name="file"; filename="input.jsonl"\r\nContent-Type: application/jsonl\r\n\r\n
            """
        let tail = "\r\n--\(boundary)--\r\n"
        let length = Int64(head.utf8.count + tail.utf8.count) + scan.byteCount
        let answer = try await ask("POST", "/v1/files", timeout: .hours(1)) { request in
            request.headers.add(name: "Content-Type", value: "multipart/form-data; boundary=\(boundary)")
            request.body = .stream(FormBody(head: head, path: scan.path, tail: tail), length: .known(length))
        }
        guard let id = try object(answer)["id"]?.text else { throw BatchFailure("the server names no file") }
        return id
    }

    func create(_ scan: InputScan, file: String, window: String, token: String) async throws -> Status {
        let body = """
            {"input_file_id": "\(file)", "endpoint": "\(scan.endpoint.rawValue)", "completion_window": "\(window)",
             "metadata": {"\(BatchJob.tokenName)": "\(token)"}}
            """
        let answer = try await ask("POST", "/v1/batches") { request in
            request.headers.add(name: "Content-Type", value: "application/json")
            // Sent twice because its answer got lost, it makes one batch.
            request.headers.add(name: "Idempotency-Key", value: token)
            request.body = .bytes(ByteBuffer(string: body))
        }
        return try status(try object(answer))
    }

    func batch(_ id: String) async throws -> Status { try status(try object(try await ask("GET", "/v1/batches/\(id)"))) }

    func cancel(_ id: String) async throws { _ = try await ask("POST", "/v1/batches/\(id)/cancel") }

    /// The batch that has the token, if one was made.
    func batch(token: String) async throws -> Status? {
        var after = ""
        while true {
            let page = try object(try await ask("GET", "/v1/batches?limit=100\(after)"))
            let batches = page["data"]?.array.map { Array($0) } ?? []
            for case let batch? in batches.map({ $0.object.flatMap { Status($0) } }) where batch.token == token { return batch }
            guard page["has_more"]?.boolean == true, let last = page["last_id"]?.text else { return nil }
            after = "&after=\(last)"
        }
    }

    /// Lines that have ended, behind a position.
    func results(of id: String, after position: Int64, order: LineOrder) async throws -> (lines: [[UInt8]], last: Int64) {
        let answer = try await ask("GET", "/v1/batches/\(id)/results?after=\(position)&order=\(order.rawValue)")
        guard let last = answer.headers.first(name: "X-Last-Position").flatMap({ Int64($0) }) else {
            throw BatchFailure("\(url) does not say how far its results go: is it a server of Baton?")
        }
        return (answer.body.split(separator: UInt8(ascii: "\n")).map { Array($0) }, last)
    }

    // MARK: Asking

    private struct Answer {
        var headers: HTTPHeaders
        var body: [UInt8]
    }

    /// Asks again while the server is away or has no room.
    private func ask(
        _ method: String, _ path: String, timeout: TimeAmount = .seconds(60), _ prepare: (inout HTTPClientRequest) -> Void = { _ in }
    ) async throws -> Answer {
        var request = HTTPClientRequest(url: url + path)
        request.method = .init(rawValue: method)
        if let apiKey { request.headers.add(name: "Authorization", value: "Bearer \(apiKey)") }
        prepare(&request)
        let deadline = ContinuousClock.now + Self.patience
        while true {
            var problem: BatchFailure
            do {
                let response = try await HTTPClient.shared.execute(request, timeout: timeout)
                let body = Array(buffer: try await response.body.collect(upTo: 256 << 20))
                if response.status == .ok { return Answer(headers: response.headers, body: body) }
                let document = try? JSONDocument(file: "answer", source: body)
                let message = document?.root.object?["error"]?.object?["message"]?.text ?? "no reason"
                problem = BatchFailure("\(method) \(url)\(path): status \(response.status.code): \(message)")
                guard [408, 429, 502, 503, 504].contains(response.status.code) else { throw problem }
            } catch let failure as BatchFailure {
                throw failure
            } catch {
                try Task.checkCancellation()
                problem = BatchFailure("\(method) \(url)\(path): \(error)")
            }
            guard ContinuousClock.now < deadline else { throw problem }
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    private func object(_ answer: Answer) throws -> JSONObject {
        guard let object = try JSONDocument(file: "answer of \(url)", source: answer.body).root.object else {
            throw BatchFailure("\(url) answers with no JSON object")
        }
        return object
    }

    private func status(_ object: JSONObject) throws -> Status {
        guard let status = Status(object) else { throw BatchFailure("\(url) answers with no batch") }
        return status
    }
}

/// Why a job does not go on here.
struct BatchFailure: Error, CustomStringConvertible {
    var description: String
    /// Another run would not come further.
    var endsJob = false

    init(_ description: String, endsJob: Bool = false) {
        self.description = description
        self.endsJob = endsJob
    }
}

/// A form around a file, read as it is sent.
private struct FormBody: AsyncSequence, Sendable {
    let head: String
    let path: String
    let tail: String

    struct AsyncIterator: AsyncIteratorProtocol {
        var head: String?
        var tail: String?
        let file: FileHandle?

        mutating func next() async throws -> ByteBuffer? {
            if let head {
                self.head = nil
                return ByteBuffer(string: head)
            }
            guard let file else { throw BatchFailure("the input cannot be read any more") }
            if let piece = try file.read(upToCount: 256 << 10), !piece.isEmpty { return ByteBuffer(bytes: piece) }
            defer { tail = nil }
            return tail.map { ByteBuffer(string: $0) }
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(head: head, tail: tail, file: FileHandle(forReadingAtPath: path)) }
}
