import BatonClient
import ClusterCore
import Foundation
import Generation
import Inference
import Kernels

/// Measures cells, each on a cluster of its own.
public struct CellRunner: Sendable {
    public let launcher: any ClusterLauncher
    public let model: Model
    public let references: ReferenceAnswers
    public let build: String
    /// Where each cell's trace goes, if anywhere.
    public let traces: URL?

    public init(launcher: any ClusterLauncher, model: Model, references: ReferenceAnswers, build: String, traces: URL? = nil) {
        self.launcher = launcher
        self.model = model
        self.references = references
        self.build = build
        self.traces = traces
    }

    private static let blockSize = 16
    /// Blocks that the coordinator sets aside for a query to grow into, and some for the queries that wait for a row.
    private static let spareBlocks = 4

    /// - Parameter peakBlocks: of the same cell without a limit, for one that has a share of it.
    /// - Throws: whatever keeps the cluster from starting or from answering.
    public func run(_ cell: Cell, peakBlocks: Int?) async throws -> CellResult {
        let expected = try await references.answers(to: cell.workload, count: cell.queryCount, seed: cell.seed)
        let queries = cell.workload.queries(
            count: cell.queryCount, seed: cell.seed, vocabularySize: model.configuration.vocabularySize)
        let cluster = try await launcher.launch(settings(of: cell, peakBlocks: peakBlocks))
        do {
            let (records, measures) = try await measure(queries, expected, cell, on: cluster)
            await cluster.stop()
            guard let own = CellMeasures(records, batch: cell.batch) else { throw CellError.answerWithoutEnd(cell.name) }
            return CellResult(
                cell: cell, build: build, time: Date().timeIntervalSince1970, measures: own, cluster: measures)
        } catch {
            await cluster.stop()
            throw error
        }
    }

    private func measure(
        _ queries: [Workload.Query], _ expected: [[TokenID]], _ cell: Cell, on cluster: RunningCluster
    ) async throws -> ([QueryRecord], ClusterMeasures) {
        let client = try await BatonClient.connect(to: cluster.rpc, name: "bench")
        let observer = try await BatonClient.connect(to: cluster.rpc, name: "bench, observing")
        let sampler = ResourceSampler(client: observer, processIDs: cluster.processIDs, bytesPerBlock: bytesPerBlock(cell))
        let sampling = Task { await sampler.run() }
        defer {
            sampling.cancel()
            Task {
                await client.close()
                await observer.close()
            }
        }
        let load = LoadGenerator(client: client, queries: queries, expected: expected, concurrency: cell.concurrency)
        let records = try await load.run()
        sampling.cancel()
        var measures = await sampling.value
        // The counters travel with the heartbeats, of which there are four a second.
        try await Task.sleep(for: .milliseconds(600))
        measures.conclude(try await observer.status(), peakResidentBytes: sampler.residentBytes("VmHWM"))
        return (records, measures)
    }

    private func bytesPerBlock(_ cell: Cell) -> Int {
        let format = KVFormat(rawValue: cell.kv) ?? .auto
        return model.kvLayout(blockSize: Self.blockSize, format: format).byteCount * model.configuration.layerCount
    }

    /// Every arm gets the same KV memory in all.
    func settings(of cell: Cell, peakBlocks: Int?) -> ClusterSettings {
        let perQuery = (cell.workload.longest + Self.blockSize - 1) / Self.blockSize + Self.spareBlocks
        // As many rows as the batch has, and those that wait with their KV for a row.
        let ample = (cell.batch + 4) * perQuery
        let limited = cell.memoryShare.flatMap { share in
            peakBlocks.map { max(Int((share * Double($0)).rounded()), perQuery) }
        }
        // A prompt worker holds what it computes and what is on its way. A limit is on all that an arm without one has.
        let prefill = limited != nil && !cell.arm.isSeparated ? 0 : 6 * perQuery
        return ClusterSettings(
            arm: cell.arm, rows: cell.batch, weights: cell.weights, kv: cell.kv,
            decodeKVBytes: (limited ?? ample) * bytesPerBlock(cell), prefillKVBytes: prefill * bytesPerBlock(cell),
            trace: traces?.appendingPathComponent(cell.name + ".json").path)
    }
}

public enum CellError: Error, Sendable, Hashable, CustomStringConvertible {
    /// An answer ended without a token.
    case answerWithoutEnd(String)

    public var description: String {
        switch self {
        case .answerWithoutEnd(let cell): "\(cell): an answer came to an end without a token"
        }
    }
}
