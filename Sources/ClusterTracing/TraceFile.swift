import ClusterCore
import Foundation

/// A trace on disk, in Chrome's JSON array form.
///
/// Every record is a line of its own and lines reach the file whole. The closing bracket comes with ``close(at:)``; the
/// viewers take an array without it, so that the trace of a process that was killed can be read as well.
public final class TraceFile {
    private let handle: FileHandle
    private var timeline = TraceTimeline()
    private var buffer = Data()
    private var isFirst = true
    private var written: Duration = .zero

    /// What is kept back at most, in bytes and in time.
    private static let bufferByteCount = 64 << 10
    private static let delay = Duration.seconds(1)

    /// - Throws: ``TraceError`` if the file cannot be written; one that is there is replaced.
    public init(path: String) throws(TraceError) {
        guard FileManager.default.createFile(atPath: path, contents: nil), let handle = FileHandle(forWritingAtPath: path) else {
            throw TraceError(path: path, problem: "cannot be written: \(String(cString: strerror(errno)))")
        }
        self.handle = handle
        self.path = path
    }

    public let path: String

    /// - Throws: ``TraceError`` if the disk refuses; the trace cannot go on then.
    public func take(_ event: ClusterEvent) throws(TraceError) {
        append(timeline.take(event))
        guard buffer.count >= Self.bufferByteCount || event.time - written >= Self.delay else { return }
        written = event.time
        try flush()
    }

    /// Ends open spans and the array.
    /// - Parameter now: since the coordinator started.
    public func close(at now: Duration) throws(TraceError) {
        append(timeline.end(at: now))
        buffer.append(contentsOf: (isFirst ? "[]\n" : "\n]\n").utf8)
        try flush()
        try? handle.close()
    }

    private func append(_ records: [TraceRecord]) {
        for record in records {
            buffer.append(contentsOf: (isFirst ? "[\n" : ",\n").utf8)
            buffer.append(contentsOf: record.json.utf8)
            isFirst = false
        }
    }

    private func flush() throws(TraceError) {
        defer { buffer.removeAll(keepingCapacity: true) }
        do { try handle.write(contentsOf: buffer) } catch {
            throw TraceError(path: path, problem: "cannot be written: \(error.localizedDescription)")
        }
    }
}

/// A trace that cannot be written.
public struct TraceError: Error, Sendable, Hashable, CustomStringConvertible {
    public var path: String
    public var problem: String

    public var description: String { "\(path): \(problem)" }
}
