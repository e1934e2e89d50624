import BatonClient
import ClusterCore
import Foundation
import Generation
import LocalCluster
import Synchronization
import Testing

extension ClusterTests {
    /// Every worker is killed in turn and restarted, again and again, until all answers are in.
    @Test func killedWorkersCostNothingButTime() async throws {
        let workload = try await Workload(count: 200, seed: 3)
        try await TestCluster.run(prefillWorkers: 2, decodeWorkers: 2) { cluster in
            let client = try await cluster.connect()
            let isServed = Atomic(false)
            let killing = Task {
                var killed: Set<String> = []
                for name in (0..<4).flatMap({ _ in cluster.plan.workerNames }) where !isServed.load(ordering: .relaxed) {
                    try await Task.sleep(for: .milliseconds(150))
                    await cluster.processes.kill(name)
                    killed.insert(name)
                    try await cluster.processes.start(name)
                }
                return killed
            }
            let retried = try await workload.check(on: client, concurrency: 24)
            isServed.store(true, ordering: .relaxed)
            #expect(try await killing.value == Set(cluster.plan.workerNames))
            #expect(retried > 0, "no kill hit anything")
            try await cluster.waitUntilIdle()
            await client.close()
        }
    }

    @Test func aStoppedWorkerIsReplacedAndRefusedWhenItWakes() async throws {
        let workload = try await Workload(count: 40, seed: 4, maxTokens: 200)
        try await TestCluster.run(prefillWorkers: 1, decodeWorkers: 2) { cluster in
            let client = try await cluster.connect()
            let zombie = try #require(await cluster.processes.process("decode-0"))
            let stopping = Task {
                try await Task.sleep(for: .milliseconds(100))
                zombie.signal(SIGSTOP)
                try await Task.sleep(for: .seconds(5))
                zombie.signal(SIGCONT)
            }
            _ = try await workload.check(on: client, concurrency: 16)
            zombie.signal(SIGCONT)
            stopping.cancel()
            try await cluster.waitUntilIdle()
            try await cluster.waitUntil("the zombie is back with nothing in its hands") { status in
                status.workers.contains { $0.worker.name == "decode-0" && $0.state == .ready }
            }
            await client.close()
        }
    }

    @Test func aClientThatGoesAwayLeavesNothingBehind() async throws {
        try await TestCluster.run { cluster in
            for round in 0..<8 {
                let client = try await cluster.connect()
                let reading = Task {
                    await withTaskGroup(of: Void.self) { group in
                        for number in 0..<12 {
                            group.addTask {
                                let prompt = (0..<(20 + 30 * number)).map { TokenID($0 % 500) }
                                _ = try? await client.answer(
                                    to: Submission(prompt: .tokens(prompt), sampling: .greedy, maxTokens: 500, ignoreEndTokens: true))
                            }
                        }
                    }
                }
                // A little later in each round: queued, prefilling, on its way, decoding.
                try await Task.sleep(for: .milliseconds(5 + 12 * round))
                await client.close()
                await reading.value
                try await cluster.waitUntilIdle(within: .seconds(10))
            }
        }
    }

    @Test func aRestartedCoordinatorIsJoinedAgain() async throws {
        let workload = try await Workload(count: 8, seed: 5)
        try await TestCluster.run { cluster in
            let client = try await cluster.connect()
            let stream = client.generate(
                Submission(prompt: .tokens([1, 2, 3]), sampling: .greedy, maxTokens: 900, ignoreEndTokens: true))
            var events = stream.makeAsyncIterator()
            _ = try await events.next()
            await cluster.processes.kill(ClusterPlan.coordinatorName)
            // A broken stream never looks finished.
            await #expect(throws: ClientError.self) { while try await events.next() != nil {} }
            try await cluster.processes.start(ClusterPlan.coordinatorName)
            try await cluster.waitUntil("the workers are back") { $0.workers.count { $0.state == .ready } == 2 }
            try await cluster.waitUntilIdle()
            // The client finds the new coordinator by itself.
            let deadline = ContinuousClock.now + .seconds(10)
            while (try? await client.status()) == nil, ContinuousClock.now < deadline {}
            _ = try await workload.check(on: client, concurrency: 8)
            await client.close()
            await #expect(throws: ClientError.closed) { try await client.status() }
        }
    }

    @Test func aWorkerThatIsAskedToLeaveFinishesFirst() async throws {
        let workload = try await Workload(count: 12, seed: 6, maxTokens: 200)
        try await TestCluster.run(decodeWorkers: 2) { cluster in
            let client = try await cluster.connect()
            let leaving = try #require(await cluster.processes.process("decode-1"))
            let asking = Task {
                try await Task.sleep(for: .milliseconds(60))
                leaving.signal(SIGTERM)
                return await leaving.waitForExit()
            }
            let retried = try await workload.check(on: client, concurrency: 12)
            #expect(try await asking.value == 0)
            #expect(retried == 0, "draining gave work up")
            await client.close()
        }
    }

    @Test func everyProcessEndsCleanlyWhenAsked() async throws {
        try await TestCluster.run { cluster in
            let client = try await cluster.connect()
            _ = try await client.answer(to: Submission(prompt: .tokens([5, 6]), sampling: .greedy, maxTokens: 3))
            await client.close()
            let codes = await cluster.processes.stopAll(patience: .seconds(20))
            #expect(codes.count == 3)
            #expect(codes.values.allSatisfy { $0 == 0 }, "\(codes)")
        }
    }
}

/// Each test starts processes that keep both cores busy, so one at a time.
@Suite(.serialized) struct ClusterTests {}
