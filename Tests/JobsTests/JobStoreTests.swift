import Foundation
import Testing

@testable import Jobs

@Suite struct JobStoreTests {
    // MARK: Files

    @Test func filesComeBackAsTheyWere() async throws {
        let place = try TestStore()
        let text = (0..<5000).map { "line \($0) é🙂\r\n" }.joined()
        let file: StoredFile
        do {
            let store = try place.open()
            file = try await store.add(text)
            #expect(file.byteCount == Int64(text.utf8.count) && file.purpose == "batch" && file.source == .uploaded)
        }
        let store = try place.open()
        #expect(try await store.file(file.id) == file)
        #expect(try await store.text(of: file.id) == text)
        try await store.deleteFile(file.id)
        await #expect(throws: JobError.noFile(file.id)) { try await store.file(file.id) }
    }

    @Test func anUploadThatIsNotWholeIsNowhere() async throws {
        let place = try TestStore()
        let id: String
        do {
            let store = try place.open()
            var upload = try await store.beginUpload(name: "x", purpose: "batch", at: 1)
            try await store.append([1, 2, 3], to: &upload)
            id = upload.id
            await #expect(throws: JobError.noFile(id)) { try await store.file(id) }
            #expect(try await store.files(purpose: nil, after: nil, limit: 10, isAscending: true).elements.isEmpty)
        }
        let store = try place.open()
        await #expect(throws: JobError.noFile(id)) { try await store.file(id) }
    }

    @Test func listsHavePages() async throws {
        let place = try TestStore()
        let store = try place.open()
        var ids: [String] = []
        for number in 0..<7 { ids.append(try await store.add("x", purpose: number % 2 == 0 ? "batch" : "other").id) }
        for ascending in [true, false] {
            var (found, after): ([String], String?) = ([], nil)
            while true {
                let page = try await store.files(purpose: nil, after: after, limit: 3, isAscending: ascending)
                found += page.elements.map(\.id)
                after = page.elements.last?.id
                guard page.hasMore else { break }
                #expect(page.elements.count == 3)
            }
            #expect(found == (ascending ? ids : ids.reversed()))
        }
        let others = try await store.files(purpose: "other", after: nil, limit: 3, isAscending: true)
        #expect(others.elements.map(\.id) == [ids[1], ids[3], ids[5]] && !others.hasMore)
        await #expect(throws: JobError.noFile("file-x")) { try await store.files(purpose: nil, after: "file-x", limit: 1, isAscending: true) }
    }

    @Test func limitsAreKept() async throws {
        let place = try TestStore()
        var limits = JobLimits()
        (limits.maxFileBytes, limits.maxFiles, limits.maxOpenBatches) = (10, 2, 1)
        let store = try place.open(limits)
        var upload = try await store.beginUpload(name: "x", purpose: "batch", at: 1)
        try await store.append(Array(repeating: 1, count: 10), to: &upload)
        await #expect(throws: JobError.tooMuch("the file has more than 10 bytes")) { try await store.append([1], to: &upload) }
        await store.abandon(upload)
        let file = try await store.add("x")
        _ = try await store.add("y")
        await #expect(throws: JobError.self) { try await store.add("z") }
        let window = try #require(CompletionWindow("1h"))
        let draft = BatchDraft(model: "m", endpoint: .completions, window: window, inputFile: file.id)
        _ = try await store.createBatch(draft, at: 1)
        await #expect(throws: JobError.self) { try await store.createBatch(draft, at: 1) }
    }

    @Test func aFullStoreRefusesWhatIsNew() async throws {
        let place = try TestStore()
        var limits = JobLimits()
        limits.maxStoredBytes = 400_000
        let store = try place.open(limits)
        var upload = try await store.beginUpload(name: "x", purpose: "batch", at: 1)
        await #expect(throws: JobError.self) {
            for _ in 0..<100 { try await store.append(Array(repeating: 7, count: 50_000), to: &upload) }
        }
        await #expect(throws: JobError.full("the job store holds the 400000 bytes that it may: delete files")) {
            try await store.beginUpload(name: "y", purpose: "batch", at: 1)
        }
        // What is deleted makes room.
        await store.abandon(upload)
        _ = try await store.beginUpload(name: "y", purpose: "batch", at: 1)
    }

    // MARK: The database

    @Test func oneProcessAtATime() throws {
        let place = try TestStore()
        let store = try place.open()
        let problem = #expect(throws: JobError.self) { try place.open() }
        #expect(problem?.description.contains("another process uses this job store") == true)
        withExtendedLifetime(store) {}
    }

    @Test func nobodyElseReadsIt() throws {
        let place = try TestStore()
        let store = try place.open()
        let attributes = try FileManager.default.attributesOfItem(atPath: store.path)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
    }

    @Test func whatIsNoDatabaseIsRefusedByName() throws {
        let place = try TestStore()
        try Data(repeating: 0x41, count: 9000).write(to: URL(fileURLWithPath: place.path))
        let problem = #expect(throws: JobError.self) { try place.open() }
        #expect(problem?.description.contains(place.path) == true, "\(String(describing: problem))")
        // It is left as it was.
        #expect(try Data(contentsOf: URL(fileURLWithPath: place.path)) == Data(repeating: 0x41, count: 9000))
    }

    @Test func damagedPagesAreAnErrorAndNoCrash() async throws {
        let place = try TestStore()
        do {
            let store = try place.open()
            _ = try await store.addRunningBatch(lines: 2000)
        }
        var bytes = try Data(contentsOf: URL(fileURLWithPath: place.path))
        for page in stride(from: 4096 * 2, to: bytes.count - 4096, by: 4096) {
            bytes.replaceSubrange(page..<page + 64, with: Data(repeating: 0xA5, count: 64))
        }
        try bytes.write(to: URL(fileURLWithPath: place.path))
        await #expect(throws: JobError.self) {
            let store = try place.open()
            for batch in try await store.openBatches() { _ = try await store.waitingLines(of: batch, after: nil, limit: 5000) }
            _ = try await store.add("x")
        }
    }

    @Test func aPlaceThatCannotBeIsNamed() {
        let problem = #expect(throws: JobError.self) { try JobStore(path: "/proc/nowhere/jobs.sqlite") }
        #expect(problem?.description.contains("/proc/nowhere") == true)
    }

    @Test func theUsualPlaceIsTheStateDirectory() {
        #expect(JobStore.usualPath(environment: ["XDG_STATE_HOME": "/s", "HOME": "/h"]) == "/s/baton/jobs.sqlite")
        #expect(JobStore.usualPath(environment: ["HOME": "/h"]) == "/h/.local/state/baton/jobs.sqlite")
        #expect(JobStore.usualPath(environment: ["XDG_STATE_HOME": "relative"]) == "/var/lib/baton/jobs.sqlite")
    }

    // MARK: Batches

    @Test func aBatchGoesThroughItsStates() async throws {
        let place = try TestStore()
        let store = try place.open()
        let batch = try await store.addBatch(JobStore.lines(0..<3))
        #expect(batch.status == .validating && batch.times.expires == 100 + 86_400 && batch.metadata == ["a": "b"])
        var reader = BatchReader(store: store, batch: batch)
        try await reader.read(at: 110)
        let running = try await store.batch(batch.id)
        #expect(running.status == .inProgress && running.counts.total == 3 && running.times.inProgress == 110)
        for number in [2, 0, 1] { try await store.record([end(running, number, isAnswer: number != 0)]) }
        try await store.finalize(batch.number, as: .completed, at: 120)
        let done = try await store.batch(batch.id)
        #expect(done.status == .completed && done.times.completed == 120 && done.times.finalizing == 120)
        #expect(done.counts == Batch.Counts(total: 3, completed: 2, failed: 1))
        #expect(done.usage == Batch.Usage(promptTokens: 30, cachedTokens: 6, completionTokens: 9))
        // In the order in which they ended.
        let (output, errors) = (try #require(done.outputFile), try #require(done.errorFile))
        #expect(try await store.text(of: output) == "text 2\ntext 1\n")
        #expect(try await store.text(of: errors) == "text 0\n")
        // Done again, nothing changes.
        try await store.finalize(batch.number, as: .completed, at: 130)
        #expect(try await store.batch(batch.id) == done)
        await #expect(throws: JobError.self) { try await store.cancelBatch(batch.id, at: 140) }
        #expect(try await store.openBatches().isEmpty)
        #expect(try await store.tally().answeredLines == 2)
    }

    private func end(_ batch: Batch, _ number: Int, isAnswer: Bool = true, text: String? = nil) -> LineEnd {
        LineEnd(
            batch: batch.number, number: Int64(number), isAnswer: isAnswer, text: Array((text ?? "text \(number)").utf8),
            usage: Batch.Usage(promptTokens: 10, cachedTokens: 2, completionTokens: 3))
    }

    @Test func aLineHasOneAnswer() async throws {
        let place = try TestStore()
        let store = try place.open()
        let batch = try await store.addRunningBatch(lines: 4)
        try await store.record([end(batch, 1, text: "first"), end(batch, 1, text: "second"), end(batch, 9)])
        try await store.record([end(batch, 1, isAnswer: false, text: "third"), end(batch, 3)])
        #expect(try await store.batch(batch.id).counts == Batch.Counts(total: 4, completed: 2, failed: 0))
        let lines = try await store.endedLines(of: batch.id, after: -1, in: .completion, limit: 10)
        #expect(lines.map(\.position) == [1, 2] && lines.map { String(decoding: $0.text, as: UTF8.self) } == ["first", "text 3"])
        #expect(try await store.waitingLines(of: batch, after: nil, limit: 10).map(\.number) == [0, 2])
        // What has ended is over for those that come too late.
        try await store.finalize(batch.number, as: .cancelled, at: 5)
        try await store.record([end(batch, 0)])
        #expect(try await store.batch(batch.id).counts.completed == 2)
    }

    @Test func linesKeepTheirSeeds() async throws {
        let place = try TestStore()
        let before: [JobLine]
        do {
            let store = try place.open()
            before = try await store.waitingLines(of: try await store.addRunningBatch(lines: 50), after: nil, limit: 100)
        }
        let store = try place.open()
        let batch = try #require(try await store.openBatches().first)
        #expect(try await store.waitingLines(of: batch, after: nil, limit: 100) == before)
        #expect(Set(before.map(\.seed)).count == 50)
    }

    @Test func linesRunInTheirRanks() async throws {
        let place = try TestStore()
        let store = try place.open()
        let batch = try await store.addRunningBatch(lines: 6)
        try await store.rank([4, 2, 0].map { RankedLine(number: $0) }, from: 0, in: batch.number)
        let plan = LinePlan(promptTokens: 40, answerTokens: 8, group: .init(number: 3, prefixTokens: 32, lineCount: 2))
        try await store.rank([1, 3, 5].map { RankedLine(number: $0, plan: $0 == 5 ? nil : plan) }, from: 3, in: batch.number)
        var (found, cursor): ([Int64], Int64?) = ([], nil)
        while let line = try await store.waitingLines(of: batch, after: cursor, limit: 1).first {
            found.append(line.number)
            cursor = line.rank
        }
        #expect(found == [4, 2, 0, 1, 3, 5])
        #expect(try await store.waitingLines(of: batch, after: nil, limit: 6).map(\.plan) == [nil, nil, nil, plan, plan, nil])
        #expect(try await store.waitingLines(of: batch, after: 1, in: .number, limit: 2).map(\.number) == [2, 3])
        #expect(try await store.waitingLines(of: batch, after: nil, limit: 6, mostBytes: 1).count == 1)
    }

    @Test func filesOfABatchMayGo() async throws {
        let place = try TestStore()
        let store = try place.open()
        let reading = try await store.addBatch(JobStore.lines(0..<2))
        await #expect(throws: JobError.self) { try await store.deleteFile(reading.inputFile) }
        let batch = try await store.addRunningBatch(lines: 2)
        try await store.deleteFile(batch.inputFile)
        try await store.record([end(batch, 0), end(batch, 1, isAnswer: false)])
        try await store.finalize(batch.number, as: .completed, at: 1)
        let output = try #require(try await store.batch(batch.id).outputFile)
        try await store.deleteFile(output)
        let left = try await store.endedLines(of: batch.id, after: -1, in: .input, limit: 10)
        #expect(left.map(\.isAnswer) == [false])
    }

    // MARK: Validation

    private func problems(_ text: String, _ limits: JobLimits = JobLimits()) async throws -> [Batch.Problem] {
        let place = try TestStore()
        let store = try place.open(limits)
        let batch = try await store.addBatch(text)
        var reader = BatchReader(store: store, batch: batch)
        try await reader.read(at: 110)
        let read = try await store.batch(batch.id)
        #expect((read.status == .failed) == !read.problems.isEmpty)
        if read.status == .failed {
            #expect(try await store.waitingLines(of: read, after: nil, limit: 10).isEmpty && read.times.failed == 110)
        }
        return read.problems
    }

    @Test func badLinesAreNamed() async throws {
        let good = JobStore.line(0)
        let cases: [(line: String, code: String)] = [
            ("{", "invalid_json_line"), ("[]", "invalid_json_line"), (good.replacing("\"line-0\"", with: "3"), "invalid_custom_id"),
            (good.replacing("POST", with: "GET"), "invalid_method"),
            (good.replacing("/v1/completions", with: "/v1/chat/completions"), "mismatched_endpoint"),
            (good.replacing("{}", with: "[]"), "invalid_body"), (good, "duplicate_custom_id"),
        ]
        for (line, code) in cases {
            let found = try await problems("\(good)\n\n\(line)\n\(JobStore.line(1))")
            #expect(found.map(\.code) == [code] && found.map(\.line) == [3], "\(line): \(found)")
        }
        #expect(try await problems("\n \n").map(\.code) == ["empty_file"])
        #expect(try await problems(good).isEmpty)
        // No end of problems helps nobody.
        #expect(try await problems(String(repeating: "{\n", count: 5000)).count == 100)
    }

    @Test func filesAreBounded() async throws {
        var limits = JobLimits()
        limits.maxLines = 3
        #expect(try await problems(JobStore.lines(0..<3), limits).isEmpty)
        #expect(try await problems(JobStore.lines(0..<9), limits).map(\.code) == ["too_many_lines"])
        limits.maxLineBytes = 40
        #expect(try await problems(JobStore.lines(0..<1), limits).map(\.code) == ["line_too_long"])
    }

    @Test func anInterruptedValidationBeginsAnew() async throws {
        let place = try TestStore()
        let store = try place.open()
        let batch = try await store.addBatch(JobStore.lines(0..<5))
        _ = try await store.addLines([NewLine(number: 0, customID: "line-0", request: [1], seed: 1)], to: batch.number)
        var reader = BatchReader(store: store, batch: batch)
        try await reader.read(at: 110)
        let lines = try await store.waitingLines(of: try await store.batch(batch.id), after: nil, limit: 10)
        #expect(lines.map(\.customID) == (0..<5).map { "line-\($0)" })
    }

    @Test func aCancelledBatchIsNotReadOn() async throws {
        let place = try TestStore()
        let store = try place.open()
        let batch = try await store.addBatch(JobStore.lines(0..<5))
        #expect(try await store.cancelBatch(batch.id, at: 105).status == .cancelling)
        var reader = BatchReader(store: store, batch: batch)
        await #expect(throws: JobError.self) { try await reader.read(at: 110) }
        #expect(try await store.batch(batch.id).status == .cancelling)
    }

    @Test func windows() {
        #expect(CompletionWindow("24h")?.seconds == 86_400 && CompletionWindow("30d")?.seconds == 2_592_000)
        for text in ["", "h", "0h", "-1h", "31d", "24", "24 h", "1.5h", "99999999h", "²h", "24s"] { #expect(CompletionWindow(text) == nil, "\(text)") }
    }
}
