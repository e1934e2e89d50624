import ArgumentParser
import Crypto
import Foundation
import Jobs
import JSONReader

/// What has to be known of a file of requests before it is sent.
struct InputScan: Sendable {
    var path: String
    var byteCount: Int64 = 0
    /// Lines that are not blank.
    var lineCount = 0
    /// SHA-256 in hexadecimal.
    var digest = ""
    /// Of the first line.
    var endpoint: BatchEndpoint

    /// - Throws: `ValidationError` if it cannot be read or is no file of requests.
    init(path: String) throws {
        self.path = path
        guard let file = FileHandle(forReadingAtPath: path) else { throw ValidationError("\(path): cannot be read") }
        defer { try? file.close() }
        var (hash, first, isBlank) = (SHA256(), [UInt8](), true)
        while let piece = try file.read(upToCount: 1 << 20), !piece.isEmpty {
            hash.update(data: piece)
            byteCount += Int64(piece.count)
            for byte in piece {
                if byte == UInt8(ascii: "\n") {
                    if !isBlank { lineCount += 1 }
                    isBlank = true
                } else {
                    if byte != 0x20, byte != 0x09, byte != 0x0D { isBlank = false }
                    if lineCount == 0, first.count <= 16 << 20 { first.append(byte) }
                }
            }
        }
        if !isBlank { lineCount += 1 }
        guard lineCount > 0 else { throw ValidationError("\(path): has no requests") }
        digest = hash.finalize().map { String(Int($0) + 0x100, radix: 16).suffix(2) }.joined()
        let url = (try? JSONDocument(file: path, source: first))?.root.object?["url"]?.text
        guard let endpoint = url.flatMap({ BatchEndpoint(rawValue: $0) }) else {
            let all = BatchEndpoint.allCases.map(\.rawValue).joined(separator: " or ")
            throw ValidationError("\(path): line 1: expected a JSON object whose \"url\" is \(all)")
        }
        self.endpoint = endpoint
    }
}

/// The files of a job: answers, errors, and what it takes to go on after an interruption.
struct BatchFiles: Sendable {
    let output: URL
    let errors: URL
    /// Beside the output.
    let directory: URL

    init(output: String, errors: String?) {
        self.output = URL(fileURLWithPath: output)
        self.errors = URL(fileURLWithPath: errors ?? output + ".errors")
        directory = URL(fileURLWithPath: output + ".baton")
    }

    var recordFile: URL { directory.appendingPathComponent("job.json") }

    private func exists(_ url: URL) -> Bool { FileManager.default.fileExists(atPath: url.path) }

    /// Whether an earlier run has done everything.
    ///
    /// - Throws: `ValidationError` if the output is there and came from something else.
    func isDone(_ scan: InputScan) throws -> Bool {
        guard !exists(recordFile), exists(output) || exists(errors) else { return false }
        let wanted = try Self.ids(in: URL(fileURLWithPath: scan.path))
        let there = try (exists(output) ? Self.ids(in: output) : []) + (exists(errors) ? Self.ids(in: errors) : [])
        guard there.count == wanted.count, Set(there) == Set(wanted) else {
            throw ValidationError("\(output.path) is there and is not what becomes of \(scan.path): remove it, or name another file")
        }
        return true
    }

    private static func ids(in file: URL) throws -> [String] {
        var ids: [String] = []
        for line in try FileLines(file) {
            ids.append((try? JSONDocument(file: "", source: line))?.root.object?["custom_id"]?.text ?? "")
        }
        return ids
    }

    /// Keeps a second run with the same output away.
    func lock() throws -> FileLock {
        do {
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        } catch {
            throw ValidationError("cannot make \(directory.path): \(error.localizedDescription)")
        }
        guard let lock = FileLock(directory.appendingPathComponent("lock").path) else {
            throw ValidationError("another run writes \(output.path)")
        }
        return lock
    }

    /// What an earlier run has left, or a new record.
    func record(of scan: InputScan) throws -> BatchRecord {
        guard exists(recordFile) else { return BatchRecord(digest: scan.digest, token: UUID().uuidString) }
        guard let record = try? JSONDecoder().decode(BatchRecord.self, from: Data(contentsOf: recordFile)) else {
            throw ValidationError("\(recordFile.path) cannot be read: remove \(directory.path) and \(output.path) to begin anew")
        }
        guard record.digest == scan.digest else {
            throw ValidationError(
                "\(directory.path) belongs to another input, or \(scan.path) has changed: remove it and \(output.path) to begin anew")
        }
        return record
    }

    func removeRecord() { try? FileManager.default.removeItem(at: directory) }
}

/// What a run has to know of the one before.
struct BatchRecord: Codable, Sendable {
    /// Of the input.
    var digest: String
    /// In the batch's metadata: finds it again when it was made and nobody could write down its id.
    var token: String
    var batch: String?

    func save(_ files: BatchFiles) throws { try JSONEncoder().encode(self).write(to: files.recordFile, options: .atomic) }
}

/// An advisory lock on a file; the system takes it back when the process ends.
struct FileLock: Sendable {
    private let descriptor: Int32

    /// - Returns: `nil` if another process has it.
    init?(_ path: String) {
        descriptor = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return nil }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            return nil
        }
    }

    func release() { close(descriptor) }
}

/// The lines of a file that are not blank, one at a time.
struct FileLines: Sequence, IteratorProtocol {
    private let file: FileHandle
    private var buffer: [UInt8] = []
    private var position = 0
    private var isAtEnd = false

    init(_ url: URL) throws { file = try FileHandle(forReadingFrom: url) }

    mutating func next() -> [UInt8]? {
        while true {
            if let end = buffer[position...].firstIndex(of: UInt8(ascii: "\n")) {
                let line = Array(buffer[position..<end])
                position = end + 1
                if line.contains(where: { $0 > 0x20 }) { return line }
                continue
            }
            if isAtEnd {
                let rest = Array(buffer[position...])
                (buffer, position) = ([], 0)
                return rest.contains { $0 > 0x20 } ? rest : nil
            }
            buffer.removeFirst(position)
            position = 0
            let piece = (try? file.read(upToCount: 1 << 20)) ?? nil
            if let piece, !piece.isEmpty { buffer += piece } else { isAtEnd = true }
        }
    }
}
