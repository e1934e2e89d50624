import Foundation
import Synchronization
import Testing

@testable import WorkerRuntime

@Suite struct ConfinedThreadTests {
    private final class Counter {
        var value = 0
        let thread = Thread.current
    }

    @Test func jobsRunInOrderOnTheThreadThatMadeTheResource() async throws {
        let thread = try await ConfinedThread.start(name: "test") { Counter() }
        for _ in 0..<99 { thread.submit { $0.value += 1 } }
        let (value, same) = await withCheckedContinuation { done in
            thread.submit { counter in
                done.resume(returning: (counter.value, counter.thread === Thread.current))
            }
        }
        #expect(value == 99)
        #expect(same)
        thread.stop()
    }

    /// Once each time that jobs have run out, and not between jobs that follow each other.
    @Test func itRestsWhenJobsHaveRunOut() async throws {
        let rests = Mutex([Int]())
        let rest = ConfinedThread<Counter>.Rest(after: .milliseconds(40)) { counter in
            rests.withLock { [value = counter.value] in $0.append(value) }
        }
        let thread = try await ConfinedThread.start(name: "test", rest: rest) { Counter() }
        for _ in 0..<5 { thread.submit { $0.value += 1 } }
        while rests.withLock({ $0.last }) != 5 { try await Task.sleep(for: .milliseconds(5)) }
        thread.submit { $0.value += 1 }
        while rests.withLock({ $0.last }) != 6 { try await Task.sleep(for: .milliseconds(5)) }
        try await Task.sleep(for: .milliseconds(150))
        #expect(rests.withLock { $0.filter { $0 > 0 } } == [5, 6])
        thread.stop()
    }

    @Test func aResourceThatCannotBeMadeIsAnError() async {
        await #expect(throws: CocoaError.self) {
            _ = try await ConfinedThread<Counter>.start(name: "test") { throw CocoaError(.fileNoSuchFile) }
        }
    }

    @Test func theResourceDiesWithItsThread() async throws {
        final class Guarded: Sendable {
            let gone: @Sendable () -> Void
            init(gone: @escaping @Sendable () -> Void) { self.gone = gone }
            deinit { gone() }
        }
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
        let thread = try await ConfinedThread.start(name: "test") { Guarded { continuation.finish() } }
        thread.stop()
        for await _ in stream {}
    }
}
