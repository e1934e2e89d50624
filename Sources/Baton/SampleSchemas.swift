import ArgumentParser
import Experiments
import Foundation
import Generation
import Grammar
import Inference
import ProgramSupport
import Tokenizer

struct SampleSchemas: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sample-schemas",
        abstract: "Write random answers that obey JSON schemas, with a model's vocabulary and none of its knowledge.",
        discussion: """
            Reads one schema a line from standard input. Writes one JSON object a line for each: its answers (text, and whether it ended by itself), or \
            the error for which the schema is refused.
            """)

    @Option(help: "Directory of a Hugging Face model, or a GGUF file.")
    var model: String

    @Option(help: "Answers for each schema.")
    var answers = 3

    @Option(help: "Tokens after which an answer is cut.")
    var maxTokens = 300

    @Option(help: "Seed; another one for each answer is made from it.")
    var seed: UInt64 = 1

    @Option(help: "YAML file with the same names as these options.")
    var config: String?

    struct Line: Encodable {
        struct Answer: Encodable {
            var text: String
            var finished: Bool
        }

        var answers: [Answer] = []
        var error: String?
    }

    func run() throws {
        let tokenizer = try Tokenizer(modelPath: model)
        guard let end = tokenizer.eosToken else { throw ValidationError("the tokenizer of \(model) names no end token") }
        let compiler = GrammarCompiler(vocabulary: try TokenVocabulary(tokenizer)), encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        var number: UInt64 = 0
        while let schema = readLine() {
            var line = Line()
            do {
                var tables = MaskTables(try compiler.compile(.jsonSchema(schema)))
                for answer in 0..<UInt64(max(0, answers)) {
                    let sample = try RandomAnswer(
                        from: &tables, endToken: end, seed: seed &* 1_000_003 &+ number &* 1009 &+ answer, maxTokens: maxTokens)
                    // As a client would see it.
                    line.answers.append(Line.Answer(text: tokenizer.decode(sample.tokens), finished: sample.isFinished))
                }
            } catch {
                line = Line(error: "\(error)")
            }
            print(String(decoding: try encoder.encode(line), as: UTF8.self))
            number += 1
        }
    }
}
