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
            if round % 2 == 0 { team.limit(to: 1 + round / 2 % 3) }
        }
        #expect(total.withLock { $0 } == 18000)
    }

    /// A thread past the limit is not at work, and at once is again when the limit allows it.
    @Test func nobodyIsAtWorkPastTheLimit() throws {
        let team = try ThreadTeam(maxThreads: 3)
        for limit in [1, 2, 3, 1] {
            team.limit(to: limit)
            let greatest = Mutex(0)
            for _ in 0..<50 {
                team.forEachRange(of: 30, chunk: 1, threads: 3) { _, thread in greatest.withLock { $0 = max($0, thread) } }
            }
            #expect(greatest.withLock { $0 } < limit)
        }
    }

    /// Threads join and leave a job that runs, and change places: every item is done once, and whoever was sent away is gone
    /// when the call that sent it returns.
    @Test func threadsComeAndGoWhileAJobRuns() throws {
        let maxThreads = 4, team = try ThreadTeam(maxThreads: maxThreads), allowed = ThreadTeam.allowedCores
        defer { try? team.place(on: []) }
        var state: UInt64 = 17
        func draw(_ count: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % count
        }
        let atWork = (0..<maxThreads).map { _ in Counter() }
        var limit = maxThreads, joined = 0, left = 0
        team.relief = {
            guard draw(3) == 0 else { return }
            let before = limit
            limit = 1 + draw(maxThreads)
            if limit > before { joined += 1 } else if limit < before { left += 1 }
            if draw(4) == 0 { try? team.place(on: (0..<limit).map { _ in allowed[draw(allowed.count)] }) }
            team.limit(to: limit)
            for thread in limit..<maxThreads where atWork[thread].value.load(ordering: .sequentiallyConsistent) != 0 {
                Issue.record("thread \(thread) is at work past the limit of \(limit)")
            }
        }
        for round in 0..<400 {
            let count = 1 + draw(300), chunk = 1 + draw(3)
            let results = Mutex([UInt64](repeating: 0, count: count))
            team.forEachRange(of: count, chunk: chunk, threads: 1 + draw(maxThreads), isLong: true) { range, thread in
                atWork[thread].value.add(1, ordering: .sequentiallyConsistent)
                for index in range {
                    let hash = Self.hash(index &+ round)
                    results.withLock { $0[index] &+= hash }
                }
                atWork[thread].value.subtract(1, ordering: .sequentiallyConsistent)
            }
            #expect(results.withLock { $0 } == (0..<count).map { Self.hash($0 &+ round) }, "round \(round)")
            #expect(atWork.allSatisfy { $0.value.load(ordering: .sequentiallyConsistent) == 0 })
        }
        #expect(joined > 100 && left > 100)
    }

    /// Some work, whose result tells whether it was done once.
    private static func hash(_ value: Int) -> UInt64 {
        var hash = UInt64(value) &+ 1
        for _ in 0..<200 { hash = (hash ^ hash >> 29) &* 0xBF58_476D_1CE4_E5B9 }
        return hash
    }

    private final class Counter: Sendable {
        let value = Atomic(0)
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
