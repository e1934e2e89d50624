import ArgumentParser
import Foundation
import Generation
import Inference
import ProgramSupport
import Tokenizer

struct Tokenize: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show a text's tokens, or the text of tokens.")

    @Option(help: "Directory of a Hugging Face model, or a GGUF file.")
    var model: String

    @Argument(help: "The text. Without it and --decode, standard input is read.")
    var text: String?

    @Option(help: "Token ids to decode instead, e.g. 1,2,3.", transform: TokenList.init(parsing:))
    var decode: TokenList?

    @Flag(help: "Print one JSON object.")
    var json = false

    @Option(help: "YAML file with the same names as these options.")
    var config: String?

    func run() throws {
        let tokenizer = try Tokenizer(modelPath: model)
        if let decode {
            let text = tokenizer.decode(decode.tokens, skipSpecialTokens: false)
            if json { try printJSON(["text": text]) } else { print(text) }
            return
        }
        let tokens = try tokenizer.encode(try text ?? Self.standardInput())
        if json {
            try printJSON(["tokens": tokens])
        } else {
            for token in tokens { print(token, tokenizer.token(token).map { "\"\($0)\"" } ?? "", separator: "\t") }
        }
    }

    private static func standardInput() throws -> String {
        let input = try FileHandle.standardInput.readToEnd() ?? Data()
        guard let text = String(validating: input, as: UTF8.self) else {
            throw ValidationError("standard input is not UTF-8")
        }
        return text
    }
}
