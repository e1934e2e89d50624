import ClusterCore
import Foundation
import Logging

/// Works on the batches of a store: reads their files, has their lines answered, makes their results.
///
/// What is under way is in memory alone. A runner that begins, in this process or in the one after it, goes on from what
/// the store says; lines that were being answered are asked again, and answer the same.
public actor JobRunner {
    public struct Settings: Sendable {
        /// Lines under way at the same time; `nil`: as the desk says.
        public var concurrency: Int?
        /// Bytes of the lines under way; one more always begins.
        public var mostHeldBytes = 64 << 20
        /// Before a line is asked again; doubled each time.
        public var shortestPause = Duration.milliseconds(500)
        public var longestPause = Duration.seconds(30)
        /// Answers that something went wrong, after which the last one counts.
        public var mostTries = 4
        /// Between two looks at what has changed without anybody saying so: time, and what the cluster can take.
        public var interval = Duration.seconds(1)

        public init() {}
    }

    struct LineKey: Hashable {
        var batch: Int64
        var number: Int64
    }

    let store: JobStore
    let desk: any LineDesk
    let planner: (any LinePlanner)?
    let settings: Settings
    let logger: Logger
    /// Seconds since 1970.
    let now: @Sendable () -> Int64
    let ledger: AnswerLedger
    private let wakeUps: AsyncStream<Void>
    private let waker: AsyncStream<Void>.Continuation
    var running: [LineKey: Task<Void, Never>] = [:]
    /// What the lines of ``running`` are known to need, by numbers of their own.
    var underWay = RequestsUnderWay()
    var lastBegun = 0
    /// Bytes of the requests of ``running``.
    var heldBytes = 0
    /// Of each batch, the rank of the line that was begun last.
    var cursors: [Int64: Int64] = [:]
    /// The batch whose file is being read or whose lines are being planned.
    var preparing: (batch: Int64, task: Task<Void, Never>)?
    /// Why nothing can be written; no line is begun meanwhile.
    var trouble: JobError?

    /// - Parameters:
    ///   - planner: `nil`: lines run in the order of the file.
    ///   - now: the time of day.
    public init(
        store: JobStore, desk: any LineDesk, planner: (any LinePlanner)? = nil, settings: Settings = Settings(), logger: Logger,
        now: @escaping @Sendable () -> Int64 = { Int64(Date().timeIntervalSince1970) }
    ) {
        self.store = store
        self.desk = desk
        self.planner = planner
        self.settings = settings
        self.logger = logger
        self.now = now
        ledger = AnswerLedger(store: store)
        (wakeUps, waker) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Lines that are under way.
    public var runningCount: Int { running.count }

    /// Something is new: a batch, or that one is not wanted any more.
    public nonisolated func wake() { waker.yield() }

    /// Begins nothing more; ``run()`` returns when what is under way has been let go. It is asked again by the next runner.
    public nonisolated func stop() { waker.finish() }

    /// Works until ``stop()``.
    public func run() async {
        let clock = Task { [waker, interval = settings.interval] in
            while !Task.isCancelled {
                waker.yield()
                try? await Task.sleep(for: interval)
            }
        }
        for await _ in wakeUps { await look() }
        clock.cancel()
        for task in running.values { task.cancel() }
        preparing?.task.cancel()
        for task in Array(running.values) { await task.value }
        await preparing?.task.value
    }

    /// Does what there is to do.
    private func look() async {
        do throws(JobError) {
            let batches = try await store.openBatches()
            for batch in batches { try await advance(batch) }
            try await begin(linesOf: batches)
        } catch {
            note(error)
        }
    }

    // MARK: Batches

    private func advance(_ batch: Batch) async throws(JobError) {
        let isLate = now() >= batch.times.expires
        switch batch.status {
        case .validating where isLate, .inProgress where isLate: try await end(batch, as: .expired)
        case .cancelling: try await end(batch, as: .cancelled)
        case .finalizing: try await end(batch, as: .completed)
        case .validating: prepare(batch)
        case .inProgress where batch.counts.ended >= batch.counts.total: try await end(batch, as: .completed)
        case .inProgress where !batch.isPlanned: prepare(batch)
        case .inProgress, .failed, .completed, .expired, .cancelled: break
        }
    }

    /// Ends a batch as soon as nobody works on it.
    private func end(_ batch: Batch, as status: Batch.Status) async throws(JobError) {
        let tasks = running.filter { $0.key.batch == batch.number }.map(\.value) + (preparing?.batch == batch.number ? [preparing?.task] : [])
        guard tasks.isEmpty else {
            for task in tasks { task?.cancel() }
            return
        }
        if status == .expired, batch.status == .inProgress { try await expireLines(of: batch) }
        try await store.finalize(batch.number, as: status, at: now())
        cursors[batch.number] = nil
        logger.info("\(batch.id) is \(status.rawValue)", metadata: ["lines": "\(batch.counts.total)"])
    }

    private func expireLines(of batch: Batch) async throws(JobError) {
        let message = "this request could not be run before the completion window of \(batch.window.text) ended"
        while true {
            let lines = try await store.waitingLines(of: batch, after: nil, limit: 500)
            guard !lines.isEmpty else { return }
            try await store.record(lines.map { line in
                let text = LineText.failure(of: line, code: "batch_expired", message: message)
                return LineEnd(batch: line.batch, number: line.number, isAnswer: false, text: text, usage: .init())
            })
        }
    }

    /// Reads and plans one batch at a time, beside the lines of others.
    private func prepare(_ batch: Batch) {
        guard preparing == nil, batch.model == desk.modelName else { return }
        // Tokenizing a large job takes minutes, and online requests need the same threads.
        let task = Task(priority: .utility) {
            do throws(JobError) {
                if batch.status == .validating {
                    var reader = BatchReader(store: store, batch: batch)
                    try await reader.read(at: now())
                } else {
                    try await LinePlanning(store: store, desk: desk, planner: planner).plan(batch)
                }
            } catch {
                note(error)
            }
            preparing = nil
            wake()
        }
        preparing = (batch.number, task)
    }

    /// Says what is wrong with the store, once.
    func note(_ error: JobError) {
        switch error {
        // Cancelled or deleted meanwhile: the next look sees it.
        case .conflict, .noBatch, .noFile: return
        case .full, .unavailable, .inUse, .tooMuch: break
        }
        if trouble != error { logger.error("jobs wait: \(error)") }
        trouble = error
    }
}
