import Foundation
import Generation
import JSONReader

/// One request of a benchmark.
public struct ServeRequest: Sendable, Hashable {
    public enum Prompt: Sendable, Hashable {
        case text(String)
        case tokens([TokenID])
    }

    public var prompt: Prompt
    /// Tokens of the prompt, as far as they are known beforehand.
    public var inputTokens: Int?
    public var outputTokens: Int
    /// Seconds after the start at which a trace has it; `nil` where arrivals are drawn.
    public var time: Double?
}

/// Where the requests of a benchmark come from. Equal seeds give equal requests.
public enum ServeDataset: Sendable, Hashable {
    /// Unlike prompts behind a beginning that all share. Lengths vary by ± `range` of themselves.
    case random(input: Int, output: Int, range: Double, prefix: Int)
    /// `count` beginnings, each with many ends.
    case prefixRepetition(prefix: Int, suffix: Int, count: Int, output: Int)
    /// Mooncake's JSONL, replayed. Lengths are divided by `scale`.
    case trace(lines: [TraceLine], scale: Double)
    /// Lengths drawn from a published distribution, divided by `scale`.
    case published(PublishedTrace, scale: Double)
    /// Prompts that somebody wrote, with lengths of answers where the file has them.
    case custom([CustomLine], output: Int)

    public struct CustomLine: Sendable, Hashable {
        public var prompt: String
        public var output: Int?
    }
}

extension ServeDataset {
    /// - Parameters:
    ///   - vocabulary: ids below it are drawn for prompts.
    ///   - decode: makes text of tokens, for servers that should tokenize; `nil`: prompts are token ids.
    func requests(
        _ count: Int, vocabulary: Int, _ random: inout SeededRandom, decode: (([TokenID]) -> String)? = nil
    ) -> [ServeRequest] {
        func request(_ tokens: [TokenID], _ output: Int, at time: Double? = nil) -> ServeRequest {
            ServeRequest(
                prompt: decode.map { .text($0(tokens)) } ?? .tokens(tokens), inputTokens: tokens.count, outputTokens: max(1, output),
                time: time)
        }
        switch self {
        case .random(let input, let output, let range, let prefix):
            let shared = Self.tokens(prefix, vocabulary, &random)
            return (0..<count).map { _ in
                let length = Self.vary(input, by: range, &random), answer = Self.vary(output, by: range, &random)
                return request(shared + Self.tokens(length, vocabulary, &random), answer)
            }
        case .prefixRepetition(let prefix, let suffix, let prefixes, let output):
            let shared = (0..<max(1, prefixes)).map { _ in Self.tokens(prefix, vocabulary, &random) }
            return (0..<count).map { index in
                request(shared[index % shared.count] + Self.tokens(suffix, vocabulary, &random), output)
            }
        case .trace(let lines, let scale):
            return lines.prefix(count).map { line in
                let length = max(1, Int(Double(line.inputLength) / scale))
                return request(line.tokens(length, scale: scale, vocabulary), Int(Double(line.outputLength) / scale), at: line.milliseconds / 1000)
            }
        case .published(let trace, let scale):
            return (0..<count).map { _ in
                let input = max(1, Int(trace.inputs.length(at: random.unit()) / scale))
                let output = Int(trace.outputs.length(at: random.unit()) / scale)
                return request(Self.tokens(input, vocabulary, &random), output)
            }
        case .custom(let lines, let output):
            guard !lines.isEmpty else { return [] }
            return (0..<count).map { index in
                let line = lines[index % lines.count]
                return ServeRequest(prompt: .text(line.prompt), inputTokens: nil, outputTokens: line.output ?? output, time: nil)
            }
        }
    }

    /// The first ids of a vocabulary tend to be special.
    private static let firstOrdinaryToken = 16

    static func tokens(_ count: Int, _ vocabulary: Int, _ random: inout SeededRandom) -> [TokenID] {
        let first = min(firstOrdinaryToken, vocabulary - 1)
        return (0..<max(0, count)).map { _ in TokenID(first + random.below(vocabulary - first)) }
    }

    private static func vary(_ length: Int, by range: Double, _ random: inout SeededRandom) -> Int {
        let least = max(1, Int((Double(length) * (1 - range)).rounded())), most = max(least, Int((Double(length) * (1 + range)).rounded()))
        return least + random.below(most - least + 1)
    }
}

/// A line of Mooncake's trace format.
public struct TraceLine: Sendable, Hashable {
    /// Since the start of the trace.
    public var milliseconds: Double
    public var inputLength: Int
    public var outputLength: Int
    /// Of the prompt's blocks of 512 tokens; equal ids stand for equal tokens.
    public var hashIDs: [Int]

    static let blockLength = 512

    /// A prompt in which equal hash ids are equal tokens.
    func tokens(_ length: Int, scale: Double, _ vocabulary: Int) -> [TokenID] {
        let block = max(1, Int(Double(Self.blockLength) / scale))
        var tokens: [TokenID] = []
        for id in hashIDs where tokens.count < length {
            var random = SeededRandom(seed: UInt64(bitPattern: Int64(id)))
            tokens += ServeDataset.tokens(min(block, length - tokens.count), vocabulary, &random)
        }
        var random = SeededRandom(seed: UInt64(milliseconds) &+ 1)
        return tokens + ServeDataset.tokens(length - tokens.count, vocabulary, &random)
    }
}

/// A file of requests that cannot be used.
public struct DatasetError: Error, Sendable, Hashable, CustomStringConvertible {
    public var path: String
    public var line: Int
    public var problem: String

    public var description: String { "\(path): line \(line): \(problem)" }
}

/// JSON, one object a line.
public enum DatasetFile {
    private static let mostTokens = 1 << 24

    /// `{"timestamp": ms, "input_length", "output_length", "hash_ids"}`, as Mooncake publishes them.
    /// - Throws: ``DatasetError``, or what reading a file throws.
    public static func trace(path: String) throws -> [TraceLine] {
        try lines(path) { object, fail in
            func length(_ name: String) throws -> Int {
                guard let value = object[name]?.integer, (0...mostTokens).contains(value) else {
                    throw fail("\(name) must be 0 to \(mostTokens)")
                }
                return value
            }
            guard let time = object["timestamp"]?.number, time >= 0, time < 1e15 else { throw fail("timestamp must be milliseconds") }
            let ids = object["hash_ids"]?.array.map { $0.compactMap(\.integer) } ?? []
            return TraceLine(
                milliseconds: time, inputLength: try length("input_length"), outputLength: try length("output_length"), hashIDs: ids)
        }
    }

    /// `{"prompt": "…", "output_tokens": 100}`; the length may be missing.
    /// - Throws: ``DatasetError``, or what reading a file throws.
    public static func custom(path: String) throws -> [ServeDataset.CustomLine] {
        try lines(path) { object, fail in
            guard let prompt = object["prompt"]?.text else { throw fail("prompt must be a string") }
            let output = object["output_tokens"]?.integer
            guard output.map({ (1...mostTokens).contains($0) }) ?? true else { throw fail("output_tokens must be 1 to \(mostTokens)") }
            return ServeDataset.CustomLine(prompt: prompt, output: output)
        }
    }

    private static func lines<Line>(
        _ path: String, _ read: (JSONObject, (String) -> DatasetError) throws -> Line
    ) throws -> [Line] {
        let text = try String(contentsOfFile: path, encoding: .utf8)
        return try text.split(separator: "\n", omittingEmptySubsequences: false).enumerated().compactMap { index, line in
            guard !line.allSatisfy(\.isWhitespace) else { return nil }
            func fail(_ problem: String) -> DatasetError { DatasetError(path: path, line: index + 1, problem: problem) }
            let document: JSONDocument
            do {
                document = try JSONDocument(file: path, source: Array(line.utf8))
            } catch {
                throw fail("\(error)")
            }
            guard let object = document.root.object else { throw fail("must be an object") }
            return try read(object, fail)
        }
    }
}
