import Foundation
import Jobs

/// When a run began, and what was done before it.
struct BatchRun: Sendable {
    let start: ContinuousClock.Instant
    let before: Int
    /// When something was last shown where there is no terminal.
    var shown: ContinuousClock.Instant?
}

/// What a job has come to, on standard error: a bar on a terminal, a line now and then elsewhere.
struct BatchProgress: Sendable {
    private static let width = 24
    private static let interval = Duration.seconds(10)

    private let isTerminal = isatty(STDERR_FILENO) == 1

    func say(_ text: String) { write("\(isTerminal ? "\r\u{1B}[K" : "")\(text)\n") }

    func show(_ batch: BatchServer.Status, of lines: Int, since run: inout BatchRun) {
        let text = Self.text(batch, of: lines, seconds: (ContinuousClock.now - run.start) / .seconds(1), before: run.before)
        if isTerminal { return write("\r\(Self.bar(batch, of: lines)) \(text)\u{1B}[K") }
        if let shown = run.shown, ContinuousClock.now - shown < Self.interval { return }
        run.shown = .now
        write(text + "\n")
    }

    /// Leaves the bar behind.
    func end() { if isTerminal { write("\n") } }

    private func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }

    private static func bar(_ batch: BatchServer.Status, of lines: Int) -> String {
        let full = lines > 0 ? (batch.counts.completed + batch.counts.failed) * width / lines : 0
        return "[" + String(repeating: "#", count: min(full, width)) + String(repeating: "-", count: max(0, width - full)) + "]"
    }

    /// - Parameters:
    ///   - seconds: since this run began.
    ///   - before: lines that had ended by then.
    static func text(_ batch: BatchServer.Status, of lines: Int, seconds: Double, before: Int) -> String {
        let ended = batch.counts.completed + batch.counts.failed
        var parts = ["\(ended) of \(lines) lines (\(lines > 0 ? ended * 100 / lines : 0) %)"]
        if batch.status != .inProgress { parts.append(batch.status.rawValue.replacing("_", with: " ")) }
        let done = ended - before
        if done > 0, seconds > 0, ended < lines {
            let rate = Double(done) / seconds
            parts.append(rate >= 10 ? "\(Int(rate)) lines/s" : "\((rate * 10).rounded() / 10) lines/s")
            parts.append("ETA \(clock(Double(lines - ended) / rate))")
        }
        if batch.usage.cachedTokens > 0 {
            parts.append("saved \(batch.usage.cachedTokens * 100 / max(1, batch.usage.promptTokens)) % of the prompt tokens")
        }
        if batch.counts.failed > 0 { parts.append("\(batch.counts.failed) without an answer") }
        return parts.joined(separator: ", ")
    }

    private static func clock(_ seconds: Double) -> String {
        let total = Int(min(seconds, 1e7).rounded(.up))
        func two(_ value: Int) -> String { (value < 10 ? "0" : "") + String(value) }
        return total >= 3600 ? "\(total / 3600):\(two(total / 60 % 60)):\(two(total % 60))" : "\(total / 60):\(two(total % 60))"
    }
}

/// What a job came to.
struct BatchSummary: Encodable, Sendable {
    var batch: String?
    var status: String
    var lines: Int
    var answered: Int
    var failed: Int
    /// Of this run.
    var seconds: Double
    var promptTokens: Int64 = 0
    /// Prompt tokens whose KV did not have to be computed.
    var cachedTokens: Int64 = 0
    var completionTokens: Int64 = 0
    var output: String
    var errors: String?

    enum CodingKeys: String, CodingKey {
        case batch, status, lines, answered, failed, seconds, output, errors
        case promptTokens = "prompt_tokens"
        case cachedTokens = "cached_tokens"
        case completionTokens = "completion_tokens"
    }

    init(_ batch: BatchServer.Status, _ scan: InputScan, _ files: BatchFiles, seconds: Double) {
        self.batch = batch.id
        status = batch.status.rawValue
        lines = scan.lineCount
        answered = batch.counts.completed
        failed = batch.counts.failed
        self.seconds = seconds
        promptTokens = batch.usage.promptTokens
        cachedTokens = batch.usage.cachedTokens
        completionTokens = batch.usage.completionTokens
        output = files.output.path
        errors = failed > 0 ? files.errors.path : nil
    }

    /// Of a job that an earlier run has done.
    init(done lines: Int, files: BatchFiles) {
        let failed = (try? FileLines(files.errors)).map { $0.reduce(0) { count, _ in count + 1 } } ?? 0
        (status, self.lines, answered, self.failed, seconds) = ("completed", lines, lines - failed, failed, 0)
        output = files.output.path
        errors = failed > 0 ? files.errors.path : nil
    }

    var line: String {
        let what = "\(status): \(answered) of \(lines) lines answered in \(Int(seconds.rounded())) s, in \(output)"
        return what + (errors.map { "; \(failed) without an answer, in \($0)" } ?? "")
    }
}
