import Foundation
import Testing

/// House rules that a machine can see.
@Suite struct StyleTests {
    private func swiftSources() throws -> [(path: String, lines: [Substring])] {
        let sources = house.appendingPathComponent("Sources")
        let files = try #require(FileManager.default.enumerator(atPath: sources.path))
        return try files.compactMap { $0 as? String }.filter { $0.hasSuffix(".swift") }.sorted().map { path in
            let text = try String(contentsOf: sources.appendingPathComponent(path), encoding: .utf8)
            return (path, text.split(separator: "\n", omittingEmptySubsequences: false))
        }
    }

    @Test func noFileOutgrowsItsNoun() throws {
        for (path, lines) in try swiftSources() {
            #expect(lines.count <= 500, "\(path) has \(lines.count) lines")
        }
    }

    @Test func nothingForcesOrTrapsOnOutsideData() throws {
        for (path, lines) in try swiftSources() {
            for (number, line) in lines.enumerated() {
                #expect(!line.contains("fatalError(") && !line.contains("try!") && !line.contains(" as! "),
                    "\(path):\(number + 1)")
            }
        }
    }

    /// Each has a comment with its reason. The number may go down.
    @Test func isolationOptOutsGetFewer() throws {
        let optOuts = try swiftSources().flatMap { path, lines in
            lines.filter { line in
                (line.contains("@unchecked Sendable") || line.contains("nonisolated(unsafe)"))
                    && !line.trimmingCharacters(in: .whitespaces).hasPrefix("//")
            }.map { "\(path): \($0)" }
        }
        #expect(optOuts.count <= 19, "\(optOuts.joined(separator: "\n"))")
    }

    @Test func theCoreHasNoClockNoInputAndNoRandomness() throws {
        for (path, lines) in try swiftSources() where path.hasPrefix("ClusterCore/") {
            let text = lines.joined(separator: "\n")
            for forbidden in ["import Foundation", "import Glibc", "ContinuousClock", "SystemRandomNumberGenerator", ".random("] {
                #expect(!text.contains(forbidden), "\(path) uses \(forbidden)")
            }
        }
    }
}
