import ChatTemplate
import Foundation
import JSONReader
import Testing

/// Against what Jinja2 rendered (`Tests/Fixtures/templates/make_templates.py`).
@Suite struct EqualityTests {
    private func check(_ source: String, _ variables: [TemplateValue.Member], _ expected: TemplateValue, _ name: String) throws {
        var text: String?
        var problem: ChatTemplateError?
        do throws(ChatTemplateError) {
            text = try ChatTemplate(source: source).render(variables, date: Fixtures.date)
        } catch {
            problem = error
        }
        guard let wanted = expected["text"]?.text else {
            #expect(problem != nil, "\(name) should fail, but gives \(text ?? "")")
            if case .raised? = problem?.kind { #expect(problem?.message == expected["message"]?.text, "\(name)") }
            return
        }
        #expect(text.map { Array($0.utf8) } == Array(wanted.utf8), "\(name): \(problem?.description ?? text ?? "")")
    }

    @Test func everyFamilyRendersEveryConversation() throws {
        let fixture = try Fixtures.json("families.json")
        let contexts = try #require(fixture["contexts"]).elements
        let expected = try #require(fixture["expected"]).members
        #expect(expected.count >= 17)
        for family in expected {
            let file = Fixtures.directory.appendingPathComponent("families/\(family.key).jinja")
            let source = try String(contentsOf: file, encoding: .utf8)
            #expect(family.value.elements.count == contexts.count)
            #expect(family.value.elements.count { $0["text"] != nil } > 5)
            for (index, (context, outcome)) in zip(contexts, family.value.elements).enumerated() {
                try check(source, context.members, outcome, "\(family.key), conversation \(index)")
            }
        }
    }

    @Test func everyConstructRenders() throws {
        let fixture = try Fixtures.json("constructs.json")
        let variables = try #require(fixture["variables"]).members
        let cases = try #require(fixture["cases"]).elements
        #expect(cases.count { $0["text"] != nil } > 200 && cases.count { $0["error"] != nil } > 30)
        for element in cases {
            let source = try #require(element["template"]?.text)
            try check(source, variables, element, source)
        }
    }

    private static let randomCases = ProcessInfo.processInfo.environment["BATON_TEMPLATE_CASES"]

    /// What `random_templates.py` wrote.
    @Test(.enabled(if: randomCases != nil)) func everyRandomTemplateRenders() throws {
        let path = try #require(Self.randomCases)
        let data = try Data(contentsOf: URL(fileURLWithPath: path))
        let fixture = TemplateValue(try JSONDocument(file: path, source: Array(data)).root)
        for element in try #require(fixture["cases"]).elements {
            let source = try #require(element["template"]?.text)
            try check(source, try #require(element["variables"]).members, element, source)
        }
    }
}
