/// A model's chat template: Jinja that turns a conversation into the prompt the model was trained on.
///
/// Renders what Jinja2 renders in the environment that Hugging Face's transformers sets up: sandboxed, immutable, `trim_blocks`,
/// `lstrip_blocks`, loop controls, `generation`, and a `tojson` that escapes nothing for HTML. What of Jinja no chat template uses is
/// refused when the template is read.
public struct ChatTemplate: Sendable {
    private let statements: [Statement]
    /// With `\n` for every line break, to tell where an error is.
    private let source: [UInt8]

    /// - Parameter source: at most 1 MiB.
    /// - Throws: with line and column, if the source breaks the grammar or uses what is not supported.
    public init(source: String) throws(ChatTemplateError) {
        let lines = Self.normalized(source)
        self.source = lines
        do throws(Fault) {
            guard lines.count <= TemplateLimits.sourceBytes else {
                throw Fault(.limit, "more than \(TemplateLimits.sourceBytes) bytes of source", at: 0)
            }
            var parser = Parser(tokens: try Lexer.tokens(of: lines))
            statements = try parser.parseTemplate()
        } catch {
            throw Self.located(error, in: lines)
        }
    }

    /// With `\n` for `\r\n` and `\r`, and without one at the end.
    private static func normalized(_ source: String) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(source.utf8.count)
        var isAfterReturn = false
        for byte in source.utf8 {
            if !(byte == UInt8(ascii: "\n") && isAfterReturn) { bytes.append(byte == UInt8(ascii: "\r") ? UInt8(ascii: "\n") : byte) }
            isAfterReturn = byte == UInt8(ascii: "\r")
        }
        if bytes.last == UInt8(ascii: "\n") { bytes.removeLast() }
        return bytes
    }

    private static func located(_ fault: Fault, in source: [UInt8]) -> ChatTemplateError {
        let before = source.prefix(fault.offset ?? 0)
        let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        return ChatTemplateError(
            kind: fault.kind, message: fault.message, line: 1 + before.count { $0 == UInt8(ascii: "\n") },
            column: 1 + before[lineStart...].count { $0 & 0xC0 != 0x80 })
    }

    /// The text that the template makes of `variables`.
    ///
    /// - Parameter date: what `strftime_now` shows. Without one, a template that asks for the date fails: an answer must not depend
    ///   on when it is rendered again.
    /// - Throws: with line and column, if the template refuses its input (`raise_exception`), does what Jinja refuses, or exceeds a limit.
    public func render(
        _ variables: [TemplateValue.Member], date: TemplateDate? = nil, limits: TemplateLimits = TemplateLimits()
    ) throws(ChatTemplateError) -> String {
        let allowance = Allowance(limits)
        do throws(Fault) {
            var values: [(name: String, value: Value)] = []
            for variable in variables { values.append((variable.key, try Value(variable.value, allowance))) }
            let renderer = Renderer(variables: values, date: date, limits: limits, allowance: allowance)
            return String(decoding: try renderer.render(statements), as: UTF8.self)
        } catch {
            throw Self.located(error, in: source)
        }
    }

    /// The prompt for a conversation.
    ///
    /// - Parameters:
    ///   - messages: an array of objects with `role` and usually `content`, as a list of the API's.
    ///   - tools: an array of function schemas as the API takes them.
    ///   - addGenerationPrompt: whether the prompt ends where the assistant's answer begins.
    ///   - variables: special tokens such as `bos_token`, and what the request adds (`enable_thinking`). A later one
    ///     replaces an earlier one of the same name, and all of them what the other parameters set.
    public func render(
        messages: TemplateValue, tools: TemplateValue? = nil, documents: TemplateValue? = nil, addGenerationPrompt: Bool = true,
        variables: [TemplateValue.Member] = [], date: TemplateDate? = nil, limits: TemplateLimits = TemplateLimits()
    ) throws(ChatTemplateError) -> String {
        let own: [TemplateValue.Member] = [
            .init("messages", Self.withReasoning(messages)), .init("tools", tools ?? .null), .init("documents", documents ?? .null),
            .init("add_generation_prompt", .boolean(addGenerationPrompt)),
        ]
        return try render(own + variables, date: date, limits: limits)
    }

    /// Clients call a message's reasoning by several names; templates read `reasoning_content`, or `thinking`.
    private static func withReasoning(_ messages: TemplateValue) -> TemplateValue {
        guard case .array(let elements) = messages else { return messages }
        return .array(elements.map { message in
            guard case .object(var members) = message,
                let reasoning = ["reasoning_content", "thinking", "reasoning"].lazy.compactMap({ message[$0] }).first(where: { $0 != .null })
            else { return message }
            members.removeAll { $0.key == "reasoning_content" }
            if message["thinking"] == nil { members.insert(.init("thinking", reasoning), at: 0) }
            return .object(members + [.init("reasoning_content", reasoning)])
        })
    }
}
