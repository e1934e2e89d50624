@testable import Kernels
import Synchronization
import Testing

@Suite struct ThreadTeamTests {
    @Test(arguments: [1, 2, 3])
    func everyItemRunsOnce(threads: Int) throws {
        let team = try ThreadTeam(maxThreads: 3)
        for count in [0, 1, 2, 7, 100, 1000] {
            for chunk in [1, 3, 2000] {
                let seen = Mutex([Int](repeating: 0, count: count)), greatest = Mutex(0)
                team.forEachRange(of: count, chunk: chunk, threads: threads) { range, thread in
                    seen.withLock { for i in range { $0[i] += 1 } }
                    greatest.withLock { $0 = max($0, thread) }
                }
                #expect(seen.withLock { $0.allSatisfy { $0 == 1 } })
                #expect(greatest.withLock { $0 } < threads)
            }
        }
    }

    /// Jobs close together and far apart: members are met spinning and asleep.
    @Test func sleepersWake() async throws {
        let team = try ThreadTeam(maxThreads: 2)
        let total = Mutex(0)
        for round in 0..<300 {
            team.forEachRange(of: 8, chunk: 1, threads: 2) { range, _ in total.withLock { $0 += range.count } }
            if round % 50 == 0 { try await Task.sleep(for: .milliseconds(5)) }
        }
        #expect(total.withLock { $0 } == 2400)
    }
}
