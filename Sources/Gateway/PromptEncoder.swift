import ClusterCore
import Dispatch
import Generation
import Tokenizer

/// Text to tokens, without holding anybody up: long texts are encoded one after the other on a thread of their own, as
/// Swift's pool has no more threads than there are cores, and every stream needs one now and then.
struct PromptEncoder: Sendable {
    /// Bytes that take well under a millisecond.
    private static let shortText = 4096

    let tokenizer: Tokenizer
    private let queue = DispatchQueue(label: "baton.tokenizer")

    init(tokenizer: Tokenizer) { self.tokenizer = tokenizer }

    /// - Parameter parameter: what the text is called in errors.
    func tokens(of text: String, addsSpecialTokens: Bool, parameter: String) async throws(APIError) -> [TokenID] {
        let encoded: Result<[TokenID], TokenizerError>
        if text.utf8.count <= Self.shortText {
            encoded = encode(text, addsSpecialTokens)
        } else {
            encoded = await withCheckedContinuation { done in
                queue.async { done.resume(returning: encode(text, addsSpecialTokens)) }
            }
        }
        do {
            return try encoded.get()
        } catch {
            throw .invalid(parameter, "\(error)")
        }
    }

    private func encode(_ text: String, _ addsSpecialTokens: Bool) -> Result<[TokenID], TokenizerError> {
        do throws(TokenizerError) {
            return .success(try tokenizer.encode(text, addSpecialTokens: addsSpecialTokens))
        } catch {
            return .failure(error)
        }
    }

    func tokens(of prompt: Prompt, addsSpecialTokens: Bool, parameter: String) async throws(APIError) -> [TokenID] {
        switch prompt {
        case .tokens(let tokens): tokens
        case .text(let text): try await tokens(of: text, addsSpecialTokens: addsSpecialTokens, parameter: parameter)
        }
    }
}

/// Whether prompt and answer fit into the model.
struct LengthCheck: Sendable {
    /// Tokens of prompt and answer together.
    let limit: Int

    /// - Parameters:
    ///   - maxTokens: as the client asked; `nil` takes `usual`, or less if there is no room for it.
    ///   - usual: `nil` takes all the room that there is.
    ///   - parameter: the prompt's name.
    /// - Returns: tokens that may be generated.
    func maxTokens(_ maxTokens: Int32?, usual: Int32?, promptCount: Int, parameter: String) throws(APIError) -> Int32 {
        guard promptCount > 0 else { throw .invalid(parameter, "has no tokens") }
        let room = limit - promptCount
        // Nothing is generated: the prompt alone has to fit.
        if maxTokens == 0, room >= 0 { return 0 }
        guard room >= 1 else {
            throw APIError(
                400, "\(parameter): has \(promptCount) tokens, which leaves no room in this model's maximum context length of \(limit)",
                parameter: parameter, code: "context_length_exceeded")
        }
        guard let maxTokens else { return Int32(clamping: min(room, usual.map(Int.init) ?? room)) }
        guard Int(maxTokens) <= room else {
            throw APIError(
                400,
                "max_tokens: \(maxTokens) and a prompt of \(promptCount) tokens exceed this model's maximum context length of \(limit)",
                parameter: "max_tokens", code: "context_length_exceeded")
        }
        return maxTokens
    }
}
