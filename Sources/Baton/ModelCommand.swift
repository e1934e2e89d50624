import ArgumentParser
import Foundation
import Inference
import Kernels
import ProgramSupport

struct ModelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model", abstract: "Look at a model, or make one of random weights.",
        subcommands: [Inspect.self, Make.self])
}

extension ModelCommand {
    struct Inspect: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show architecture, shapes, number format, KV bytes per token and the memory needed.")

        @Argument(help: "Directory of a Hugging Face model.")
        var path: String

        @Flag(help: "Print one JSON object.")
        var json = false

        @Option(help: "YAML file with the same names as these options.")
        var config: String?

        func run() throws {
            let report = try ModelReport(directory: path)
            if json { try printJSON(report) } else { print(report.table) }
        }
    }

    struct Make: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write a checkpoint of random weights in a known shape, for benchmarks (it has no tokenizer).")

        @Option(help: "\(ModelShape.allCases.map(\.rawValue).joined(separator: ", ")), or a config.json.")
        var shape: String

        @Option(help: "Equal seeds give equal weights.")
        var seed: UInt64 = 0

        @Argument(help: "Directory to write to.")
        var out: String

        @Option(help: "YAML file with the same names as these options.")
        var config: String?

        func run() throws {
            let contents: [UInt8]
            if let known = ModelShape(rawValue: shape) {
                contents = Array(known.config.utf8)
            } else if let data = FileManager.default.contents(atPath: shape) {
                contents = Array(data)
            } else {
                let known = ModelShape.allCases.map(\.rawValue).joined(separator: ", ")
                throw ValidationError("--shape \(shape): neither a file nor one of \(known)")
            }
            let progress = ProgressLine(title: "writing \(out)")
            try RandomCheckpoint.write(config: contents, seed: seed, to: out) { progress.show($0) }
            progress.finish()
        }
    }
}

/// What `baton model inspect` prints.
struct ModelReport: Encodable {
    var architecture: String
    var parameters: Int
    var layers: Int
    var hiddenSize: Int
    var intermediateSize: Int
    var heads: Int
    var keyValueHeads: Int
    var headDimension: Int
    var vocabularySize: Int
    var maxPositions: Int
    var tiedEmbeddings: Bool
    /// As the checkpoint is stored.
    var dtype: String
    var kvBytesPerToken: Int
    var weightBytes: Int
    /// Kernels that this machine would use.
    var kernels: String

    init(directory: String) throws {
        let model = try ModelConfiguration(directory: directory)
        let checkpoint = try CheckpointIndex(directory: directory)
        let embedding = "model.embed_tokens.weight"
        guard let stored = checkpoint[embedding]?.type else {
            throw ValidationError("\(directory): no tensor \(embedding)")
        }
        let format = WeightFormat.auto.resolved(stored: stored)
        let kernelSet = try KernelSet.select(environment: ProcessInfo.processInfo.environment)
        architecture = model.architecture.rawValue
        parameters = model.parameterCount
        layers = model.layerCount
        hiddenSize = model.hiddenSize
        intermediateSize = model.intermediateSize
        heads = model.headCount
        keyValueHeads = model.kvHeadCount
        headDimension = model.headDim
        vocabularySize = model.vocabularySize
        maxPositions = model.maxPositions
        tiedEmbeddings = model.tiedEmbeddings
        dtype = stored.rawValue
        kvBytesPerToken = model.kvBytesPerToken(format)
        weightBytes = model.parameterCount * format.byteCount
        kernels = "\(kernelSet.family(for: format)) (\(kernelSet))"
    }

    var table: String {
        let rows: [(String, String)] = [
            ("architecture", architecture),
            ("parameters", "\(parameters)"),
            ("layers", "\(layers)"),
            ("hidden size", "\(hiddenSize), intermediate \(intermediateSize)"),
            ("attention", "\(heads) heads, \(keyValueHeads) KV heads, head dimension \(headDimension)"),
            ("vocabulary", "\(vocabularySize)" + (tiedEmbeddings ? ", output tied to the embedding" : "")),
            ("positions", "\(maxPositions)"),
            ("stored as", dtype),
            ("KV cache", "\(ByteSize(bytes: kvBytesPerToken)) a token, \(ByteSize(bytes: kvBytesPerToken * maxPositions)) for the longest sequence"),
            ("weights in memory", "\(ByteSize(bytes: weightBytes))"),
            ("kernels here", kernels),
        ]
        let width = rows.map(\.0.count).max() ?? 0
        return rows.map { $0.0.padded(to: width) + "  " + $0.1 }.joined(separator: "\n")
    }
}

/// The share of long work that is done, on standard error: in place on a terminal, once at the end elsewhere.
struct ProgressLine {
    let title: String
    private let isTerminal = isatty(STDERR_FILENO) == 1

    init(title: String) { self.title = title }

    func show(_ share: Double) {
        guard isTerminal else { return }
        FileHandle.standardError.write(Data("\r\(title): \(Int(share * 100)) %\u{1B}[K".utf8))
    }

    func finish() {
        FileHandle.standardError.write(Data("\(isTerminal ? "\r" : "")\(title): done\(isTerminal ? "\u{1B}[K" : "")\n".utf8))
    }
}
