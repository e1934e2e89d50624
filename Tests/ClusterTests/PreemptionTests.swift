import BatonClient
import ClusterCore
import Foundation
import Generation
import LocalCluster
import Testing

/// Real processes with few rows and requests of every priority: rows change hands all the time, and nobody's tokens may
/// depend on it, nor may anything be computed twice.
extension ClusterTests {
    @Test(arguments: [false, true]) func queriesThatGiveWayAreResumedExactly(inFiles: Bool) async throws {
        let workload = try await Workload(count: 60, seed: 21, maxTokens: 120)
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("baton-parking-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let parking = inFiles ? ["--parking-memory", "0MiB", "--parking-dir", directory.path] : []
        try await TestCluster.run(workerArguments: ["--max-num-seqs", "2"] + parking) { cluster in
            let client = try await cluster.connect()
            let retried = try await workload.check(on: client, concurrency: 16)
            #expect(retried == 0, "something was computed again")
            try await cluster.waitUntilIdle()
            let decode = try #require(try await cluster.status().workers.first { $0.role == .decode }).load
            #expect(decode.parking.parks > 5 && decode.parking.resumes == decode.parking.parks, "\(decode)")
            #expect(decode.parking.queries == 0 && decode.parking.memoryBytes == 0 && decode.parking.fileBytes == 0)
            await client.close()
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty)
    }

    @Test func aMixedWorkerResumesWhatItParked() async throws {
        let workload = try await Workload(count: 50, seed: 22, maxTokens: 120)
        try await TestCluster.run(
            prefillWorkers: 0, decodeWorkers: 0, mixedWorkers: 1, workerArguments: ["--max-num-seqs", "2"]
        ) { cluster in
            let client = try await cluster.connect()
            _ = try await workload.check(on: client, concurrency: 16)
            try await cluster.waitUntilIdle()
            let parking = try #require(try await cluster.status().workers.first).load.parking
            #expect(parking.parks > 2 && parking.resumes == parking.parks, "\(parking)")
            await client.close()
        }
    }

    @Test func parkedQueriesMoveToAWorkerWithRoom() async throws {
        let workload = try await Workload(count: 90, seed: 23, maxTokens: 140)
        try await TestCluster.run(
            prefillWorkers: 1, decodeWorkers: 2, workerArguments: ["--max-num-seqs", "2"]
        ) { cluster in
            let client = try await cluster.connect()
            let retried = try await workload.check(on: client, concurrency: 20)
            try await cluster.waitUntilIdle()
            let loads = try await cluster.status().workers.filter { $0.role == .decode }.map(\.load.parking)
            let (parks, moves) = (loads.reduce(0) { $0 + $1.parks }, loads.reduce(0) { $0 + $1.migrations })
            #expect(parks > 5 && moves > 0, "\(loads), \(retried) attempts more")
            #expect(loads.allSatisfy { $0.queries == 0 })
            await client.close()
        }
    }

    @Test func parkedQueriesOfAKilledWorkerAreReplayed() async throws {
        let workload = try await Workload(count: 60, seed: 24, maxTokens: 120)
        try await TestCluster.run(decodeWorkers: 2, workerArguments: ["--max-num-seqs", "2"]) { cluster in
            let client = try await cluster.connect()
            let killing = Task {
                try await cluster.waitUntil("rows change hands") { status in
                    status.workers.contains { $0.worker.name == "decode-0" && $0.load.parking.parks > 2 }
                }
                await cluster.processes.kill("decode-0")
                try await cluster.processes.start("decode-0")
            }
            let retried = try await workload.check(on: client, concurrency: 16)
            try await killing.value
            #expect(retried > 0)
            try await cluster.waitUntilIdle()
            await client.close()
        }
    }
}
