import Foundation
import Jobs
import JSONReader

/// A job on a server, from its file to its answers.
struct BatchJob: Sendable {
    /// In a batch's metadata.
    static let tokenName = "baton_batch"
    private static let interval = Duration.milliseconds(200)

    let server: BatchServer
    let scan: InputScan
    let files: BatchFiles
    let window: String
    let inputOrder: Bool
    let progress: BatchProgress

    func run(_ record: BatchRecord) async throws -> BatchSummary {
        var record = record
        let batch = try await findOrCreate(&record)
        var output = try BatchOutput(files)
        var run = BatchRun(start: .now, before: batch.counts.completed + batch.counts.failed)
        var last = batch
        while true {
            last = try await server.batch(batch.id)
            if !inputOrder { try await fetch(batch.id, .completion, into: &output) }
            progress.show(last, of: scan.lineCount, since: &run)
            let ended = last.counts.completed + last.counts.failed
            if !last.status.isOpen, inputOrder || output.lineCount >= ended { break }
            try await Task.sleep(for: Self.interval)
        }
        if inputOrder { try await fetchInOrder(batch.id) }
        try output.close()
        guard last.status != .failed else {
            throw BatchFailure("\(scan.path) was refused" + last.problems.prefix(10).map { "; " + $0 }.joined(), endsJob: true)
        }
        return BatchSummary(last, scan, files, seconds: (ContinuousClock.now - run.start) / .seconds(1))
    }

    private func findOrCreate(_ record: inout BatchRecord) async throws -> BatchServer.Status {
        if let id = record.batch { return try await server.batch(id) }
        if let batch = try await server.batch(token: record.token) {
            record.batch = batch.id
        } else {
            progress.say("sending \(scan.lineCount) requests")
            let file = try await server.upload(scan)
            record.batch = try await server.create(scan, file: file, window: window, token: record.token).id
        }
        try record.save(files)
        return try await server.batch(record.batch ?? "")
    }

    /// Writes what has come since.
    private func fetch(_ id: String, _ order: LineOrder, into output: inout BatchOutput) async throws {
        while true {
            // Lines end as 1, 2, …: those that are written say where to go on.
            let page = try await server.results(of: id, after: Int64(output.lineCount), order: order)
            for line in page.lines { try output.write(line) }
            if page.lines.isEmpty { return }
        }
    }

    /// Everything anew, in the order of the input; the files appear when they are whole.
    private func fetchInOrder(_ id: String) async throws {
        let partial = BatchFiles(output: files.directory.appendingPathComponent("out").path, errors: nil)
        for file in [partial.output, partial.errors] { try? FileManager.default.removeItem(at: file) }
        var output = try BatchOutput(partial)
        var position: Int64 = -1
        while true {
            let page = try await server.results(of: id, after: position, order: .input)
            if page.lines.isEmpty { break }
            for line in page.lines { try output.write(line) }
            position = page.last
        }
        try output.close()
        for (from, to) in [(partial.output, files.output), (partial.errors, files.errors)] where FileManager.default.fileExists(atPath: from.path) {
            guard rename(from.path, to.path) == 0 else { throw BatchFailure("cannot write \(to.path): \(String(cString: strerror(errno)))") }
        }
    }
}

/// The files that answers and errors go to, line by line.
///
/// Every line is written by one call, so that a process that is killed leaves whole lines, the last one perhaps excepted,
/// which is cut off when the files are opened again.
struct BatchOutput {
    private let files: BatchFiles
    private var answers: FileHandle?
    private var errors: FileHandle?
    /// Lines of both files.
    private(set) var lineCount = 0

    /// Opens what is there, and makes nothing.
    init(_ files: BatchFiles) throws {
        self.files = files
        (answers, errors) = (try open(files.output, makes: false), try open(files.errors, makes: false))
    }

    private mutating func open(_ url: URL, makes: Bool) throws -> FileHandle? {
        if makes, !FileManager.default.createFile(atPath: url.path, contents: nil) { throw BatchFailure("cannot make \(url.path)") }
        guard FileManager.default.fileExists(atPath: url.path) else { return nil }
        guard let file = FileHandle(forUpdatingAtPath: url.path) else { throw BatchFailure("cannot write \(url.path)") }
        var (position, whole): (UInt64, UInt64) = (0, 0)
        while let piece = try file.read(upToCount: 1 << 20), !piece.isEmpty {
            for byte in piece {
                position += 1
                guard byte == UInt8(ascii: "\n") else { continue }
                lineCount += 1
                whole = position
            }
        }
        try file.truncate(atOffset: whole)
        try file.seek(toOffset: whole)
        return file
    }

    mutating func write(_ line: [UInt8]) throws {
        let object = (try? JSONDocument(file: "result", source: line))?.root.object
        let isAnswer = object?["response"]?.object?["status_code"]?.integer == 200
        if isAnswer, answers == nil { answers = try open(files.output, makes: true) }
        if !isAnswer, errors == nil { errors = try open(files.errors, makes: true) }
        try (isAnswer ? answers : errors)?.write(contentsOf: Data(line + [UInt8(ascii: "\n")]))
        lineCount += 1
    }

    func close() throws {
        try answers?.close()
        try errors?.close()
    }
}
