import Foundation
import Subprocess
import Testing

extension ClusterTests {
    /// The smallest benchmark there is: two cells on real processes, a report, and nothing measured twice.
    @Test(.enabled(if: ProcessInfo.processInfo.activeProcessorCount >= 2))
    func theBenchmarkMeasuresOnceAndReports() async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("bench-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: directory) }
        let report = directory.appendingPathComponent("report.md")
        let arguments = [
            "bench", "baton", "--model", TestCluster.model, "--short", "--experiments", "1", "--arms", "baton,mixed", "--batches", "2",
            "--runs", "1", "--queries", "6", "--results", directory.appendingPathComponent("results").path, "--report", report.path,
        ]
        let first = try await baton(arguments)
        #expect(first.code == .exited(0), "\(first.error)")
        #expect(first.error.contains("1/2 ") && first.error.contains("2/2 "))
        let text = try String(contentsOf: report, encoding: .utf8)
        #expect(text.contains("2 of 2 cells measured. Each of the 12 answers has the tokens of the same query alone"))
        #expect(text.contains("](report/throughput-uniform-64.svg)"))
        #expect(FileManager.default.fileExists(atPath: directory.appendingPathComponent("report/throughput-uniform-64.svg").path))
        let second = try await baton(arguments)
        #expect(second.code == .exited(0))
        #expect(!second.error.contains("1/2 "))
        #expect(try String(contentsOf: report, encoding: .utf8) == text)
    }

    @Test func theBenchmarkRefusesWhatItDoesNotKnow() async throws {
        for arguments in [["--arms", "vllm"], ["--experiments", "6"], ["--batches", "0"], ["--budget", "0"]] {
            let outcome = try await baton(["bench", "baton", "--model", TestCluster.model] + arguments)
            #expect(outcome.code == .exited(2), "\(arguments)")
        }
    }
}
