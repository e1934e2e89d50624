import BatonClient
import ClusterCore
import Foundation
import Kernels
import LentCores
import LocalCluster
import Testing

extension ClusterTests {
    /// Tokens do not tell whose cores computed them; the workers' own figures do.
    @Test(.timeLimit(.minutes(3)), arguments: [0, 1]) func answersAreTheSameOnLentCores(mixedWorkers: Int) async throws {
        let workload = try await Workload(count: 40, seed: 11)
        for leases in [true, false] {
            try await TestCluster.run(mixedWorkers: mixedWorkers, coreLeases: leases) { cluster in
                let client = try await cluster.connect()
                // All at once, then one after the other: crowded cores and idle ones.
                #expect(try await workload.check(on: client, concurrency: 40) == 0)
                #expect(try await workload.check(on: client, concurrency: 1) == 0)
                await client.close()
                try await cluster.waitUntilIdle()
                let borrowed = try await cluster.status().workers.map(\.load.coreLeases)
                if leases, ThreadTeam.allowedCores.count > 1 {
                    #expect(borrowed.contains { $0.borrowed > 0 && $0.borrowedNanoseconds > 0 }, "\(borrowed)")
                } else {
                    #expect(borrowed.allSatisfy { $0.borrowed == 0 })
                }
            }
        }
    }

    /// Killed in the middle of a step, a worker leaves nothing behind.
    @Test(.timeLimit(.minutes(3))) func leasesDieWithTheirHolder() async throws {
        let workload = try await Workload(count: 60, seed: 12)
        // More workers than cores, so that homes are shared too.
        try await TestCluster.run(decodeWorkers: 2, coreLeases: true) { cluster in
            let directory = try #require(cluster.plan.coreLeases), cores = ThreadTeam.allowedCores
            let board = try LeaseFile(directory: directory, allowed: cores)
            let client = try await cluster.connect()
            async let retried = workload.check(on: client, concurrency: 12)
            let workers = cluster.plan.workerNames
            try await cluster.stopInTheMiddle(of: board)
            #expect(board.othersHomes() != [])
            for name in workers { await cluster.processes.kill(name) }
            #expect(board.othersHomes() == [])
            #expect(cores.allSatisfy { board.take($0) && !board.isWanted($0) && board.takeTurn($0) })
            for core in cores {
                board.giveBack(core)
                board.endTurn(core)
            }
            for name in workers { try await cluster.processes.start(name) }
            #expect(try await retried > 0)
            await client.close()
            try await cluster.waitUntilIdle()
        }
    }

    /// A worker that stands still keeps what it has; nobody waits for it longer than once.
    @Test(.timeLimit(.minutes(3))) func aStoppedBorrowerHoldsNobodyUp() async throws {
        let workload = try await Workload(count: 6, seed: 13)
        try await TestCluster.run(coreLeases: true) { cluster in
            let directory = try #require(cluster.plan.coreLeases)
            // A borrower that never looks: this process has every core.
            let board = try LeaseFile(directory: directory, allowed: ThreadTeam.allowedCores)
            try await cluster.waitUntil("the workers rest") { _ in ThreadTeam.allowedCores.allSatisfy { board.take($0) } }
            let client = try await cluster.connect()
            _ = try await workload.check(on: client, concurrency: 1)
            await client.close()
            try await cluster.waitUntilIdle()
            try await cluster.waitUntil("the figures have come") { status in
                status.workers.map(\.load.coreLeases.overdueWaits) == [1, 1]
            }
        }
    }
}

extension TestCluster {
    /// Makes the workers stand still at a moment when one of them has a core.
    fileprivate func stopInTheMiddle(of board: LeaseFile) async throws {
        for _ in 0..<2000 {
            for name in plan.workerNames { await processes.process(name)?.signal(SIGSTOP) }
            for core in ThreadTeam.allowedCores {
                guard board.take(core) else { return }
                board.giveBack(core)
            }
            for name in plan.workerNames { await processes.process(name)?.signal(SIGCONT) }
            try await Task.sleep(for: .milliseconds(1))
        }
        throw NeverCame(what: "a worker has a core", last: "all are free")
    }
}
