import ClusterCore
import Foundation
import Testing

@testable import ClusterTracing

@Suite struct TraceFileTests {
    private func withFile(_ body: (String) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("trace-\(UUID().uuidString).json").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    private func event(_ milliseconds: Int, _ id: UInt64, _ kind: ClusterEvent.Kind) -> ClusterEvent {
        ClusterEvent(time: .milliseconds(milliseconds), request: RequestID(id), kind: kind)
    }

    @Test func aClosedFileIsJSONWithoutOpenSpans() throws {
        try withFile { path in
            let file = try TraceFile(path: path)
            for id in 0..<UInt64(50) { try file.take(event(Int(id), id, .submitted(promptCount: 1, .normal))) }
            try file.close(at: .seconds(1))
            try ParsedTrace(String(contentsOfFile: path, encoding: .utf8)).checkSpans()
        }
    }

    @Test func anEmptyTraceIsAnEmptyArray() throws {
        try withFile { path in
            try TraceFile(path: path).close(at: .zero)
            #expect(try ParsedTrace(String(contentsOfFile: path, encoding: .utf8)).events.isEmpty)
        }
    }

    /// As a killed process leaves it: whole lines, and an array that a bracket would close.
    @Test func aFileThatWasNeverClosedHasWholeLines() throws {
        try withFile { path in
            let file = try TraceFile(path: path)
            for id in 0..<UInt64(20_000) { try file.take(event(Int(id), id, .submitted(promptCount: 1, .normal))) }
            let text = try String(contentsOfFile: path, encoding: .utf8)
            #expect(text.utf8.count > 1 << 20)
            #expect(text.hasSuffix("}"))
            #expect(try ParsedTrace(text + "]").events.count > 10_000)
        }
    }

    @Test func aPathThatCannotBeWrittenIsNamed() {
        #expect { _ = try TraceFile(path: "/nowhere/at/all.json") } throws: { "\($0)".hasPrefix("/nowhere/at/all.json: cannot be written") }
    }
}
