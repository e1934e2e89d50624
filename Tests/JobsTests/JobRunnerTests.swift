import Foundation
import Logging
import Synchronization
import Testing

@testable import Jobs

/// Answers as a test says, and keeps what it was asked.
private final class FakeDesk: LineDesk {
    struct State {
        var asked: [String] = []
        var plans: [LinePlan?] = []
        var running = 0
        var mostRunning = 0
        /// By custom id, for the next tries: status codes. What is not here answers 200.
        var replies: [String: [Int]] = [:]
        /// Lines that are held until a test lets go.
        var isHolding = false
        var memory: LineRoom.Memory?
        /// By custom id, what else than a prompt of one token a line is.
        var outlines: [String: LineOutline] = [:]
        /// Bytes of each answer besides what it says.
        var padding = 0
        var cancelled = 0
    }

    let modelName: String
    let lanes: Int
    let state = Mutex(State())

    init(modelName: String = "fake", lanes: Int = 4) {
        self.modelName = modelName
        self.lanes = lanes
    }

    func room() async -> LineRoom { LineRoom(lines: lanes, memory: state.withLock { $0.memory }) }

    func outline(of line: JobLine) async -> LineOutline? {
        if let outline = state.withLock({ $0.outlines[line.customID] }) { return outline }
        return line.customID == "line-2" ? nil : LineOutline(prompt: [Int32(line.number)], maxTokens: 1, hasFixedLength: true)
    }

    func answer(_ line: JobLine) async -> LineReply {
        let status = state.withLock { state in
            state.asked.append(line.customID)
            state.plans.append(line.plan)
            state.running += 1
            state.mostRunning = max(state.mostRunning, state.running)
            return state.replies[line.customID]?.isEmpty == false ? state.replies[line.customID]?.removeFirst() ?? 200 : 200
        }
        while state.withLock({ $0.isHolding }), !Task.isCancelled { try? await Task.sleep(for: .milliseconds(1)) }
        let isCancelled = Task.isCancelled
        let padding = state.withLock { state in
            state.running -= 1
            if isCancelled { state.cancelled += 1 }
            return String(repeating: "x", count: state.padding)
        }
        return LineReply(
            status: isCancelled ? 499 : status, body: Array("{\"seed\":\(line.seed),\"padding\":\"\(padding)\"}".utf8), requestID: "req-1",
            usage: Batch.Usage(promptTokens: 5, cachedTokens: 1, completionTokens: 2))
    }
}

/// Last lines first.
private struct Backwards: LinePlanner {
    let maxTokens: Int

    func groups(of lines: [LineOutline]) async -> [LineGroup] { lines.indices.reversed().map { LineGroup(members: [$0]) } }
}

@Suite struct JobRunnerTests {
    private func settings() -> JobRunner.Settings {
        var settings = JobRunner.Settings()
        (settings.shortestPause, settings.interval) = (.milliseconds(1), .milliseconds(10))
        return settings
    }

    /// Runs `body` beside a runner.
    private func run(
        _ store: JobStore, _ desk: FakeDesk, planner: (any LinePlanner)? = nil, now: @escaping @Sendable () -> Int64 = { 1000 },
        _ body: (JobRunner) async throws -> Void
    ) async throws {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let runner = JobRunner(store: store, desk: desk, planner: planner, settings: settings(), logger: logger, now: now)
        let work = Task { await runner.run() }
        do {
            try await body(runner)
        } catch {
            Issue.record("\(error)")
        }
        runner.stop()
        await work.value
        #expect(desk.state.withLock { $0.running } == 0)
    }

    private func wait(_ store: JobStore, for id: String, _ isMet: (Batch) -> Bool = { !$0.status.isOpen }) async throws -> Batch {
        while true {
            let batch = try await store.batch(id)
            if isMet(batch) { return batch }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    @Test(.timeLimit(.minutes(5))) func everyLineIsAnsweredOnce() async throws {
        let place = try TestStore()
        let store = try place.open()
        let desk = FakeDesk()
        try await run(store, desk) { runner in
            let first = try await store.addBatch(JobStore.lines(0..<100))
            let second = try await store.addBatch(JobStore.lines(100..<130))
            runner.wake()
            let done = [try await wait(store, for: first.id), try await wait(store, for: second.id)]
            #expect(done.map(\.status) == [.completed, .completed])
            #expect(done.map(\.counts.completed) == [100, 30] && done[0].usage.promptTokens == 500)
            let text = try await store.text(of: try #require(done[0].outputFile))
            #expect(Set(text.split(separator: "\n")).count == 100 && done[0].errorFile == nil)
            let line = try #require(text.split(separator: "\n").first { $0.contains("\"line-7\"") })
            let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
            #expect(object["custom_id"] as? String == "line-7" && object["error"] is NSNull)
            #expect((object["response"] as? [String: Any])?["status_code"] as? Int == 200)
        }
        let state = desk.state.withLock { $0 }
        #expect(state.asked.count == 130 && Set(state.asked).count == 130)
        #expect(state.mostRunning <= 4)
    }

    @Test(.timeLimit(.minutes(5))) func asManyRunAsMemoryHolds() async throws {
        let place = try TestStore()
        let store = try place.open()
        // 64 tokens in common and 16 of their own with the answer: 4 blocks and 1 for each.
        let desk = FakeDesk(lanes: 100)
        let prefix = (0..<64).map { Int32($0) }
        desk.state.withLock { state in
            state.memory = LineRoom.Memory(blocks: 10, blockSize: 16)
            state.isHolding = true
            for number in 0..<20 {
                state.outlines["line-\(number)"] = LineOutline(prompt: prefix + [Int32(number)], maxTokens: 15, hasFixedLength: true)
            }
        }
        try await run(store, desk, planner: PrefixPlanner()) { runner in
            let batch = try await store.addBatch(JobStore.lines(0..<20))
            runner.wake()
            while desk.state.withLock({ $0.running }) < 6 { try await Task.sleep(for: .milliseconds(1)) }
            desk.state.withLock { $0.isHolding = false }
            #expect(try await wait(store, for: batch.id).counts.completed == 20)
        }
        #expect(desk.state.withLock { $0.mostRunning } == 6)
        let groups = Set(desk.state.withLock { $0.plans }.map(\.?.group))
        #expect(groups == [LinePlan.Group(number: 0, prefixTokens: 64, lineCount: 20)])
    }

    @Test(.timeLimit(.minutes(5))) func aLineThatDoesNotFitRunsAlone() async throws {
        let place = try TestStore()
        let store = try place.open()
        let desk = FakeDesk(lanes: 100)
        desk.state.withLock { state in
            state.memory = LineRoom.Memory(blocks: 3, blockSize: 16)
            for number in 0..<6 {
                // Prompts of several texts have no prefix in common.
                state.outlines["line-\(number)"] = LineOutline(
                    prompt: (0..<40).map { Int32($0) }, maxTokens: 30, promptCount: 2, hasFixedLength: true)
            }
        }
        try await run(store, desk, planner: PrefixPlanner()) { runner in
            let batch = try await store.addBatch(JobStore.lines(0..<6))
            runner.wake()
            #expect(try await wait(store, for: batch.id).counts.completed == 6)
        }
        #expect(desk.state.withLock { $0.mostRunning } == 1)
        #expect(desk.state.withLock { $0.plans }.allSatisfy { $0?.group == nil && $0?.promptTokens == 80 && $0?.answerTokens == 60 })
    }

    @Test(.timeLimit(.minutes(5))) func whatMayPassIsAskedAgainAndWhatIsWrongIsNot() async throws {
        let place = try TestStore()
        let store = try place.open()
        let desk = FakeDesk()
        desk.state.withLock {
            $0.replies = [
                "line-1": Array(repeating: 503, count: 7) + [429], "line-2": [400], "line-3": [500, 500], "line-4": Array(repeating: 500, count: 9),
                "line-5": [404], "line-6": [504],
            ]
        }
        try await run(store, desk) { runner in
            let batch = try await store.addBatch(JobStore.lines(0..<8))
            runner.wake()
            let done = try await wait(store, for: batch.id)
            #expect(done.counts == Batch.Counts(total: 8, completed: 4, failed: 4) && done.status == .completed)
            let errors = try await store.text(of: try #require(done.errorFile))
            #expect(errors.contains(#""custom_id":"line-2","response":{"status_code":400"#))
            #expect(errors.split(separator: "\n").count == 4)
        }
        let asked = desk.state.withLock { $0.asked }
        func tries(_ number: Int) -> Int { asked.count { $0 == "line-\(number)" } }
        #expect([1, 2, 3, 4, 5, 6, 7].map(tries) == [9, 1, 3, 4, 1, 1, 1])
    }

    @Test(.timeLimit(.minutes(5))) func aRunnerGoesOnWhereTheLastOneStopped() async throws {
        let place = try TestStore()
        let store = try place.open()
        let batch = try await store.addBatch(JobStore.lines(0..<200))
        var ended: [Set<String>] = []
        var seeds: [String: Set<String>] = [:]
        for life in 0..<4 {
            let desk = FakeDesk()
            let before = try await store.endedLines(of: batch.id, after: -1, in: .input, limit: 1000)
            try await run(store, desk) { runner in
                _ = try await wait(store, for: batch.id) { $0.counts.ended >= Int64(min(200, (life + 1) * 50)) }
                if life < 3 { desk.state.withLock { $0.isHolding = true } }
                if life == 3 { _ = try await wait(store, for: batch.id) }
            }
            let again = Set(desk.state.withLock { $0.asked }).intersection(ended.last ?? [])
            #expect(again.isEmpty, "asked again: \(again)")
            let lines = try await store.endedLines(of: batch.id, after: -1, in: .input, limit: 1000)
            #expect(Set(before.map(\.text)).isSubset(of: Set(lines.map(\.text))), "an answer has changed")
            ended.append(Set(lines.map { "line-\($0.position)" }))
            for line in lines { seeds["\(line.position)", default: []].insert(String(decoding: line.text, as: UTF8.self)) }
        }
        let done = try await store.batch(batch.id)
        #expect(done.status == .completed && done.counts.completed == 200)
        #expect(seeds.count == 200 && seeds.values.allSatisfy { $0.count == 1 })
    }

    @Test(.timeLimit(.minutes(5))) func cancelling() async throws {
        let place = try TestStore()
        let store = try place.open()
        let desk = FakeDesk()
        try await run(store, desk) { runner in
            let batch = try await store.addBatch(JobStore.lines(0..<50))
            runner.wake()
            _ = try await wait(store, for: batch.id) { $0.counts.completed >= 5 }
            desk.state.withLock { $0.isHolding = true }
            while desk.state.withLock({ $0.running }) < 4 { try await Task.sleep(for: .milliseconds(1)) }
            _ = try await store.cancelBatch(batch.id, at: 1001)
            runner.wake()
            let done = try await wait(store, for: batch.id)
            #expect(done.status == .cancelled && done.counts.completed >= 5 && done.counts.failed == 0)
            let text = try await store.text(of: try #require(done.outputFile))
            #expect(text.split(separator: "\n").count == Int(done.counts.completed))
        }
        #expect(desk.state.withLock { $0.cancelled } == 4)
    }

    @Test(.timeLimit(.minutes(5))) func timeEndsABatchAndNamesWhatWasNotAsked() async throws {
        let place = try TestStore()
        let store = try place.open()
        let desk = FakeDesk()
        let clock = Mutex<Int64>(1000)
        try await run(store, desk, now: { clock.withLock { $0 } }) { runner in
            let batch = try await store.addBatch(JobStore.lines(0..<700), window: "1h", at: 1000)
            runner.wake()
            _ = try await wait(store, for: batch.id) { $0.counts.completed >= 5 }
            desk.state.withLock { $0.isHolding = true }
            clock.withLock { $0 += 3600 }
            let done = try await wait(store, for: batch.id)
            #expect(done.status == .expired && done.times.expired == 4600)
            #expect(done.counts.completed >= 5 && done.counts.ended == 700)
            let errors = try await store.text(of: try #require(done.errorFile))
            #expect(errors.split(separator: "\n").allSatisfy { $0.contains(#""response":null,"error":{"code":"batch_expired""#) })
        }
    }

    @Test(.timeLimit(.minutes(5))) func plannedOrder() async throws {
        // Lines are looked at in pages of 256; a part ends with the page that brings it to the most tokens.
        let orders = [(5000, Array((0..<300).reversed())), (3, Array((0..<256).reversed()) + Array((256..<300).reversed()))]
        for (most, order) in orders {
            let place = try TestStore()
            let store = try place.open()
            let desk = FakeDesk(lanes: 1)
            try await run(store, desk, planner: Backwards(maxTokens: most)) { runner in
                let batch = try await store.addBatch(JobStore.lines(0..<300))
                runner.wake()
                _ = try await wait(store, for: batch.id)
            }
            #expect(desk.state.withLock { $0.asked } == order.map { "line-\($0)" })
        }
    }

    @Test(.timeLimit(.minutes(5))) func batchesOfAnotherModelWait() async throws {
        let place = try TestStore()
        let store = try place.open()
        let desk = FakeDesk()
        try await run(store, desk) { runner in
            let other = try await store.addBatch(JobStore.lines(0..<3), model: "other")
            let own = try await store.addBatch(JobStore.lines(0..<3))
            runner.wake()
            _ = try await wait(store, for: own.id)
            #expect(try await store.batch(other.id).status == .validating)
            _ = try await store.cancelBatch(other.id, at: 1001)
            runner.wake()
            #expect(try await wait(store, for: other.id).status == .cancelled)
        }
        #expect(desk.state.withLock { $0.asked.count } == 3)
    }

    @Test(.timeLimit(.minutes(5))) func badFilesFail() async throws {
        let place = try TestStore()
        let store = try place.open()
        try await run(store, FakeDesk()) { runner in
            let bad = try await store.addBatch("nonsense\n")
            let gone = try await store.addBatch(JobStore.lines(0..<2))
            runner.wake()
            let done = try await wait(store, for: bad.id)
            #expect(done.status == .failed && done.problems.map(\.code) == ["invalid_json_line"])
            #expect(try await wait(store, for: gone.id).status == .completed)
        }
    }

    @Test(.timeLimit(.minutes(5))) func answersWaitForRoomOnTheDisk() async throws {
        let place = try TestStore()
        let store = try place.open()
        let desk = FakeDesk()
        desk.state.withLock { $0.padding = 30_000 }
        let batch = try await store.addRunningBatch(lines: 20)
        // As if the disk were full soon.
        try await store.limitPages { $0 + 20 }
        try await run(store, desk) { runner in
            while desk.state.withLock({ $0.asked.count }) < 4 { try await Task.sleep(for: .milliseconds(1)) }
            try await Task.sleep(for: .milliseconds(100))
            let counts = try await store.batch(batch.id).counts
            #expect(counts.ended < 4)
            // Nothing more is begun, whatever becomes of those that are.
            #expect(desk.state.withLock { $0.asked.count } <= Int(counts.ended) + 4)
            try await store.limitPages { _ in 1 << 30 }
            #expect(try await wait(store, for: batch.id).counts.completed == 20)
        }
        // An answer that could not be written was kept, not asked for again.
        #expect(desk.state.withLock { $0.asked.count } == 20)
    }

    @Test(.timeLimit(.minutes(5))) func aFullStoreHoldsBatchesUp() async throws {
        let place = try TestStore()
        var limits = JobLimits()
        limits.maxStoredBytes = 2 << 20
        let store = try place.open(limits)
        let desk = FakeDesk()
        let batch = try await store.addBatch(JobStore.lines(0..<20))
        var filler = try await store.beginUpload(name: "x", purpose: "batch", at: 1)
        await #expect(throws: JobError.self) {
            for _ in 0..<100 { try await store.append(Array(repeating: 7, count: 100_000), to: &filler) }
        }
        try await run(store, desk) { runner in
            runner.wake()
            try await Task.sleep(for: .milliseconds(60))
            #expect(try await store.batch(batch.id).status == .validating)
            await store.abandon(filler)
            #expect(try await wait(store, for: batch.id).counts.completed == 20)
        }
    }
}
