import ClusterCore
import Foundation
import Synchronization
import Testing

@testable import Transport

/// Counts on a socket thread.
private actor Counter {
    nonisolated let thread: SocketThread
    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }
    private(set) var count = 0
    private(set) var notes: [String] = []

    init(_ thread: SocketThread) { self.thread = thread }

    func add() {
        precondition(thread.isCurrent, "a job off its thread")
        count += 1
    }

    /// Submits a job, a closure and a job.
    func submitMixed() {
        Task { note("job 1") }
        thread.run { self.assumeIsolated { $0.note("closure") } }
        Task { note("job 2") }
    }

    private func note(_ text: String) { notes.append(text) }
}

@Suite struct SocketThreadTests {
    private func withThread(_ body: (SocketThread) async throws -> Void) async throws {
        let thread = try SocketThread(name: "test")
        defer { thread.stop() }
        try await body(thread)
    }

    @Test func anActorRunsOnItsThread() async throws {
        try await withThread { thread in
            let counter = Counter(thread)
            await counter.add()
            #expect(await counter.count == 1)
            #expect(!thread.isCurrent)
            #expect(thread.isIsolatingCurrentContext() == false)
            let isolation = await withCheckedContinuation { continuation in
                thread.run { continuation.resume(returning: thread.isIsolatingCurrentContext()) }
            }
            #expect(isolation == true)
        }
    }

    @Test func theSystemKnowsAThreadByItsName() async throws {
        let thread = try SocketThread(name: "a name of more than fifteen bytes")
        defer { thread.stop() }
        let name = await withCheckedContinuation { continuation in
            thread.run { continuation.resume(returning: try? String(contentsOfFile: "/proc/thread-self/comm", encoding: .utf8)) }
        }
        #expect(name == "a name of more \n")
    }

    @Test func closuresRunInOrder() async throws {
        try await withThread { thread in
            let order = Mutex<[Int]>([])
            await withCheckedContinuation { continuation in
                for index in 0..<1000 { thread.run { order.withLock { $0.append(index) } } }
                thread.run { continuation.resume() }
            }
            #expect(order.withLock { $0 } == Array(0..<1000))
        }
    }

    @Test func jobsAndClosuresRunInTheOrderOfSubmission() async throws {
        try await withThread { thread in
            let counter = Counter(thread)
            await counter.submitMixed()
            #expect(await eventually { await counter.notes.count == 3 })
            #expect(await counter.notes == ["job 1", "closure", "job 2"])
        }
    }

    @Test func nothingIsLostUnderConcurrentSubmission() async throws {
        try await withThread { thread in
            let counter = Counter(thread)
            let closures = Tally()
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        for _ in 0..<300 {
                            await counter.add()
                            thread.run { closures.add() }
                        }
                    }
                }
            }
            #expect(await counter.count == 2400)
            #expect(await eventually { closures.count == 2400 })
        }
    }

    @Test func timersRunInOrderUnlessCancelled() async throws {
        try await withThread { thread in
            let fired = Mutex<[Int]>([])
            let start = Instant.now
            let end = await withCheckedContinuation { (continuation: CheckedContinuation<Instant, Never>) in
                thread.run {
                    func schedule(_ number: Int, after delay: Duration) -> SocketThread.Timer {
                        thread.schedule(at: start + delay) { fired.withLock { $0.append(number) } }
                    }
                    _ = schedule(3, after: .milliseconds(30))
                    let cancelled = schedule(2, after: .milliseconds(20))
                    _ = schedule(1, after: .milliseconds(10))
                    _ = schedule(0, after: .zero - .seconds(1))
                    _ = schedule(9, after: .seconds(3600))
                    _ = thread.schedule(at: start + .milliseconds(10)) { cancelled.cancel() }
                    _ = thread.schedule(at: start + .milliseconds(40)) { continuation.resume(returning: .now) }
                }
            }
            #expect(fired.withLock { $0 } == [0, 1, 3])
            #expect(end - start >= .milliseconds(40))
        }
    }

    @Test func aTimerAtTheEndOfTimeDoesNoHarm() async throws {
        try await withThread { thread in
            await withCheckedContinuation { continuation in
                thread.run {
                    _ = thread.schedule(at: .distantFuture) {}
                    _ = thread.schedule(at: .now + .milliseconds(1)) { continuation.resume() }
                }
            }
        }
    }

    @Test func stopRunsWhatWaitsClosesSocketsAndEndsTheThread() async throws {
        weak var gone: SocketThread?
        let ran = Mutex(0)
        let (router, dealer) = (try Station(), try Station())
        try await dealer.connect(to: router.bind())
        #expect(try await eventually { try await dealer.send(.ping(1)) })
        router.thread.stop()
        #expect(await eventually { await dealer.disconnectCount == 1 })
        await dealer.close()
        do {
            let thread = try SocketThread(name: "test")
            gone = thread
            for _ in 0..<100 { thread.run { ran.withLock { $0 += 1 } } }
            thread.stop()
        }
        #expect(await eventually { gone == nil })
        #expect(ran.withLock { $0 } == 100)
    }
}
