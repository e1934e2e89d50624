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

    /// Resting threads answer the next call as spinning and sleeping ones do.
    @Test func threadsRestAndWake() throws {
        let team = try ThreadTeam(maxThreads: 3)
        let total = Mutex(0)
        for round in 0..<3000 {
            let threads = 1 + round % 3
            team.forEachRange(of: 6, chunk: 1, threads: threads) { range, _ in total.withLock { $0 += range.count } }
            if round % 2 == 0 { team.rest(from: round / 2 % 4) }
        }
        #expect(total.withLock { $0 } == 18000)
    }

    @Test func lanesBelongToOneThread() throws {
        let team = try ThreadTeam(maxThreads: 3)
        var lanes = [[Int]](repeating: [], count: 3)
        team.forEachRange(of: 1000, chunk: 7, lanes: &lanes) { range, lane in lane += range }
        #expect(lanes.joined().sorted() == Array(0..<1000))
    }

    /// Each step says where it runs; the last word counts.
    @Test func stepsRunWhereTheyAreTold() throws {
        let allowed = ThreadTeam.allowedCores
        let team = try ThreadTeam(maxThreads: 2)
        defer { try? team.place(on: []) }
        let first = try #require(allowed.first), last = try #require(allowed.last)
        for cores in [[first, last], [last, first], [last], []] {
            try team.place(on: cores)
            #expect(ThreadTeam.allowedCores == (cores.first.map { [$0] } ?? allowed))
            let seen = Mutex([Int: [Int]]())
            team.forEachRange(of: 2, chunk: 1, threads: 2) { _, thread in
                seen.withLock { $0[thread] = ThreadTeam.allowedCores }
            }
            for (thread, ran) in seen.withLock({ $0 }) {
                #expect(ran == (thread < cores.count ? [cores[thread]] : allowed))
            }
        }
        #expect(throws: KernelError.cores([9999], allowed: allowed)) { try team.place(on: [9999]) }
    }
}
