import ChatTemplate
import Foundation
import Grammar
import Inference
import JSONReader
import Kernels
import Tokenizer
import Wire

/// A parser of what comes from outside, as the fuzzer and the replay of its corpus call it.
///
/// To add one: a case here, its call in ``run(_:)``, where bytes alone get nowhere a case in ``mutate(_:seed:atMost:byBytes:)``,
/// and valid samples in `Tests/Fixtures/fuzz/<name>/` (by `make_seeds.py` there).
public enum FuzzTarget: String, CaseIterable, Sendable {
    /// Any JSON text.
    case json
    /// `config.json`; behind a zero byte, `generation_config.json`.
    case config
    /// `tokenizer.json`; behind a zero byte, `tokenizer_config.json`.
    case tokenizer
    /// A chat template; behind a zero byte, the variables that it is given, as JSON.
    case template
    /// What a model answers, as each format of tool calls reads it.
    case toolcalls
    /// A whole safetensors file.
    case safetensors
    /// A whole GGUF file.
    case gguf
    /// A JSON schema as a client sends it, compiled.
    case schema
    /// A regular expression.
    case regex
    /// A grammar in GBNF.
    case gbnf
    /// Frames (``FrameList``) of a message on a KV link, either way.
    case kv
    /// Frames of a control message or heartbeat.
    case control
    /// Frames of a message between client and coordinator, either way.
    case rpc
}

public enum FuzzOutcome: Sendable, Hashable {
    case accepted
    /// With the message that people would see.
    case refused(String)
    /// What was accepted contradicts itself: a finding.
    case broken(String)
}

extension FuzzTarget {
    /// Parses `input` and uses what came of it. Whatever the input, this returns.
    public func run(_ input: UnsafeRawBufferPointer) -> FuzzOutcome {
        do {
            switch self {
            case .json: return try Self.json(input)
            case .config: return try Self.config(input)
            case .tokenizer: return try Self.tokenizer(input)
            case .template: return try Self.template(input)
            case .toolcalls: return Self.toolCalls(input)
            case .safetensors: return try Self.safetensors(input)
            case .gguf: return try Self.gguf(input)
            case .schema: return try Self.constraint(.jsonSchema(String(decoding: input, as: UTF8.self)))
            case .regex: return try Self.constraint(.regex(String(decoding: input, as: UTF8.self)))
            case .gbnf: return try Self.constraint(.grammar(String(decoding: input, as: UTF8.self)))
            case .kv, .control, .rpc: return Self.message(FrameList.frames(of: input), families)
            }
        } catch {
            return .refused("\(error)")
        }
    }

    private static func json(_ input: UnsafeRawBufferPointer) throws -> FuzzOutcome {
        var values = [try JSONDocument(file: "f.json", source: Array(input)).root]
        var deepest = values[0]
        while let value = values.popLast() {
            deepest = value
            _ = (value.text, value.boolean, value.number, value.integer, value.shown)
            values += value.array.map(Array.init) ?? []
            guard let object = value.object else { continue }
            for (key, member) in object {
                guard key.text != nil else { return .broken("a key at \(key.path) is no string") }
                values.append(member)
            }
        }
        return deepest.path.isEmpty ? .broken("no path") : .accepted
    }

    private static func config(_ input: UnsafeRawBufferPointer) throws -> FuzzOutcome {
        let (config, generation) = parts(of: input)
        let model = try ModelConfiguration(config: Array(config), generationConfig: generation.map { Array($0) })
        let isWhole = model.windows.count == model.layerCount && model.headCount == model.kvHeadCount * model.groupSize
            && model.endTokens.allSatisfy { (0..<model.vocabularySize).contains(Int($0)) }
        let frequencies = model.rope.inverseFrequencies(headDim: model.headDim)
        guard isWhole, model.parameterCount > 0, model.kvBytesPerToken(.float32) > 0, frequencies.allSatisfy(\.isFinite) else {
            return .broken("\(model)")
        }
        return .accepted
    }

    private static func tokenizer(_ input: UnsafeRawBufferPointer) throws -> FuzzOutcome {
        let (json, configuration) = parts(of: input)
        let tokenizer = try Tokenizer(json: Data(json), configuration: configuration.map { Data($0) })
        let tokens = try tokenizer.encode("Te <s> ab'S 12e\u{301}  x\n<s>")
        guard tokens.allSatisfy({ (0..<tokenizer.idBound).contains(Int($0)) && tokenizer.token($0) != nil }) else {
            return .broken("\(tokens) of \(tokenizer.idBound)")
        }
        for skips in [false, true] { _ = tokenizer.decode(tokens + [-1, 3, .max], skipSpecialTokens: skips) }
        return .accepted
    }

    private static func safetensors(_ input: UnsafeRawBufferPointer) throws -> FuzzOutcome {
        for tensor in try SafetensorsFile.parse(input, path: "f.safetensors") {
            let isWhole = tensor.range.upperBound <= input.count
                && tensor.range.count == tensor.shape.reduce(tensor.type.bytesPerBlock, *)
            guard isWhole else { return .broken("\(tensor) in \(input.count) bytes") }
        }
        return .accepted
    }

    private static func gguf(_ input: UnsafeRawBufferPointer) throws -> FuzzOutcome {
        for tensor in try GGUFFile.parse(input, path: "f.gguf").tensors {
            let isWhole = tensor.range.upperBound <= input.count
                && tensor.range.count == tensor.type.byteCount(elements: tensor.shape.reduce(1, *))
            guard isWhole else { return .broken("\(tensor) in \(input.count) bytes") }
        }
        return .accepted
    }

    /// What stands before the first zero byte and what behind it: JSON holds none.
    private static func parts(
        of input: UnsafeRawBufferPointer
    ) -> (first: Slice<UnsafeRawBufferPointer>, second: Slice<UnsafeRawBufferPointer>?) {
        guard let zero = input.firstIndex(of: 0) else { return (input[...], nil) }
        return (input[..<zero], input[(zero + 1)...])
    }
}
