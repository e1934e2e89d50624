import ChatTemplate
import Foundation
import JSONReader

enum Fixtures {
    static let directory = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures/templates")

    /// The date at which `make_templates.py` renders.
    static let date = TemplateDate(year: 2025, month: 3, day: 7, hour: 14, minute: 5, second: 9)

    static func json(_ name: String) throws -> TemplateValue {
        let data = try Data(contentsOf: directory.appendingPathComponent(name))
        return TemplateValue(try JSONDocument(file: name, source: Array(data)).root)
    }

    static func parse(_ text: String) throws -> TemplateValue {
        TemplateValue(try JSONDocument(file: "test", source: Array(text.utf8)).root)
    }
}

extension TemplateValue {
    var text: String? { if case .string(let text) = self { text } else { nil } }
    var elements: [TemplateValue] { if case .array(let elements) = self { elements } else { [] } }
    var members: [Member] { if case .object(let members) = self { members } else { [] } }
}

/// What a template makes of variables written as JSON.
func render(_ source: String, _ variables: String = "{}", limits: TemplateLimits = TemplateLimits()) throws -> String {
    try ChatTemplate(source: source).render(try Fixtures.parse(variables).members, date: Fixtures.date, limits: limits)
}
