import Foundation
import GRDB

/// A line that is about to be stored.
struct NewLine: Sendable, Hashable {
    var number: Int64
    var customID: String
    var request: [UInt8]
    var seed: UInt64
}

/// A line that has its place in the order in which to run.
struct RankedLine: Sendable, Hashable {
    var number: Int64
    var plan: LinePlan?
}

/// The end of a line: what its file says of it.
public struct LineEnd: Sendable, Hashable {
    public var batch: Int64
    public var number: Int64
    /// Whether the text goes to the output file, or else to the error file.
    public var isAnswer: Bool
    /// One line of JSON, without its end.
    public var text: [UInt8]
    public var usage: Batch.Usage

    public init(batch: Int64, number: Int64, isAnswer: Bool, text: [UInt8], usage: Batch.Usage) {
        self.batch = batch
        self.number = number
        self.isAnswer = isAnswer
        self.text = text
        self.usage = usage
    }
}

/// A line that has ended, as clients see it.
public struct EndedLine: Sendable, Hashable {
    /// In the order that was asked for.
    public var position: Int64
    public var isAnswer: Bool
    public var text: [UInt8]
}

enum WaitingOrder: String, Sendable, Hashable {
    case rank
    case number
}

public enum LineOrder: String, Sendable, Hashable, CaseIterable {
    /// That in which lines ended: 1, 2, … without gaps.
    case completion
    /// That of the file: line numbers from 0.
    case input
}

extension JobStore {
    // MARK: Validation

    /// Forgets the lines of a validation that was interrupted.
    func beginValidation(_ batch: Int64) async throws(JobError) {
        try await write { db in
            try Self.requireStatus(db, batch, .validating)
            try db.execute(sql: "DELETE FROM line WHERE batch = ?", arguments: [batch])
        }
    }

    /// - Returns: numbers of the lines whose `custom_id` an earlier line has.
    func addLines(_ lines: [NewLine], to batch: Int64) async throws(JobError) -> [Int64] {
        let limits = limits
        return try await write { db in
            try Self.requireStatus(db, batch, .validating)
            try Self.checkRoom(db, limits)
            let insert = try db.makeStatement(
                sql: """
                    INSERT INTO line (batch, number, custom_id, request, seed, rank) VALUES (?, ?, ?, ?, ?, ?)
                    ON CONFLICT (batch, custom_id) DO NOTHING
                    """)
            var repeated: [Int64] = []
            for line in lines {
                try insert.execute(arguments: [
                    batch, line.number, line.customID, Data(line.request), Int64(bitPattern: line.seed), line.number,
                ])
                if db.changesCount == 0 { repeated.append(line.number) }
            }
            return repeated
        }
    }

    /// The file was read to its end.
    ///
    /// - Parameter problems: what is wrong with it; then the batch has failed.
    func endValidation(_ batch: Int64, problems: [Batch.Problem], at now: Int64) async throws(JobError) {
        try await write { db in
            try Self.requireStatus(db, batch, .validating)
            guard problems.isEmpty else {
                try db.execute(sql: "DELETE FROM line WHERE batch = ?", arguments: [batch])
                try db.execute(
                    sql: "UPDATE batch SET status = 'failed', failed_at = ?, problems = ? WHERE number = ?",
                    arguments: [now, try Self.json(problems), batch])
                return
            }
            try db.execute(
                sql: """
                    UPDATE batch SET status = 'in_progress', in_progress_at = :now,
                    total = (SELECT count(*) FROM line WHERE batch = :batch) WHERE number = :batch
                    """, arguments: ["now": now, "batch": batch])
        }
    }

    private static func requireStatus(_ db: Database, _ batch: Int64, _ status: Batch.Status) throws {
        let found = try String.fetchOne(db, sql: "SELECT status FROM batch WHERE number = ?", arguments: [batch])
        guard found == status.rawValue else { throw JobError.conflict("the batch is \(found ?? "gone"), not \(status.rawValue)") }
    }

    // MARK: Running

    /// Lines that have not ended.
    ///
    /// - Parameters:
    ///   - place: rank of the line before the first, or its number; `nil` begins with the first.
    ///   - order: by rank, as they run, or by number, as they stand in the file.
    ///   - mostBytes: of the requests together; one line always comes.
    func waitingLines(
        of batch: Batch, after place: Int64?, in order: WaitingOrder = .rank, limit: Int, mostBytes: Int = 16 << 20
    ) async throws(JobError) -> [JobLine] {
        try await read { db in
            let rows = try Row.fetchCursor(
                db,
                sql: """
                    SELECT number, custom_id, request, seed, rank, prompt_tokens, answer_tokens, group_rank, group_prefix, group_lines FROM line
                    WHERE batch = ? AND state = 'waiting' AND \(order.rawValue) > ? ORDER BY \(order.rawValue) LIMIT ?
                    """, arguments: [batch.number, place ?? .min, limit])
            var lines: [JobLine] = []
            var byteCount = 0
            while byteCount < mostBytes, let row = try rows.next() {
                let line = JobLine(
                    batch: batch.number, number: try row.get("number"), customID: try row.get("custom_id"), endpoint: batch.endpoint,
                    request: Array(try row.get("request", as: Data.self)), seed: UInt64(bitPattern: try row.get("seed")),
                    rank: try row.get("rank"), plan: try LinePlan(row))
                byteCount += line.request.count
                lines.append(line)
            }
            return lines
        }
    }

    /// Gives lines the order in which to run.
    func rank(_ order: [RankedLine], from first: Int64, in batch: Int64) async throws(JobError) {
        try await write { db in
            let update = try db.makeStatement(
                sql: """
                    UPDATE line SET rank = ?, prompt_tokens = ?, answer_tokens = ?, group_rank = ?, group_prefix = ?, group_lines = ?
                    WHERE batch = ? AND number = ?
                    """)
            var rank = first
            for line in order {
                let (plan, group) = (line.plan, line.plan?.group)
                try update.execute(arguments: [
                    rank, plan?.promptTokens, plan?.answerTokens, group?.number, group?.prefixTokens, group?.lineCount, batch, line.number,
                ])
                rank += 1
            }
        }
    }

    func notePlanned(_ batch: Int64) async throws(JobError) {
        try await write { db in try db.execute(sql: "UPDATE batch SET is_planned = 1 WHERE number = ?", arguments: [batch]) }
    }

    /// Writes the ends of lines: each line's text, state and place and the counts of its batch together. A line that has
    /// ended before keeps what it has.
    func record(_ ends: [LineEnd]) async throws(JobError) {
        try await write { db in
            let update = try db.makeStatement(
                sql: """
                    UPDATE line SET state = :state, answer = :text, request = NULL,
                    finish_order = (SELECT completed + failed + 1 FROM batch WHERE number = :batch)
                    WHERE batch = :batch AND number = :number AND state = 'waiting'
                    AND (SELECT status FROM batch WHERE number = :batch) IN ('in_progress', 'cancelling')
                    """)
            let count = try db.makeStatement(
                sql: """
                    UPDATE batch SET completed = completed + :answers, failed = failed + 1 - :answers,
                    prompt_tokens = prompt_tokens + :prompt, cached_tokens = cached_tokens + :cached,
                    completion_tokens = completion_tokens + :completion WHERE number = :batch
                    """)
            for end in ends {
                try update.execute(arguments: [
                    "state": (end.isAnswer ? LineState.answered : .failed).rawValue, "text": Data(end.text), "batch": end.batch,
                    "number": end.number,
                ])
                guard db.changesCount == 1 else { continue }
                try count.execute(arguments: [
                    "answers": end.isAnswer ? 1 : 0, "prompt": end.usage.promptTokens, "cached": end.usage.cachedTokens,
                    "completion": end.usage.completionTokens, "batch": end.batch,
                ])
            }
        }
    }

    // MARK: Looking

    /// Lines of a batch that have ended.
    ///
    /// - Parameters:
    ///   - position: of the line before the first, in that order; -1 begins with the first in either.
    ///   - state: `nil` for answers and errors.
    ///   - mostBytes: of the texts together; one line always comes.
    func endedLines(
        of batch: Int64, after position: Int64, in order: LineOrder, state: LineState? = nil, limit: Int = 1000, mostBytes: Int
    ) async throws(JobError) -> [EndedLine] {
        try await read { db in
            let column = order == .completion ? "finish_order" : "number"
            let rows = try Row.fetchCursor(
                db,
                sql: """
                    SELECT \(column) AS position, state, answer FROM line
                    WHERE batch = :batch AND \(column) > :position AND state != 'waiting' AND (:state IS NULL OR state = :state)
                    ORDER BY \(column) LIMIT :limit
                    """, arguments: ["batch": batch, "position": position, "state": state?.rawValue, "limit": limit])
            var lines: [EndedLine] = []
            var byteCount = 0
            while byteCount < mostBytes, let row = try rows.next() {
                let state: LineState = try row.named("state")
                let line = EndedLine(
                    position: try row.get("position"), isAnswer: state == .answered, text: Array(try row.get("answer", as: Data.self)))
                byteCount += line.text.count
                lines.append(line)
            }
            return lines
        }
    }

    /// The same by the batch's id, for clients that follow a batch while it runs.
    public func endedLines(of id: String, after position: Int64, in order: LineOrder, limit: Int) async throws(JobError) -> [EndedLine] {
        let batch = try await batch(id)
        return try await endedLines(of: batch.number, after: position, in: order, limit: limit, mostBytes: 4 << 20)
    }
}

extension LinePlan {
    /// - Returns: `nil` if the line has none.
    fileprivate init?(_ row: Row) throws {
        guard let promptTokens: Int = try row.find("prompt_tokens"), let answerTokens: Int = try row.find("answer_tokens") else { return nil }
        self.init(promptTokens: promptTokens, answerTokens: answerTokens)
        guard let number: Int64 = try row.find("group_rank"), let prefix: Int = try row.find("group_prefix"),
            let count: Int = try row.find("group_lines")
        else { return }
        group = Group(number: number, prefixTokens: prefix, lineCount: count)
    }
}
