import Foundation
import Jobs
import Logging

// Runs one batch of a job store with answers that come at once, until it is done or somebody kills this process.
//
//     JobStoreWriter STORE LINES LOG
//
// Every line that is asked is appended to LOG, with its seed.

/// Answers with the seed.
struct EchoDesk: LineDesk {
    let log: FileHandle
    let modelName = "echo"

    func room() async -> LineRoom { LineRoom(lines: 16) }

    func outline(of line: JobLine) async -> LineOutline? { nil }

    func answer(_ line: JobLine) async -> LineReply {
        log.write(Data("\(line.customID) \(line.seed)\n".utf8))
        try? await Task.sleep(for: .microseconds(Int(line.seed % 2000)))
        return LineReply(status: line.number % 7 == 3 ? 400 : 200, body: Array("{\"seed\":\(line.seed)}".utf8), requestID: "req")
    }
}

let arguments = CommandLine.arguments
guard arguments.count == 4, let count = Int(arguments[2]) else { exit(2) }
let store = try await JobStore.open(path: arguments[1], patience: .seconds(5))
if !FileManager.default.fileExists(atPath: arguments[3]) { _ = FileManager.default.createFile(atPath: arguments[3], contents: nil) }
guard let log = FileHandle(forUpdatingAtPath: arguments[3]) else { exit(2) }
try log.seekToEnd()

if try await store.batches(after: nil, limit: 1).elements.isEmpty {
    var upload = try await store.beginUpload(name: "in.jsonl", purpose: "batch", at: 1)
    let lines = (0..<count).map { #"{"custom_id":"line-\#($0)","method":"POST","url":"/v1/completions","body":{}}"# + "\n" }
    for begin in stride(from: 0, to: count, by: 100) {
        try await store.append(Array(lines[begin..<min(begin + 100, count)].joined().utf8), to: &upload)
    }
    let file = try await store.finish(upload, name: "in.jsonl", purpose: "batch")
    guard let window = CompletionWindow("24h") else { exit(2) }
    _ = try await store.createBatch(
        BatchDraft(model: "echo", endpoint: .completions, window: window, inputFile: file.id), at: Int64(Date().timeIntervalSince1970))
}
var logger = Logger(label: "writer")
logger.logLevel = .critical
let runner = JobRunner(store: store, desk: EchoDesk(log: log), logger: logger)
let work = Task { await runner.run() }
while let batch = try await store.batches(after: nil, limit: 1).elements.first, batch.status.isOpen {
    try await Task.sleep(for: .milliseconds(5))
}
runner.stop()
await work.value
