import BatonClient
import ClusterCore
import Foundation
import Generation
import Inference
import Kernels

/// Measures cells of jobs, each on a cluster of its own: one mixed worker on two cores, whose steps take chunks of prompts beside
/// the rows of the batch.
public struct BatchCellRunner: BatchCellMeasuring {
    public let launcher: any ClusterLauncher
    public let model: Model
    public let references: ReferenceAnswers
    public let build: String

    public init(launcher: any ClusterLauncher, model: Model, references: ReferenceAnswers, build: String) {
        self.launcher = launcher
        self.model = model
        self.references = references
        self.build = build
    }

    /// Requests that wait in the cluster, so that a row that comes free is taken at the next iteration.
    private static let waitingRequests = 4
    /// The most rows of a batch that memory sizes.
    private static let mostRows = 256

    /// - Throws: whatever keeps the cluster from starting or from answering.
    public func measure(_ cell: BatchCell) async throws -> BatchCellResult {
        let queries = cell.workload.queries(seed: cell.seed, vocabularySize: model.configuration.vocabularySize)
        let expected = try await references.answers(to: cell.workload, count: queries.count, seed: cell.seed)
        let began = ContinuousClock.now
        let (plan, lengths) = Self.plan(queries, cell)
        let planning = began.duration(to: .now).seconds
        let window = AdmissionWindow(
            plan: plan, promptLengths: queries.map(\.prompt.count), answerLimits: lengths, limit: Self.limit(cell),
            // Members of a group that is named wait in the cluster, which knows at once when their prefix is whole.
            followersWait: false)
        let cluster = try await launcher.launch(settings(of: cell))
        do {
            let (records, measures) = try await measure(window, queries, expected, namesGroups: cell.arm.namesGroups, on: cluster)
            await cluster.stop()
            guard let own = BatchMeasures(records, queries, plan, measures, planningSeconds: planning) else {
                throw CellError.answerWithoutEnd(cell.name)
            }
            return BatchCellResult(cell: cell, build: build, time: Date().timeIntervalSince1970, measures: own, cluster: measures)
        } catch {
            await cluster.stop()
            throw error
        }
    }

    private func measure(
        _ window: AdmissionWindow, _ queries: [Workload.Query], _ expected: [[TokenID]], namesGroups: Bool, on cluster: RunningCluster
    ) async throws -> ([QueryRecord], ClusterMeasures) {
        let client = try await BatonClient.connect(to: cluster.rpc, name: "bench")
        let observer = try await BatonClient.connect(to: cluster.rpc, name: "bench, observing")
        let sampler = ResourceSampler(client: observer, processIDs: cluster.processIDs, bytesPerBlock: bytesPerBlock)
        let sampling = Task { await sampler.run() }
        defer {
            sampling.cancel()
            Task {
                await client.close()
                await observer.close()
            }
        }
        let records = try await JobLoad(client: client, queries: queries, expected: expected, namesGroups: namesGroups).run(window)
        sampling.cancel()
        var measures = await sampling.value
        // The counters travel with the heartbeats, of which there are four a second.
        try await Task.sleep(for: .milliseconds(600))
        measures.conclude(try await observer.status(), peakResidentBytes: sampler.residentBytes("VmHWM"))
        return (records, measures)
    }

    private var bytesPerBlock: Int {
        model.kvLayout(blockSize: BatchCell.blockSize, format: .auto).byteCount * model.configuration.layerCount
    }

    private func settings(of cell: BatchCell) -> ClusterSettings {
        var settings = ClusterSettings(
            arm: .mixed, rows: cell.isSizedByMemory ? Self.mostRows : cell.rows, weights: "auto", kv: "auto",
            decodeKVBytes: cell.memoryBlocks * bytesPerBlock, prefillKVBytes: 0)
        settings.batchArm = cell.arm
        return settings
    }

    // MARK: The job

    /// - Returns: the plan, and the answer lengths that it was made with.
    static func plan(_ queries: [Workload.Query], _ cell: BatchCell) -> (BatchPlan, [Int]) {
        var options = cell.arm.plannerOptions
        if cell.order == .arrival || cell.order == .random { options.order = .arrival }
        var random = SeededRandom(seed: cell.seed &* 5 &+ 2)
        let lengths = queries.map { query in
            cell.order == .guessed ? max(1, Int((Double(query.outputCount) * (0.5 + random.unit())).rounded())) : query.outputCount
        }
        var plan = BatchPlanner.plan(prompts: queries.map(\.prompt), expectedAnswerLengths: lengths, options: options)
        if cell.order == .random { plan.shuffleGroups { random.below($0) } }
        return (plan, lengths)
    }

    static func limit(_ cell: BatchCell) -> AdmissionWindow.Limit {
        switch cell.admission {
        case .ofArm where cell.arm.isSizedByMemory, .kvMemory: .kvMemory(blocks: cell.memoryBlocks, blockSize: BatchCell.blockSize)
        case .ofArm, .requests: .requests(cell.rows + waitingRequests)
        case .tokens: .tokens(cell.memoryBlocks * BatchCell.blockSize)
        }
    }
}

extension BatchMeasures {
    /// - Returns: `nil` if an answer has no token.
    init?(
        _ records: [QueryRecord], _ queries: [Workload.Query], _ plan: BatchPlan, _ cluster: ClusterMeasures, planningSeconds: Double
    ) {
        let ended = records.compactMap(\.ended).sorted()
        guard ended.count == records.count, let last = ended.last else { return nil }
        seconds = last
        promptTokens = queries.reduce(0) { $0 + $1.prompt.count }
        outputTokens = records.reduce(0) { $0 + $1.tokenTimes.count }
        prefilledTokens = Int(clamping: cluster.prefillTokens ?? 0)
        stepTokens = cluster.steps.map { $0 > 0 ? Double(cluster.tokenRows) / Double($0) : 0 } ?? 0
        self.planningSeconds = planningSeconds
        plannedGroups = plan.groups.count { $0.members.count > 1 }
        plannedSaving = plan.savedTokens
        completions = ended
        exactCount = records.count(where: \.isExact)
        queryCount = records.count
        retriedCount = records.count { $0.attempts > 1 }
    }
}
