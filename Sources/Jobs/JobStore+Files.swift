import Foundation
import GRDB

extension JobStore {
    /// Bytes of a chunk, the last one excepted.
    public static let chunkBytes = 256 << 10

    // MARK: Uploading

    public func beginUpload(name: String, purpose: String, at now: Int64) async throws(JobError) -> Upload {
        let (id, limits) = (Self.identifier("file-"), limits)
        let number = try await write { db in
            try Self.checkRoom(db, limits)
            let count = try Int.fetchOne(db, sql: "SELECT count(*) FROM file") ?? 0
            guard count < limits.maxFiles else { throw JobError.tooMuch("there are \(count) files already: delete some") }
            try db.execute(
                sql: """
                    INSERT INTO file (id, purpose, name, byte_count, created, source, is_whole)
                    VALUES (?, ?, ?, 0, ?, 'uploaded', 0)
                    """, arguments: [id, purpose, name, now])
            return db.lastInsertedRowID
        }
        return Upload(file: number, id: id)
    }

    /// Stores the next bytes. More of them than the store takes of one file are refused.
    public func append(_ bytes: [UInt8], to upload: inout Upload) async throws(JobError) {
        let (file, position, limits) = (upload.file, upload.chunkCount, limits)
        guard upload.byteCount + Int64(bytes.count) <= Int64(limits.maxFileBytes) else {
            throw .tooMuch("the file has more than \(limits.maxFileBytes) bytes")
        }
        try await write { db in
            try Self.checkRoom(db, limits)
            try db.execute(
                sql: "INSERT INTO chunk (file, position, content) VALUES (?, ?, ?)", arguments: [file, position, Data(bytes)])
        }
        upload.chunkCount += 1
        upload.byteCount += Int64(bytes.count)
    }

    /// From now on everybody sees the file.
    public func finish(_ upload: Upload, name: String, purpose: String) async throws(JobError) -> StoredFile {
        try await write { db in
            try db.execute(
                sql: "UPDATE file SET is_whole = 1, byte_count = ?, name = ?, purpose = ? WHERE number = ?",
                arguments: [upload.byteCount, name, purpose, upload.file])
            return try Self.file(db, upload.id)
        }
    }

    /// Forgets an upload that will not become whole.
    public func abandon(_ upload: Upload) async {
        // If that fails too, it is removed when the store is opened again.
        try? await write { db in
            try db.execute(sql: "DELETE FROM file WHERE number = ? AND is_whole = 0", arguments: [upload.file])
        }
    }

    // MARK: Looking

    public func file(_ id: String) async throws(JobError) -> StoredFile { try await read { db in try Self.file(db, id) } }

    static func file(_ db: Database, _ id: String) throws -> StoredFile {
        guard let row = try Row.fetchOne(db, sql: "SELECT * FROM file WHERE id = ? AND is_whole = 1", arguments: [id]) else {
            throw JobError.noFile(id)
        }
        return try StoredFile(row)
    }

    /// - Parameters:
    ///   - purpose: `nil` for files of all purposes.
    ///   - after: id of the file before the page; `nil` begins with the first.
    public func files(purpose: String?, after: String?, limit: Int, isAscending: Bool) async throws(JobError) -> Page<StoredFile> {
        try await read { db in
            let start = try after.map { try Self.file(db, $0).number }
            let rows = try Row.fetchAll(
                db,
                sql: """
                    SELECT * FROM file WHERE is_whole = 1 AND (:purpose IS NULL OR purpose = :purpose)
                    AND (:start IS NULL OR number \(isAscending ? ">" : "<") :start)
                    ORDER BY number \(isAscending ? "ASC" : "DESC") LIMIT :limit
                    """, arguments: ["purpose": purpose, "start": start, "limit": limit + 1])
            return Page(elements: try rows.prefix(limit).map { try StoredFile($0) }, hasMore: rows.count > limit)
        }
    }

    /// The content piece by piece.
    ///
    /// - Parameter position: 0, or what came with the piece before.
    /// - Returns: the piece at `position` and where the next one is; `nil` behind the last.
    public func content(of file: StoredFile, at position: Int64) async throws(JobError) -> (bytes: [UInt8], next: Int64)? {
        guard file.source != .uploaded else {
            let content = try await read { db in
                try Data.fetchOne(
                    db, sql: "SELECT content FROM chunk WHERE file = ? AND position = ?", arguments: [file.number, position])
            }
            return content.map { (Array($0), position + 1) }
        }
        guard let batch = file.batch else { return nil }
        let lines = try await endedLines(
            of: batch, after: position, in: .completion, state: file.source == .answers ? .answered : .failed, mostBytes: Self.chunkBytes)
        guard let last = lines.last else { return nil }
        return (lines.flatMap { $0.text + [UInt8(ascii: "\n")] }, last.position)
    }

    // MARK: Deleting

    /// Deletes a file and what it holds. The files of a batch go only when it has ended, as does the one that it reads.
    public func deleteFile(_ id: String) async throws(JobError) {
        try await write { db in
            let file = try Self.file(db, id)
            let reader = try String.fetchOne(
                db, sql: "SELECT id FROM batch WHERE input_file = ? AND status = 'validating'", arguments: [id])
            if let reader { throw JobError.conflict("the file is being read by \(reader)") }
            if let batch = file.batch {
                let state = file.source == .answers ? LineState.answered : .failed
                try db.execute(sql: "DELETE FROM line WHERE batch = ? AND state = ?", arguments: [batch, state.rawValue])
            }
            try db.execute(sql: "DELETE FROM file WHERE number = ?", arguments: [file.number])
        }
    }
}

extension StoredFile {
    init(_ row: Row) throws {
        number = try row.get("number")
        id = try row.get("id")
        purpose = try row.get("purpose")
        name = try row.get("name")
        byteCount = try row.get("byte_count")
        created = try row.get("created")
        source = try row.named("source")
        batch = try row.find("batch")
    }
}
