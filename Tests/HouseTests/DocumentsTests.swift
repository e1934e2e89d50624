import Foundation
import Testing

/// The root of the checkout.
let house = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

@Suite struct DocumentsTests {
    static let documents = ["README.md", "CONTRIBUTING.md", "docs/ARCHITECTURE.md", "Models/README.md"]

    /// Paths of this repository that a document names in backquotes.
    private func paths(in document: String) throws -> [String] {
        let text = try String(contentsOf: house.appendingPathComponent(document), encoding: .utf8)
        let named = text.matches(of: /`([A-Za-z.][A-Za-z0-9_.+\/-]*)`/).map { String($0.output.1) }
        let roots = ["Sources/", "Tests/", "Protos/", "docs/", "deploy/", "Models/", ".ci/"]
        return named.filter { path in roots.contains { path.hasPrefix($0) } }
    }

    @Test(arguments: documents)
    func everyFileThatADocumentNamesExists(document: String) throws {
        for path in try paths(in: document) {
            #expect(
                FileManager.default.fileExists(atPath: house.appendingPathComponent(path).path),
                "\(document) names \(path)")
        }
    }

    @Test func theArchitectureNamesFilesAtAll() throws {
        #expect(try paths(in: "docs/ARCHITECTURE.md").count > 20)
    }

    @Test func theArchitectureNamesEveryTarget() throws {
        let text = try String(contentsOf: house.appendingPathComponent("docs/ARCHITECTURE.md"), encoding: .utf8)
        let sources = house.appendingPathComponent("Sources")
        for target in try FileManager.default.contentsOfDirectory(atPath: sources.path) {
            #expect(text.contains("`\(target)`"), "docs/ARCHITECTURE.md does not say what \(target) is")
        }
    }

    @Test(arguments: documents)
    func everyMakeTargetThatADocumentNamesExists(document: String) throws {
        let text = try String(contentsOf: house.appendingPathComponent(document), encoding: .utf8)
        let makefile = try String(contentsOf: house.appendingPathComponent("Makefile"), encoding: .utf8)
        // In code: between backquotes, or on an indented line.
        for match in text.matches(of: /(?:`|^ {4})make ([a-z][a-z-]*)/.anchorsMatchLineEndings()).map(\.output.1) {
            #expect(makefile.contains("\n\(match):"), "\(document) names make \(match)")
        }
    }
}
