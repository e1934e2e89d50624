import ArgumentParser
import Foundation
import Generation
import Inference
import Kernels
import ProgramSupport
import RequestAdmission
import Tokenizer

struct ModelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "model", abstract: "Look at a model, make one of random weights, or turn one into a GGUF file.",
        subcommands: [Inspect.self, Make.self, Convert.self])
}

extension ModelCommand {
    struct Inspect: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show architecture, shapes, number formats, KV bytes per token and the memory needed.")

        @Argument(help: "Directory of a Hugging Face model, or a GGUF file.")
        var path: String

        @Option(help: "Number format that the weights are loaded to: auto, float32, bfloat16 or int8.")
        var dtype = WeightFormat.auto

        @Flag(help: "Print one JSON object.")
        var json = false

        @Option(help: "YAML file with the same names as these options.")
        var config: String?

        func run() throws {
            let report = try ModelReport(path: path, format: dtype)
            if json { try printJSON(report) } else { print(report.table) }
        }
    }

    struct Make: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Write a checkpoint of random weights in a known shape, for benchmarks.",
            discussion: """
                A directory in Hugging Face's layout has no tokenizer; a GGUF file has a made-up one of the right size, and the \
                same weights for the same seed.
                """)

        @Option(help: "\(ModelShape.allCases.map(\.rawValue).joined(separator: ", ")), or a config.json.")
        var shape: String

        @Option(help: "Equal seeds give equal weights.")
        var seed: UInt64 = 0

        @Option(help: "safetensors (a directory) or gguf (a file).")
        var format = CheckpointFormat.safetensors

        @Option(help: "Type of a GGUF file's matrices: bf16, f16, f32 or q8_0.")
        var type: GGUFType?

        @Argument(help: "Directory or file to write to.")
        var out: String

        @Option(help: "YAML file with the same names as these options.")
        var config: String?

        func validate() throws {
            if type != nil, format != .gguf { throw ValidationError("--type belongs to --format gguf") }
        }

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
            switch format {
            case .safetensors: try RandomCheckpoint.write(config: contents, seed: seed, to: out) { progress.show($0) }
            case .gguf:
                let type = type?.stored ?? .bfloat16
                try RandomCheckpoint.writeGGUF(config: contents, seed: seed, type: type, to: out) { progress.show($0) }
            }
            progress.finish()
        }
    }

    struct Convert: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Turn a Hugging Face model into a GGUF file, with its tokenizer (byte-level BPE) and chat template.")

        @Option(help: "Type of the matrices: bf16, f16, f32 or q8_0 (default: as they are stored).")
        var type: GGUFType?

        @Argument(help: "Directory of a Hugging Face model.")
        var model: String

        @Argument(help: "File to write.")
        var out: String

        @Option(help: "YAML file with the same names as these options.")
        var config: String?

        func run() throws {
            let size = try ModelConfiguration(path: model).vocabularySize
            let vocabulary = try GGUFVocabulary(Tokenizer(modelPath: model), file: model, size: size)
            let progress = ProgressLine(title: "writing \(out)")
            try GGUFConversion.write(
                model, vocabulary: vocabulary.entries, endToken: vocabulary.eosToken.map { TokenID($0) }, type: type?.stored,
                to: out
            ) { progress.show($0) }
            progress.finish()
        }
    }
}

enum CheckpointFormat: String, ExpressibleByArgument, CaseIterable {
    case safetensors, gguf
}

/// Types of matrices that a GGUF file is written with.
enum GGUFType: String, ExpressibleByArgument, CaseIterable {
    case bf16, f16, f32
    case q8 = "q8_0"

    var stored: StoredType {
        switch self {
        case .bf16: .bfloat16
        case .f16: .float16
        case .f32: .float32
        case .q8: .q8_0
        }
    }
}
