import ChatTemplate
import Foundation
import Generation
import RequestAdmission
import Tokenizer

/// A model's way to write conversations and tool calls: what its chat templates say.
public struct ChatFormatting: Sendable {
    private let prompts: ChatPrompts
    /// `nil`: the template writes no tool calls that are known here.
    var toolCalls: ToolCallFormat? { prompts.toolCallFormat }
    /// Special tokens by which calls are recognised in an answer.
    var toolCallTokens: [TokenID] { prompts.toolCallTokens }

    /// - Parameter source: goes before the model's own templates.
    public init(source: String? = nil, tokenizer: Tokenizer) throws(ChatPrompts.Failure) {
        prompts = try ChatPrompts(tokenizer: tokenizer, template: source)
    }

    /// The text that the model is to continue; special tokens are written in it.
    ///
    /// - Throws: ``APIError`` if the template refuses the messages.
    func prompt(of conversation: Conversation) throws(APIError) -> String {
        guard conversation.continuesFinalMessage else { return try rendered(conversation) }
        // What the template writes behind the last message's content begins where this is.
        let mark = "\u{E000}continued\u{E001}"
        var marked = conversation
        // The space shows whether the template takes white space off.
        guard marked.appendToFinalContent(mark + " ") else {
            throw .invalid("continue_final_message", "the last message has no text to go on from")
        }
        let text = try rendered(marked)
        guard let place = text.range(of: mark, options: [.backwards, .literal]) else {
            throw .invalid("continue_final_message", "the model's chat template does not write the last message as it is")
        }
        let kept = text[..<place.lowerBound]
        return String(text[place.upperBound...].hasPrefix(" ") ? kept : kept.dropLast(kept.reversed().prefix(while: \.isWhitespace).count))
    }

    private func rendered(_ conversation: Conversation) throws(APIError) -> String {
        do throws(ChatTemplateError) {
            return try prompts.text(
                messages: conversation.messages, tools: conversation.tools, addGenerationPrompt: conversation.addsGenerationPrompt,
                variables: conversation.arguments, date: TemplateDate(secondsSinceEpoch: WallClock.seconds))
        } catch {
            throw .invalid("messages", "the model's chat template refuses them: \(error)", code: "chat_template_error")
        }
    }

    /// How an answer is made to be a call of one of some tools: it goes on behind `prefix`, and is JSON.
    struct RequiredCall: Sendable {
        /// Ends the prompt; the call's text begins with it.
        var prefix: String
        var constraint: Constraint
        /// Follows the JSON.
        var suffix: String
    }

    /// - Throws: ``APIError`` if this model's calls cannot be required.
    func requiredCall(of tools: [ToolDefinition]) throws(APIError) -> RequiredCall {
        guard let shapes = toolCalls?.shapes(of: tools), let shape = shapes.first, shapes.count == 1 else {
            throw .invalid(
                "tool_choice",
                "a call can be required only where the model's template knows how to write one, and of one tool where it writes the name apart")
        }
        let schema = JSONText(shape.schema).utf8
        return RequiredCall(
            prefix: shape.prefix, constraint: Constraint(kind: .jsonSchema, source: String(decoding: schema, as: UTF8.self)),
            suffix: shape.suffix)
    }
}

extension JSONText {
    init(_ value: TemplateValue) {
        switch value {
        case .null: self = .null
        case .boolean(let value): self = .boolean(value)
        case .integer(let value): self = .integer(value)
        case .wideInteger(let digits): self = .verbatim(Array(digits.utf8))
        case .number(let value): self = .number(value)
        case .string(let text): self = .string(text)
        case .array(let elements): self = .array(elements.map { JSONText($0) })
        case .object(let members): self = .object(members.map { Member(name: $0.key, value: JSONText($0.value)) })
        }
    }
}
