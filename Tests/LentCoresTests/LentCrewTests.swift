import ClusterCore
import Foundation
import Kernels
import Synchronization
import Testing

@testable import LentCores

@Suite struct LentCrewTests {
    private static func now() -> Instant {
        Instant(nanoseconds: Int64(clamping: DispatchTime.now().uptimeNanoseconds))
    }

    /// What three workers on two cores do at the same time, each with threads of its own.
    @Test func aCoreNeverHasTwoThreadsAtWork() throws {
        let cores = ThreadTeam.allowedCores.prefix(2)
        LeaseFileTests.withDirectory { directory in
            let busy = Mutex([Int: Int]()), greatest = Mutex(0), parts = Mutex([0, 0, 0])
            let failures = Mutex([String]())
            let group = DispatchGroup()
            for number in 0..<3 {
                group.enter()
                Thread {
                    defer { group.leave() }
                    do {
                        let team = try ThreadTeam(maxThreads: cores.count)
                        let board = try LeaseFile(directory: directory, allowed: Array(cores))
                        let home = try board.makeHome(count: 1)
                        let rules = CoreLeases.Rules(homes: home, maxCores: cores.count)
                        let crew = try LentCrew(team: team, rules: rules, board: board, clock: Self.now)
                        for step in 0..<40 {
                            crew.begin(borrowing: step % 5 != number)
                            for _ in 0..<30 {
                                let threads = crew.relieve(), cores = crew.cores
                                team.forEachRange(of: threads, chunk: 1, threads: threads) { _, thread in
                                    busy.withLock { $0[cores[thread], default: 0] += 1 }
                                    greatest.withLock { [most = busy.withLock { $0.values.max() ?? 0 }] in $0 = max($0, most) }
                                    usleep(100)
                                    busy.withLock { $0[cores[thread], default: 0] -= 1 }
                                }
                                parts.withLock { $0[number] += 1 }
                            }
                            crew.end()
                            if step % 3 == number {
                                crew.rest()
                                usleep(500)
                            }
                        }
                        crew.rest()
                    } catch { failures.withLock { $0.append("\(error)") } }
                }.start()
            }
            group.wait()
            #expect(failures.withLock { $0 } == [])
            #expect(parts.withLock { $0 } == [1200, 1200, 1200])
            #expect(greatest.withLock { $0 } == 1)
        }
    }

    /// The same while threads join and leave jobs that run: each is in one piece, whoever comes and goes.
    @Test func aCoreNeverHasTwoThreadsWithinLongJobs() throws {
        let cores = ThreadTeam.allowedCores.prefix(2)
        LeaseFileTests.withDirectory { directory in
            let busy = Mutex([Int: Int]()), greatest = Mutex(0), items = Mutex([0, 0, 0])
            let failures = Mutex([String]())
            let group = DispatchGroup()
            for number in 0..<3 {
                group.enter()
                Thread {
                    defer { group.leave() }
                    do {
                        let team = try ThreadTeam(maxThreads: cores.count)
                        let board = try LeaseFile(directory: directory, allowed: Array(cores))
                        let home = try board.makeHome(count: 1)
                        let rules = CoreLeases.Rules(homes: home, maxCores: cores.count)
                        let crew = try LentCrew(team: team, rules: rules, board: board, clock: Self.now)
                        for step in 0..<15 {
                            crew.begin(borrowing: true)
                            team.forEachRange(of: 100, chunk: 1, threads: crew.threads, isLong: true) { range, _ in
                                let core = ThreadTeam.allowedCores.first ?? -1
                                let atWork = busy.withLock { busy in
                                    busy[core, default: 0] += 1
                                    return busy[core, default: 0]
                                }
                                greatest.withLock { $0 = max($0, atWork) }
                                usleep(100)
                                busy.withLock { $0[core, default: 0] -= 1 }
                                items.withLock { $0[number] += range.count }
                            }
                            crew.end()
                            if step % 3 == number {
                                crew.rest()
                                usleep(500)
                            }
                        }
                        crew.rest()
                    } catch { failures.withLock { $0.append("\(error)") } }
                }.start()
            }
            group.wait()
            #expect(failures.withLock { $0 } == [])
            #expect(items.withLock { $0 } == [1500, 1500, 1500])
            #expect(greatest.withLock { $0 } == 1)
        }
    }

    @Test func threadsRunOnTheCoresOfTheCrew() throws {
        let allowed = ThreadTeam.allowedCores
        try LeaseFileTests.withDirectory { directory in
            let team = try ThreadTeam(maxThreads: allowed.count)
            defer { try? team.place(on: []) }
            let here = try LeaseFile(directory: directory, allowed: allowed), there = try LeaseFile(directory: directory, allowed: allowed)
            let home = try #require(allowed.last)
            try here.makeHome(on: [home])
            try there.makeHome(on: allowed)
            let crew = try LentCrew(
                team: team, rules: CoreLeases.Rules(homes: [home], maxCores: allowed.count), board: here, clock: Self.now)
            crew.begin(borrowing: true)
            #expect(crew.cores.first == home && crew.threads == crew.cores.count)
            let ran = Mutex([Int: [Int]]())
            team.forEachRange(of: crew.threads * 4, chunk: 1, threads: crew.threads) { _, thread in
                usleep(200)
                ran.withLock { $0[thread] = ThreadTeam.allowedCores }
            }
            let cores = crew.cores
            #expect(ran.withLock { $0.allSatisfy { $1 == [cores[$0]] } })
            crew.end()
            #expect(crew.cores == cores, "nobody wants them, and the next step may follow at once")
            crew.rest()
            #expect(crew.cores == [])
            #expect(allowed.allSatisfy { there.take($0) })
        }
    }
}
