import ClusterCore
import Foundation

/// A prompt of the demonstration, from `prompts.json` beside the model.
struct DemoPrompt: Decodable {
    private struct File: Decodable {
        var prompts: [DemoPrompt]
    }

    var text: String
    var priority: Priority
    var maxTokens: Int32

    private enum CodingKeys: String, CodingKey {
        case text, priority
        case maxTokens = "max_tokens"
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        text = try container.decode(String.self, forKey: .text)
        maxTokens = try container.decode(Int32.self, forKey: .maxTokens)
        let name = try container.decodeIfPresent(String.self, forKey: .priority) ?? Priority.normal.name
        guard let priority = Priority.allCases.first(where: { $0.name == name }) else {
            throw DecodingError.dataCorruptedError(
                forKey: .priority, in: container, debugDescription: "expected high, normal or low, not \"\(name)\"")
        }
        self.priority = priority
    }

    /// The beginning of what a person would have typed.
    var title: String {
        let words = text.replacing(/<\|[a-z_]+\|>(user|assistant)?/, with: "").split(whereSeparator: \.isWhitespace)
        return String(words.joined(separator: " ").prefix(24))
    }

    static func load(besideModel model: String) throws -> [DemoPrompt] {
        let file = URL(fileURLWithPath: model).appendingPathComponent("prompts.json")
        do {
            return try JSONDecoder().decode(File.self, from: Data(contentsOf: file)).prompts
        } catch {
            throw DemoError(message: "\(file.path): \(error)")
        }
    }
}

struct DemoError: Error, CustomStringConvertible {
    var message: String
    var description: String { message }
}
