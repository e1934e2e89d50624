/// Reads the file of a batch into the store's lines, and says what is wrong with it.
struct BatchReader {
    /// More of what is wrong helps nobody.
    private static let mostProblems = 100

    let store: JobStore
    let batch: Batch
    private var splitter: LineSplitter
    private var lineCount = 0
    private var problems: [Batch.Problem] = []

    init(store: JobStore, batch: Batch) {
        self.store = store
        self.batch = batch
        splitter = LineSplitter(limit: store.limits.maxLineBytes)
    }

    /// Leaves the batch in progress, or failed. Interrupted, it may be done again from the beginning.
    ///
    /// - Throws: ``JobError/conflict(_:)`` if the batch has meanwhile been cancelled.
    mutating func read(at now: Int64) async throws(JobError) {
        try await store.beginValidation(batch.number)
        do throws(JobError) {
            try await readFile()
        } catch {
            guard case .noFile(let id) = error else { throw error }
            problems.append(.init(code: "invalid_input_file", message: "there is no file \(id) any more", param: "input_file_id"))
        }
        // Cut short it says nothing.
        if Task.isCancelled { return }
        if lineCount == 0, problems.isEmpty {
            problems.append(.init(code: "empty_file", message: "the file has no lines", param: "input_file_id"))
        }
        try await store.endValidation(batch.number, problems: problems, at: now)
    }

    private mutating func readFile() async throws(JobError) {
        let file = try await store.file(batch.inputFile)
        var position: Int64 = 0
        while let piece = try await store.content(of: file, at: position) {
            position = piece.next
            let lines: [LineSplitter.Line]
            do {
                lines = try splitter.take(piece.bytes)
            } catch {
                let limit = store.limits.maxLineBytes
                problems.append(.init(code: "line_too_long", message: "this line has more than \(limit) bytes", line: error.number + 1))
                return
            }
            try await take(lines)
            if problems.count >= Self.mostProblems || Task.isCancelled { break }
        }
        if let last = splitter.finish() { try await take([last]) }
        problems = Array(problems.prefix(Self.mostProblems))
    }

    private mutating func take(_ lines: [LineSplitter.Line]) async throws(JobError) {
        var new: [NewLine] = []
        for line in lines {
            lineCount += 1
            guard lineCount <= store.limits.maxLines else {
                if lineCount == store.limits.maxLines + 1 {
                    problems.append(.init(code: "too_many_lines", message: "the file has more than \(store.limits.maxLines) requests"))
                }
                continue
            }
            do throws(LineProblem) {
                let envelope = try LineEnvelope(line.text, number: line.number + 1, endpoint: batch.endpoint)
                // Drawn once and stored before anybody works on it, so that a line that is asked again gives the same answer.
                new.append(
                    NewLine(
                        number: Int64(line.number), customID: envelope.customID, request: line.text, seed: .random(in: 0 ... .max)))
            } catch {
                problems.append(error.problem)
            }
        }
        guard !new.isEmpty, problems.isEmpty else { return }
        for number in try await store.addLines(new, to: batch.number) {
            let id = new.first { $0.number == number }?.customID ?? ""
            problems.append(
                .init(
                    code: "duplicate_custom_id", message: "custom_id: an earlier line has \(id.prefix(100)) already", param: "custom_id",
                    line: Int(number) + 1))
        }
    }
}
