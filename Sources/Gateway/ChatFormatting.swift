/// A model's way to write conversations and tool calls.
public protocol ChatFormatting: Sendable {
    /// The text that the model is to continue; special tokens are written in it.
    ///
    /// - Throws: ``APIError`` if the model's template refuses the messages.
    func prompt(of conversation: Conversation) throws(APIError) -> String
    /// What finds tool calls in an answer's text; `nil` if the model knows none.
    func makeToolCallReader() -> (any ToolCallReading)?
}

/// Finds tool calls in the text of an answer while it arrives.
public protocol ToolCallReading: Sendable {
    /// - Returns: what is certain now. Text that may be the beginning of a call is held back.
    mutating func append(_ text: String) -> [ChatPiece]
    /// The rest, when the answer is complete.
    mutating func finish() -> [ChatPiece]
}

public enum ChatPiece: Sendable, Hashable {
    case content(String)
    /// `arguments` is JSON.
    case call(name: String, arguments: String)
}
