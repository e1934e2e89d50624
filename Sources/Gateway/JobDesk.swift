import JSONReader
import Jobs

/// Where the jobs of a gateway are kept.
public enum JobAccess: Sendable {
    /// Nowhere: the paths do not exist.
    case off
    /// They should be somewhere; this is why they are not.
    case unavailable(String)
    case open(JobStore, JobRunner.Settings)
}

/// What the Files and Batch APIs answer.
struct JobDesk: Sendable {
    private static let mostMetadata = 16
    private static let longestKey = 64
    private static let longestValue = 512

    let access: JobAccess
    var runner: JobRunner?

    func store(for path: String) throws(APIError) -> JobStore {
        switch access {
        case .off: throw .noRoute(path)
        case .unavailable(let reason): throw APIError(JobError.unavailable(reason))
        case .open(let store, _): return store
        }
    }

    // MARK: Files

    func files(_ query: ListQuery) async throws(APIError) -> Reply {
        let store = try store(for: "/v1/files")
        let limit = try query.limit(usual: 10_000, most: 10_000)
        return try await translated { () async throws(JobError) in
            let page = try await store.files(
                purpose: query.purpose, after: query.after, limit: limit, isAscending: query.order == "asc")
            return Reply(Self.list(page, page.elements.map { (id: $0.id, json: $0.json) }))
        }
    }

    func file(_ id: String) async throws(APIError) -> Reply {
        let store = try store(for: "/v1/files/\(id)")
        return try await translated { () async throws(JobError) in Reply(try await store.file(id).json) }
    }

    func deleteFile(_ id: String) async throws(APIError) -> Reply {
        let store = try store(for: "/v1/files/\(id)")
        return try await translated { () async throws(JobError) in
            try await store.deleteFile(id)
            return Reply(["id": .string(id), "object": "file", "deleted": true])
        }
    }

    /// Piece by piece as the client reads it. What goes wrong on the way breaks the connection, so that nobody takes a part for
    /// the whole.
    func content(of id: String) async throws(APIError) -> Reply {
        let store = try store(for: "/v1/files/\(id)")
        let file = try await translated { () async throws(JobError) in try await store.file(id) }
        return Reply(file: { sink in
            var position: Int64 = 0
            while let piece = try await store.content(of: file, at: position) {
                try await sink(piece.bytes)
                position = piece.next
            }
        })
    }

    // MARK: Batches

    func create(_ body: JSONObject, model: String) async throws(APIError) -> Reply {
        let store = try store(for: "/v1/batches")
        let reader = ParameterReader(body, names: ["input_file_id", "endpoint", "completion_window", "metadata"])
        guard let file = try reader.text("input_file_id") else { throw reader.missing("input_file_id") }
        guard let endpoint = try reader.text("endpoint") else { throw reader.missing("endpoint") }
        guard let known = BatchEndpoint(rawValue: endpoint) else {
            let all = BatchEndpoint.allCases.map(\.rawValue).joined(separator: " or ")
            throw reader.invalid("endpoint", "must be \(all), not \(JSONValue.quoted(endpoint))")
        }
        guard let text = try reader.text("completion_window") else { throw reader.missing("completion_window") }
        guard let window = CompletionWindow(text) else {
            throw reader.invalid("completion_window", "must be at most 30 days in m, h or d, such as 24h, not \(JSONValue.quoted(text))")
        }
        let draft = BatchDraft(model: model, endpoint: known, window: window, inputFile: file, metadata: try Self.metadata(reader))
        let batch: Batch
        do {
            batch = try await store.createBatch(draft, at: Int64(WallClock.seconds))
        } catch {
            if case .noFile = error { throw reader.invalid("input_file_id", "\(error)") }
            throw APIError(error)
        }
        runner?.wake()
        return Reply(batch.json)
    }

    private static func metadata(_ reader: ParameterReader) throws(APIError) -> [String: String] {
        guard let object = try reader.object("metadata") else { return [:] }
        var metadata: [String: String] = [:]
        for (key, value) in object {
            guard let key = key.text, let text = value.text else {
                throw reader.invalid("metadata", "every value must be a string, not \(value.shown)")
            }
            guard key.utf8.count <= longestKey, text.utf8.count <= longestValue, metadata.count < mostMetadata else {
                throw reader.invalid(
                    "metadata", "has more than \(mostMetadata) pairs, a key of more than \(longestKey) bytes or a value of more than \(longestValue)")
            }
            metadata[key] = text
        }
        return metadata
    }

    func batches(_ query: ListQuery) async throws(APIError) -> Reply {
        let store = try store(for: "/v1/batches")
        let limit = try query.limit(usual: 20, most: 100)
        return try await translated { () async throws(JobError) in
            let page = try await store.batches(after: query.after, limit: limit)
            return Reply(Self.list(page, page.elements.map { (id: $0.id, json: $0.json) }))
        }
    }

    func batch(_ id: String) async throws(APIError) -> Reply {
        let store = try store(for: "/v1/batches/\(id)")
        return try await translated { () async throws(JobError) in Reply(try await store.batch(id).json) }
    }

    func cancel(_ id: String) async throws(APIError) -> Reply {
        let store = try store(for: "/v1/batches/\(id)/cancel")
        let batch = try await translated { () async throws(JobError) in try await store.cancelBatch(id, at: Int64(WallClock.seconds)) }
        runner?.wake()
        return Reply(batch.json)
    }

    /// Lines of the output and error files together, as far as they have come. `X-Last-Position` says where to go on.
    func results(of id: String, _ query: ListQuery) async throws(APIError) -> Reply {
        let store = try store(for: "/v1/batches/\(id)/results")
        let order = LineOrder(rawValue: query.order ?? LineOrder.completion.rawValue)
        guard let order else { throw .invalid("order", "must be completion or input") }
        guard let after = Int64(query.after ?? "-1") else { throw .invalid("after", "must be a whole number") }
        let limit = try query.limit(usual: 1000, most: 1000)
        return try await translated { () async throws(JobError) in
            let lines = try await store.endedLines(of: id, after: after, in: order, limit: limit)
            var reply = Reply(text: "", contentType: "application/jsonl")
            reply.body = .whole(lines.flatMap { $0.text + [UInt8(ascii: "\n")] })
            reply.headers["X-Last-Position"] = String(lines.last?.position ?? after)
            return reply
        }
    }

    // MARK: Shapes

    private static func list<Element>(_ page: Page<Element>, _ objects: [(id: String, json: JSONText)]) -> JSONText {
        [
            "object": "list", "data": .array(objects.map(\.json)), "first_id": JSONText(objects.first?.id),
            "last_id": JSONText(objects.last?.id), "has_more": .boolean(page.hasMore),
        ]
    }

    private func translated<Result>(_ body: () async throws(JobError) -> Result) async throws(APIError) -> Result {
        do {
            return try await body()
        } catch {
            throw APIError(error)
        }
    }

    /// - Returns: `nil` if there are no jobs, or they cannot be counted.
    func measurements() async -> JobMeasurements? {
        guard case .open(let store, _) = access, let tally = try? await store.tally() else { return nil }
        return JobMeasurements(tally: tally, runningLines: await runner?.runningCount ?? 0)
    }
}

/// What a list is asked for: `?after=…&limit=…`.
struct ListQuery: Sendable, Hashable {
    var after: String?
    var limit: String?
    var order: String?
    var purpose: String?

    func limit(usual: Int, most: Int) throws(APIError) -> Int {
        guard let limit else { return usual }
        guard let count = Int(limit), (1...most).contains(count) else {
            throw .invalid("limit", "must be 1 to \(most), but is \(JSONValue.quoted(limit))")
        }
        return count
    }
}

extension APIError {
    init(_ error: JobError) {
        switch error {
        case .full: self.init(507, "\(error)", type: "server_error", code: "storage_full")
        case .unavailable, .inUse:
            self.init(503, "batch jobs are not available: \(error)", type: "server_error", code: "jobs_unavailable", retryAfter: 30)
        case .tooMuch: self.init(429, "\(error)", type: "rate_limit_error", code: "limit_reached", retryAfter: 30)
        case .noFile, .noBatch: self.init(404, "\(error)", code: "not_found")
        case .conflict: self.init(400, "\(error)", code: "invalid_state")
        }
    }
}
