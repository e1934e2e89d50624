import ChatTemplate
import Generation
import Tokenizer

/// Conversations to prompts: a model's chat templates, and what its tokenizer gives them.
public struct ChatPrompts: Sendable {
    public let tokenizer: Tokenizer
    private let template: ChatTemplate
    /// For requests with tools, where that is another one.
    private let toolUseTemplate: ChatTemplate?
    private let specialTokens: [TemplateValue.Member]
    /// How the model writes calls, if it is known.
    public let toolCallFormat: ToolCallFormat?
    /// Special tokens by which calls are recognised in an answer.
    public let toolCallTokens: [TokenID]

    public enum Failure: Error, Sendable, Hashable, CustomStringConvertible {
        /// The model brings no template.
        case noTemplate
        case template(ChatTemplateError)

        public var description: String {
            switch self {
            case .noTemplate: "the model has no chat template; name one with --template"
            case .template(let error): "\(error)"
            }
        }
    }

    /// - Parameter source: goes before the model's own templates.
    public init(tokenizer: Tokenizer, template source: String? = nil) throws(Failure) {
        self.tokenizer = tokenizer
        let toolUse = source == nil ? tokenizer.chatTemplate(named: NamedChatTemplate.toolUseName) : nil
        guard let usual = source ?? tokenizer.chatTemplate ?? toolUse else { throw .noTemplate }
        do {
            template = try ChatTemplate(source: usual)
            toolUseTemplate = try toolUse.map { source throws(ChatTemplateError) in try ChatTemplate(source: source) }
        } catch {
            throw .template(error)
        }
        toolCallFormat = ToolCallFormat(template: toolUse ?? usual)
        toolCallTokens = (toolCallFormat?.markers ?? []).compactMap(tokenizer.id(of:)).filter(tokenizer.isSpecial)
        specialTokens = SpecialTokenName.allCases.compactMap { name in
            tokenizer.specialToken(name).map { .init(name.rawValue, .string($0)) }
        }
    }

    /// The prompt of a conversation; see ``ChatTemplate/render(messages:tools:documents:addGenerationPrompt:variables:date:limits:)``.
    /// - Parameter variables: what the request adds for the template (`chat_template_kwargs`).
    public func text(
        messages: TemplateValue, tools: TemplateValue? = nil, documents: TemplateValue? = nil, addGenerationPrompt: Bool = true,
        variables: [TemplateValue.Member] = [], date: TemplateDate? = nil, limits: TemplateLimits = TemplateLimits()
    ) throws(ChatTemplateError) -> String {
        let chosen = tools == nil ? template : toolUseTemplate ?? template
        return try chosen.render(
            messages: messages.parsingToolArguments(), tools: tools, documents: documents, addGenerationPrompt: addGenerationPrompt,
            variables: specialTokens + variables, date: date, limits: limits)
    }

    /// The tokens of such a text. The template has written the special ones itself, so none are added.
    public func tokens(of text: String) throws(TokenizerError) -> [TokenID] {
        try tokenizer.encode(text, addSpecialTokens: false)
    }
}
