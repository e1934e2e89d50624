import ClusterCore
import Foundation

/// A prompt of the demonstration, from `prompts.json` beside the model.
struct DemoPrompt: Decodable {
    var title: String
    var prompt: String
    var priority: Priority
    var maxTokens: Int32

    private enum CodingKeys: String, CodingKey {
        case title, prompt, priority
        case maxTokens = "max_tokens"
    }

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        prompt = try container.decode(String.self, forKey: .prompt)
        title = try container.decodeIfPresent(String.self, forKey: .title) ?? String(prompt.prefix(22))
        maxTokens = try container.decode(Int32.self, forKey: .maxTokens)
        let name = try container.decodeIfPresent(String.self, forKey: .priority) ?? Priority.normal.name
        guard let priority = Priority.allCases.first(where: { $0.name == name }) else {
            throw DecodingError.dataCorruptedError(
                forKey: .priority, in: container, debugDescription: "expected high, normal or low, not \"\(name)\"")
        }
        self.priority = priority
    }

    static func load(besideModel model: String) throws -> [DemoPrompt] {
        let file = URL(fileURLWithPath: model).appendingPathComponent("prompts.json")
        do {
            return try JSONDecoder().decode([DemoPrompt].self, from: Data(contentsOf: file))
        } catch {
            throw DemoError(message: "\(file.path): \(error)")
        }
    }
}

struct DemoError: Error, CustomStringConvertible {
    var message: String
    var description: String { message }
}
