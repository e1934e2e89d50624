import Foundation
import GRDB
import Testing

@testable import Jobs

/// A place for a store, in a directory of its own.
struct TestStore: Sendable {
    /// Of all stores of this process; goes with it.
    private static let root: URL = {
        atexit { try? FileManager.default.removeItem(at: TestStore.root) }
        return FileManager.default.temporaryDirectory.appendingPathComponent("baton-jobs-\(getpid())")
    }()

    let directory: URL
    var path: String { directory.appendingPathComponent("jobs.sqlite").path }

    init() throws {
        directory = Self.root.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    }

    func open(_ limits: JobLimits = JobLimits()) throws(JobError) -> JobStore { try JobStore(path: path, limits: limits) }
}

extension JobStore {
    /// Lets the database have so many pages, by how many it has.
    func limitPages(_ limit: @Sendable (Int) -> Int) async throws {
        try await write { db in
            let count = try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0
            _ = try Int.fetchOne(db, sql: "PRAGMA max_page_count = \(limit(count))")
        }
    }

    /// Stores `text` as a file for batches, in pieces.
    func add(_ text: String, purpose: String = "batch") async throws(JobError) -> StoredFile {
        var upload = try await beginUpload(name: "in.jsonl", purpose: purpose, at: 100)
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: 1000) {
            try await append(Array(bytes[start..<min(start + 1000, bytes.count)]), to: &upload)
        }
        return try await finish(upload, name: "in.jsonl", purpose: purpose)
    }

    func addBatch(_ text: String, window: String = "24h", model: String = "fake", at now: Int64 = 100) async throws -> Batch {
        let file = try await add(text)
        let window = try #require(CompletionWindow(window))
        return try await createBatch(
            BatchDraft(model: model, endpoint: .completions, window: window, inputFile: file.id, metadata: ["a": "b"]), at: now)
    }

    /// A batch of so many good lines that is in progress.
    func addRunningBatch(lines count: Int) async throws -> Batch {
        let batch = try await addBatch(Self.lines(0..<count))
        var reader = BatchReader(store: self, batch: batch)
        try await reader.read(at: 101)
        try await notePlanned(batch.number)
        return try await self.batch(batch.id)
    }

    static func lines(_ numbers: Range<Int>) -> String { numbers.map { line($0) + "\n" }.joined() }

    static func line(_ number: Int, body: String = "{}") -> String {
        #"{"custom_id": "line-\#(number)", "method": "POST", "url": "/v1/completions", "body": \#(body)}"#
    }

    func text(of id: String) async throws -> String {
        let file = try await file(id)
        var (bytes, position): ([UInt8], Int64) = ([], 0)
        while let piece = try await content(of: file, at: position) {
            bytes += piece.bytes
            position = piece.next
        }
        #expect(Int64(bytes.count) == file.byteCount)
        return String(decoding: bytes, as: UTF8.self)
    }
}
