/// Writes the ends of lines. Those that come while others are being written share the next transaction, and with it the
/// time that the disk takes.
actor AnswerLedger {
    private let store: JobStore
    private var waiting: [(end: LineEnd, done: CheckedContinuation<Result<Void, JobError>, Never>)] = []
    private var isWriting = false

    init(store: JobStore) { self.store = store }

    /// Returns when `end` is on the disk.
    func record(_ end: LineEnd) async throws(JobError) {
        let result = await withCheckedContinuation { done in
            waiting.append((end, done))
            guard !isWriting else { return }
            isWriting = true
            // A task of its own, so that nobody's cancellation cancels what others wait for.
            Task { await write() }
        }
        try result.get()
    }

    private func write() async {
        while !waiting.isEmpty {
            let group = waiting
            waiting = []
            let result: Result<Void, JobError>
            do throws(JobError) {
                result = .success(try await store.record(group.map(\.end)))
            } catch {
                result = .failure(error)
            }
            for entry in group { entry.done.resume(returning: result) }
        }
        isWriting = false
    }
}
