import Foundation
import GRDB

extension JobStore {
    // MARK: Clients

    /// - Throws: ``JobError/noFile(_:)`` if there is no such file, ``JobError/conflict(_:)`` if it is not for batches.
    public func createBatch(_ draft: BatchDraft, at now: Int64) async throws(JobError) -> Batch {
        let (id, limits) = (Self.identifier("batch_"), limits)
        return try await write { db in
            try Self.checkRoom(db, limits)
            let file = try Self.file(db, draft.inputFile)
            guard file.purpose == "batch" else {
                throw JobError.conflict("\(file.id) has the purpose \"\(file.purpose)\", not \"batch\"")
            }
            let open = try Int.fetchOne(db, sql: "SELECT count(*) FROM batch WHERE \(Self.isOpen)") ?? 0
            guard open < limits.maxOpenBatches else {
                throw JobError.tooMuch("\(open) batches are under way, and no more are taken before one ends")
            }
            try db.execute(
                sql: """
                    INSERT INTO batch
                    (id, model, endpoint, completion_window, input_file, status, metadata, problems, created_at, expires_at)
                    VALUES (?, ?, ?, ?, ?, 'validating', ?, '[]', ?, ?)
                    """,
                arguments: [
                    id, draft.model, draft.endpoint.rawValue, draft.window.text, draft.inputFile, try Self.json(draft.metadata), now,
                    now + draft.window.seconds,
                ])
            return try Self.batch(db, id)
        }
    }

    public func batch(_ id: String) async throws(JobError) -> Batch { try await read { db in try Self.batch(db, id) } }

    /// Newest first.
    public func batches(after: String?, limit: Int) async throws(JobError) -> Page<Batch> {
        try await read { db in
            let start = try after.map { try Self.batch(db, $0).number }
            let rows = try Row.fetchAll(
                db, sql: "SELECT * FROM batch WHERE (:start IS NULL OR number < :start) ORDER BY number DESC LIMIT :limit",
                arguments: ["start": start, "limit": limit + 1])
            return Page(elements: try rows.prefix(limit).map { try Batch($0) }, hasMore: rows.count > limit)
        }
    }

    /// Wants no more answers. Those that are there stay.
    ///
    /// - Throws: ``JobError/conflict(_:)`` if the batch has ended.
    public func cancelBatch(_ id: String, at now: Int64) async throws(JobError) -> Batch {
        try await write { db in
            let batch = try Self.batch(db, id)
            guard batch.status.isOpen else { throw JobError.conflict("\(id) has ended: it is \(batch.status.rawValue)") }
            if batch.status != .cancelling {
                try db.execute(
                    sql: "UPDATE batch SET status = 'cancelling', cancelling_at = ? WHERE number = ?", arguments: [now, batch.number])
            }
            return try Self.batch(db, id)
        }
    }

    /// How many batches are in which state, and how many lines.
    public func tally() async throws(JobError) -> JobTally {
        try await read { db in
            var tally = JobTally()
            let rows = try Row.fetchAll(
                db,
                sql: """
                    SELECT status, count(*) AS batches, sum(total - completed - failed) AS waiting, sum(completed) AS completed,
                    sum(failed) AS failed, sum(prompt_tokens) AS prompt_tokens, sum(cached_tokens) AS cached_tokens
                    FROM batch GROUP BY status
                    """)
            for row in rows {
                let status: Batch.Status = try row.named("status")
                tally.batches[status] = try row.get("batches")
                if status.isOpen { tally.waitingLines += try row.get("waiting") }
                tally.answeredLines += try row.get("completed")
                tally.failedLines += try row.get("failed")
                tally.promptTokens += try row.get("prompt_tokens")
                tally.cachedTokens += try row.get("cached_tokens")
            }
            return tally
        }
    }

    // MARK: The runner

    /// In the order in which they came.
    func openBatches() async throws(JobError) -> [Batch] {
        try await read { db in
            try Row.fetchAll(db, sql: "SELECT * FROM batch WHERE \(Self.isOpen) ORDER BY number").map { try Batch($0) }
        }
    }

    /// Every line has ended, or will not be asked: makes the files and ends the batch. Done again, it changes nothing.
    ///
    /// - Parameter status: what the batch becomes: completed, expired or cancelled.
    func finalize(_ number: Int64, as status: Batch.Status, at now: Int64) async throws(JobError) {
        try await write { db in
            try db.execute(
                sql: "UPDATE batch SET finalizing_at = coalesce(finalizing_at, ?) WHERE number = ?", arguments: [now, number])
            guard let row = try Row.fetchOne(db, sql: "SELECT * FROM batch WHERE number = ?", arguments: [number]) else { return }
            let batch = try Batch(row)
            guard batch.status.isOpen else { return }
            try db.execute(sql: "DELETE FROM line WHERE batch = ? AND state = 'waiting'", arguments: [number])
            let output = try Self.makeFile(db, of: batch, .answers, lines: batch.counts.completed, at: now)
            let errors = try Self.makeFile(db, of: batch, .errors, lines: batch.counts.failed, at: now)
            try db.execute(
                sql: """
                    UPDATE batch SET status = :status, output_file = :output, error_file = :errors, \(status.rawValue)_at = :now
                    WHERE number = :number
                    """,
                arguments: ["status": status.rawValue, "output": output, "errors": errors, "now": now, "number": number])
        }
    }

    /// - Returns: the file's id; `nil` if it would be empty.
    private static func makeFile(
        _ db: Database, of batch: Batch, _ source: StoredFile.Source, lines: Int64, at now: Int64
    ) throws -> String? {
        guard lines > 0 else { return nil }
        let state = source == .answers ? LineState.answered : .failed
        let byteCount = try Int64.fetchOne(
            db, sql: "SELECT coalesce(sum(length(answer) + 1), 0) FROM line WHERE batch = ? AND state = ?",
            arguments: [batch.number, state.rawValue])
        let id = identifier("file-")
        try db.execute(
            sql: """
                INSERT INTO file (id, purpose, name, byte_count, created, source, batch, is_whole)
                VALUES (?, 'batch_output', ?, ?, ?, ?, ?, 1)
                """,
            arguments: [
                id, "\(batch.id)_\(source == .answers ? "output" : "error").jsonl", byteCount, now, source.rawValue, batch.number,
            ])
        return id
    }

    // MARK: Rows

    private static let isOpen = "status IN ('validating', 'in_progress', 'finalizing', 'cancelling')"

    private static func batch(_ db: Database, _ id: String) throws -> Batch {
        guard let row = try Row.fetchOne(db, sql: "SELECT * FROM batch WHERE id = ?", arguments: [id]) else {
            throw JobError.noBatch(id)
        }
        return try Batch(row)
    }

    static func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }
}

/// How many batches and lines there are.
public struct JobTally: Sendable, Hashable {
    public internal(set) var batches: [Batch.Status: Int64] = [:]
    public internal(set) var waitingLines: Int64 = 0
    public internal(set) var answeredLines: Int64 = 0
    public internal(set) var failedLines: Int64 = 0
    public internal(set) var promptTokens: Int64 = 0
    public internal(set) var cachedTokens: Int64 = 0
}

extension Batch {
    init(_ row: Row) throws {
        number = try row.get("number")
        id = try row.get("id")
        model = try row.get("model")
        endpoint = try row.named("endpoint")
        let window: String = try row.get("completion_window")
        guard let parsed = CompletionWindow(window) else {
            throw JobError.unavailable("the job store is damaged: completion_window \(window)")
        }
        self.window = parsed
        inputFile = try row.get("input_file")
        status = try row.named("status")
        metadata = try Self.decoded(row, "metadata")
        problems = try Self.decoded(row, "problems")
        isPlanned = try row.get("is_planned")
        counts = Counts(total: try row.get("total"), completed: try row.get("completed"), failed: try row.get("failed"))
        usage = Usage(
            promptTokens: try row.get("prompt_tokens"), cachedTokens: try row.get("cached_tokens"),
            completionTokens: try row.get("completion_tokens"))
        times = Times(
            created: try row.get("created_at"), expires: try row.get("expires_at"), inProgress: try row.find("in_progress_at"),
            finalizing: try row.find("finalizing_at"), completed: try row.find("completed_at"), failed: try row.find("failed_at"),
            expired: try row.find("expired_at"), cancelling: try row.find("cancelling_at"), cancelled: try row.find("cancelled_at"))
        outputFile = try row.find("output_file")
        errorFile = try row.find("error_file")
    }

    private static func decoded<Value: Decodable>(_ row: Row, _ column: String) throws -> Value {
        let text: String = try row.get(column)
        do {
            return try JSONDecoder().decode(Value.self, from: Data(text.utf8))
        } catch {
            throw JobError.unavailable("the job store is damaged: column \(column)")
        }
    }
}
