import Foundation

/// One run of a job on another engine, as `Benchmarks/peers/jobs.py` writes it.
public struct PeerJob: Sendable, Hashable, Codable {
    public var engine: String
    public var setting: String
    public var version: String
    /// Name of the workload.
    public var job: String
    public var requests: Int
    public var outputTokens: Int
    public var seconds: Double
    /// Share of the prompt tokens that were not computed; absent where the engine does not tell.
    public var saving: Double?

    var outputRate: Double { seconds > 0 ? Double(outputTokens) / seconds : 0 }
}

extension ResultStore {
    /// What other engines took for jobs; none if nothing was measured.
    public var peers: [PeerJob] { read("peers") ?? [] }
}

/// A request of a job in a file for other engines.
public struct JobLine: Sendable, Hashable, Codable {
    public var prompt: [Int32]
    public var maxTokens: Int

    enum CodingKeys: String, CodingKey {
        case prompt
        case maxTokens = "max_tokens"
    }

    /// JSON, a line for each query of the workload.
    public static func text(of workload: PrefixWorkload, seed: UInt64, vocabularySize: Int) throws -> Data {
        let encoder = JSONEncoder()
        var text = Data()
        for query in workload.queries(seed: seed, vocabularySize: vocabularySize) {
            text += try encoder.encode(JobLine(prompt: query.prompt, maxTokens: query.outputCount))
            text.append(UInt8(ascii: "\n"))
        }
        return text
    }
}
