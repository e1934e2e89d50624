import Foundation
import LocalCluster
import ProgramSupport
import ServingExperiments

/// Starts the clusters of `baton bench baton` and `baton bench batchllm`: processes on loopback, two cores for their workers in all.
struct BenchLauncher: ClusterLauncher {
    let model: String
    /// The two cores.
    let cores: [Int]
    let logs: URL

    let arms = Set(ServingArm.allCases)

    func launch(_ settings: ClusterSettings) async throws -> RunningCluster {
        let plan = try plan(settings)
        let cluster = LocalCluster(plan: plan)
        do {
            try await cluster.startAll()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await Readiness.wait(for: plan) }
                group.addTask { throw await cluster.firstFailure() }
                try await group.next()
                group.cancelAll()
            }
        } catch {
            await cluster.stopAll(patience: .zero)
            throw error
        }
        var processIDs: [Int32] = []
        for name in plan.processNames { if let process = await cluster.process(name) { processIDs.append(process.processID) } }
        return RunningCluster(rpc: plan.rpc, processIDs: processIDs) {
            await cluster.stopAll(patience: .seconds(5))
            try? FileManager.default.removeItem(at: plan.logs)
        }
    }

    /// One core for each of two separated workers, both for a mixed one.
    private func plan(_ settings: ClusterSettings) throws -> ClusterPlan {
        let apart = settings.arm.isSeparated
        var plan = ClusterPlan(
            programs: ClusterOptions.programs, model: model, prefillWorkers: apart ? 1 : 0, decodeWorkers: apart ? 1 : 0,
            mixedWorkers: apart ? 0 : 1, rpc: try freeLoopbackEndpoint(), workers: try freeLoopbackEndpoint(),
            threads: apart ? 1 : 2, logs: logs.appendingPathComponent(UUID().uuidString))
        plan.cores = cores
        plan.arm = Arm(settings.arm)
        if settings.arm == .batonLent { plan.coreLeases = plan.logs.appendingPathComponent("core-leases").path }
        // Every arm computes every prompt, as those who described them did, unless it is about just that.
        plan.workerArguments =
            ["--dtype", settings.weights, "--kv-dtype", settings.kv] + (settings.batchArm?.workerArguments ?? ["--prefix-cache", "off"])
        plan.roleArguments = [
            "prefill": ["--kv-cache-memory", String(settings.prefillKVBytes), "--max-num-seqs", "16"],
            "decode": ["--kv-cache-memory", String(settings.decodeKVBytes), "--max-num-seqs", String(settings.rows)],
            "mixed": [
                "--kv-cache-memory", String(settings.prefillKVBytes + settings.decodeKVBytes), "--max-num-seqs", String(settings.rows),
            ],
        ]
        if let trace = settings.trace { plan.coordinatorArguments = ["--trace", trace] }
        return plan
    }
}

extension Arm {
    /// Lent cores are no other way to schedule.
    fileprivate init(_ arm: ServingArm) {
        self =
            switch arm {
            case .static: .static
            case .orca: .orca
            case .orcaPadded: .orcaPadded
            case .batonDense: .batonDense
            case .baton, .batonLent: .baton
            case .mixed: .mixed
            }
    }
}
