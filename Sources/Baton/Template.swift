import ArgumentParser
import ChatTemplate
import Foundation
import Inference
import JSONReader
import ProgramSupport
import RequestAdmission
import Tokenizer

struct Template: ParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show the prompt that a model's chat template makes of a conversation.")

    @Option(help: "Directory of a Hugging Face model, or a GGUF file.")
    var model: String

    @Argument(help: "JSON file with an array of messages, or with an object that has `messages` and perhaps `tools`; - is standard input.")
    var messages: String

    @Option(help: "Jinja file to use instead of the model's own template.")
    var template: String?

    @Option(help: "JSON file with an array of tools, as the API takes them.")
    var tools: String?

    @Option(name: .customLong("chat-template-kwargs"), help: "JSON object with more variables, e.g. '{\"enable_thinking\": false}'.")
    var variables: String?

    @Flag(name: .customLong("generation-prompt"), inversion: .prefixedNo, help: "End where the assistant's answer begins.")
    var addsGenerationPrompt = true

    @Flag(help: "Print the ids and texts of the prompt's tokens instead.")
    var tokens = false

    @Flag(help: "Print one JSON object.")
    var json = false

    @Option(help: "YAML file with the same names as these options.")
    var config: String?

    func run() throws {
        let prompts = try ChatPrompts(tokenizer: Tokenizer(modelPath: model), template: template.map(Self.text(at:)))
        let input = try Self.json(messages == "-" ? Self.standardInput() : Self.contents(of: messages), named: messages)
        let conversation = input["messages"] ?? input
        guard case .array = conversation else { throw ValidationError("\(messages): neither an array of messages nor an object that has one") }
        var members: [TemplateValue.Member] = []
        if let variables {
            guard case .object(let given) = try Self.json(Data(variables.utf8), named: "--chat-template-kwargs") else {
                throw ValidationError("--chat-template-kwargs: not a JSON object")
            }
            members = given
        }
        let now = Date()
        let text = try prompts.text(
            messages: conversation, tools: tools.map { try Self.json(Self.contents(of: $0), named: $0) } ?? input["tools"],
            documents: input["documents"], addGenerationPrompt: addsGenerationPrompt, variables: members,
            date: TemplateDate(
                secondsSinceEpoch: Int(now.timeIntervalSince1970), offset: TimeZone.current.secondsFromGMT(for: now)))
        try show(text, prompts)
    }

    private func show(_ text: String, _ prompts: ChatPrompts) throws {
        let ids = tokens || json ? try prompts.tokens(of: text) : []
        if json {
            try printJSON(Report(prompt: text, tokens: ids))
        } else if tokens {
            for id in ids { print(id, prompts.tokenizer.token(id).map { "\"\($0)\"" } ?? "", separator: "\t") }
        } else {
            // To the byte: a newline of ours would look like one of the template's.
            print(text, terminator: "")
        }
    }

    private struct Report: Encodable {
        let prompt: String
        let tokens: [Int32]
    }

    // MARK: Input

    private static func standardInput() throws -> Data { try FileHandle.standardInput.readToEnd() ?? Data() }

    private static func contents(of path: String) throws -> Data {
        do {
            return try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            throw ValidationError("\(path): \(error.localizedDescription)")
        }
    }

    private static func text(at path: String) throws -> String {
        guard let text = String(validating: try contents(of: path), as: UTF8.self) else { throw ValidationError("\(path): not UTF-8") }
        return text
    }

    private static func json(_ data: Data, named name: String) throws -> TemplateValue {
        do {
            return TemplateValue(try JSONDocument(file: name, source: Array(data)).root)
        } catch {
            throw ValidationError("\(name): \(error)")
        }
    }
}
