import Foundation
import Generation
import Inference
import Kernels

/// A workload as its answers see it.
public protocol AnsweredWorkload: Codable, Sendable, Hashable {
    /// In file names.
    var name: String { get }
    /// Without what answers do not depend on.
    var answered: Self { get }
    /// The first `count` queries; those of a smaller count begin those of a larger one.
    func queries(count: Int, seed: UInt64, vocabularySize: Int) -> [Workload.Query]
}

extension Workload: AnsweredWorkload {
    public var answered: Workload { withUrgentShare(0) }
}

extension PrefixWorkload: AnsweredWorkload {
    public var answered: PrefixWorkload { self }

    public func queries(count: Int, seed: UInt64, vocabularySize: Int) -> [Workload.Query] {
        Array(queries(seed: seed, vocabularySize: vocabularySize).prefix(count))
    }
}

/// The answers of a workload's queries alone, one after the other, in this process: what every arm has to equal to the bit.
/// Kept on disk, because computing them takes longer than most cells.
public struct ReferenceAnswers: Sendable {
    let model: Model
    let kvFormat: KVFormat
    let cores: [Int]
    let directory: URL

    public init(model: Model, kvFormat: KVFormat, cores: [Int], directory: URL) {
        self.model = model
        self.kvFormat = kvFormat
        self.cores = cores
        self.directory = directory
    }

    /// All that the answers depend on, and how many of them there are.
    private struct Stored<Queries: AnsweredWorkload>: Codable {
        var model: String
        var arithmetic: String
        var kv: String
        var workload: Queries
        var seed: UInt64
        var answers: [[TokenID]]
    }

    /// - Parameter progress: called with the share done.
    /// - Returns: tokens of the first `count` queries' answers.
    public func answers(
        to workload: some AnsweredWorkload, count: Int, seed: UInt64, progress: @escaping @Sendable (Double) -> Void = { _ in }
    ) async throws -> [[TokenID]] {
        var wanted = Stored(
            model: model.hash, arithmetic: model.kernelFamily,
            kv: model.kvLayout(blockSize: 16, format: kvFormat).format.rawValue,
            workload: workload.answered, seed: seed, answers: [])
        let file = directory.appendingPathComponent(
            "reference_\(workload.name)_\(wanted.model.prefix(8))_\(wanted.arithmetic.prefix(24))_\(wanted.kv)_s\(seed).json")
        if let known = stored(like: wanted, in: file) { wanted.answers = known }
        if wanted.answers.count < count {
            let known = wanted.answers.count
            wanted.answers += try await compute(workload, known..<count, seed, progress)
            try JSONEncoder().encode(wanted).write(to: file, options: .atomic)
        }
        return Array(wanted.answers.prefix(count))
    }

    private func stored<Queries>(like wanted: Stored<Queries>, in file: URL) -> [[TokenID]]? {
        guard let data = try? Data(contentsOf: file), let stored = try? JSONDecoder().decode(Stored<Queries>.self, from: data),
            stored.model == wanted.model, stored.arithmetic == wanted.arithmetic, stored.kv == wanted.kv,
            stored.workload == wanted.workload, stored.seed == wanted.seed
        else { return nil }
        return stored.answers
    }

    private func compute(
        _ workload: some AnsweredWorkload, _ range: Range<Int>, _ seed: UInt64, _ progress: @escaping @Sendable (Double) -> Void
    ) async throws -> [[TokenID]] {
        try await onTeam(of: cores) { [self] team in
            let local = LocalGeneration(engine: try Engine(model: model, team: team), threads: cores.count, kvFormat: kvFormat)
            let queries = workload.queries(
                count: range.upperBound, seed: seed, vocabularySize: model.configuration.vocabularySize)
            return try range.map { index in
                progress(Double(index - range.lowerBound) / Double(range.count))
                let query = queries[index]
                return try local.generate(
                    prompt: query.prompt, parameters: .greedy, stop: StopConditions(maxTokens: Int32(query.outputCount))).tokens
            }
        }
    }
}
