import HummingbirdCore
import Jobs
import NIOCore

/// The form of `POST /v1/files` on its way to the store, a chunk at a time in memory.
struct FileUpload {
    /// What a form may have besides the file.
    static let formBytes = 64 << 10
    private static let longestField = 512

    let store: JobStore
    private var reader: MultipartReader
    private var part: String?
    private var fields: [String: [UInt8]] = [:]
    private var upload: Upload?
    private var fileName = "upload.jsonl"
    private var chunk: [UInt8] = []

    init(store: JobStore, reader: MultipartReader) {
        self.store = store
        self.reader = reader
    }

    mutating func read(_ body: RequestBody) async throws(APIError) {
        var pieces = body.makeAsyncIterator()
        while true {
            let piece: ByteBuffer?
            do {
                piece = try await pieces.next()
            } catch {
                throw .cutBody
            }
            guard let piece else { break }
            for event in try reader.take(Array(buffer: piece)) { try await take(event) }
        }
        guard reader.isDone else { throw .cutBody }
    }

    private mutating func take(_ event: MultipartReader.Event) async throws(APIError) {
        switch event {
        case .part("file", let name):
            guard upload == nil else { throw .invalid("file", "comes twice") }
            part = "file"
            if let name, !name.isEmpty { fileName = String(name.prefix(255)) }
            upload = try await stored { () async throws(JobError) in
                try await store.beginUpload(name: fileName, purpose: "", at: Int64(WallClock.seconds))
            }
        case .part(let name, _): part = name
        case .content(let bytes) where part == "file":
            chunk += bytes
            while chunk.count >= JobStore.chunkBytes { try await flush(JobStore.chunkBytes) }
        case .content(let bytes):
            guard let part, fields[part, default: []].count + bytes.count <= Self.longestField, fields.count < 32 else {
                throw .invalid(part ?? "form", "is longer than \(Self.longestField) bytes")
            }
            fields[part, default: []] += bytes
        case .endOfPart:
            if part == "file", !chunk.isEmpty { try await flush(chunk.count) }
            part = nil
        }
    }

    private mutating func flush(_ count: Int) async throws(APIError) {
        guard var current = upload else { return }
        let bytes = Array(chunk.prefix(count))
        do {
            try await store.append(bytes, to: &current)
        } catch {
            if case .tooMuch = error { throw .bodyTooLarge(limit: store.limits.maxFileBytes) }
            throw APIError(error)
        }
        upload = current
        chunk.removeFirst(count)
    }

    func finish() async throws(APIError) -> StoredFile {
        guard let upload else { throw APIError(400, "file: is missing", parameter: "file", code: "missing_parameter") }
        guard let purpose = fields["purpose"].map({ String(decoding: $0, as: UTF8.self) }), !purpose.isEmpty else {
            throw APIError(400, "purpose: is missing", parameter: "purpose", code: "missing_parameter")
        }
        guard upload.byteCount > 0 else { throw .invalid("file", "is empty") }
        return try await stored { () async throws(JobError) in try await store.finish(upload, name: fileName, purpose: purpose) }
    }

    func abandon() async {
        if let upload { await store.abandon(upload) }
    }

    private func stored<Result>(_ body: () async throws(JobError) -> Result) async throws(APIError) -> Result {
        do {
            return try await body()
        } catch {
            throw APIError(error)
        }
    }
}
