import Foundation
import LocalCluster
import Subprocess
import Testing

/// `baton batch`, from file to file.
extension ClusterTests {
    private struct Files {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("baton-batch-test-\(UUID().uuidString)")
        var input: String { directory.appendingPathComponent("in.jsonl").path }
        var output: String { directory.appendingPathComponent("out.jsonl").path }

        init(lines: [String]) throws {
            try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
            try (lines.joined(separator: "\n") + "\n").write(toFile: input, atomically: true, encoding: .utf8)
        }

        func remove() { try? FileManager.default.removeItem(at: directory) }

        /// Custom ids, in the order of the file.
        func ids(_ path: String) throws -> [String] {
            guard FileManager.default.fileExists(atPath: path) else { return [] }
            return try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n", omittingEmptySubsequences: false).dropLast().map { line in
                let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
                return try #require(object["custom_id"] as? String)
            }
        }
    }

    private func line(_ number: Int, tokens: Int = 4, more: String = "") -> String {
        #"{"custom_id": "line-\#(number)", "method": "POST", "url": "/v1/completions", "body": {"prompt": "Story \#(number)", "max_tokens": \#(tokens)\#(more)}}"#
    }

    private func local(_ files: Files, _ more: [String] = []) -> [String] {
        ["batch", files.input, "-o", files.output, "--model", TestCluster.model, "--kv-cache-memory", "64MiB"] + more
    }

    @Test(.timeLimit(.minutes(5))) func aJobWithAClusterOfItsOwn() async throws {
        let files = try Files(lines: (0..<12).map { line($0) } + [line(12, more: #", "temperature": -1"#)])
        defer { files.remove() }
        let first = try await baton(local(files, ["--json"]))
        // One line has no answer.
        #expect(first.code == .exited(1), "\(first.error)")
        let summary = try #require(try JSONSerialization.jsonObject(with: Data(first.output.utf8)) as? [String: Any])
        #expect(summary["answered"] as? Int == 12 && summary["failed"] as? Int == 1 && summary["status"] as? String == "completed")
        #expect(try files.ids(files.output).sorted() == (0..<12).map { "line-\($0)" }.sorted())
        #expect(try files.ids(files.output + ".errors") == ["line-12"])
        #expect(!FileManager.default.fileExists(atPath: files.output + ".baton"))
        // The same again has nothing to do.
        let answers = try String(contentsOfFile: files.output, encoding: .utf8)
        let again = try await baton(local(files))
        #expect(again.code == .exited(1) && again.error.contains("nothing is left to do"), "\(again.error)")
        #expect(try String(contentsOfFile: files.output, encoding: .utf8) == answers)
    }

    @Test(.timeLimit(.minutes(5))) func aJobThatIsKilledGoesOn() async throws {
        let files = try Files(lines: (0..<150).map { line($0, tokens: 40, more: #", "ignore_eos": true"#) })
        defer { files.remove() }
        var kept: [String] = []
        for signal in [SIGKILL, SIGINT] {
            let job = try await ChildProcess.start(
                name: "batch", executable: TestCluster.programs.appendingPathComponent("baton"), arguments: local(files),
                log: files.directory.appendingPathComponent("batch.log"))
            while try files.ids(files.output).count < kept.count + 15 { try await Task.sleep(for: .milliseconds(20)) }
            job.signal(signal)
            let code = await job.waitForExit()
            #expect(code == (signal == SIGINT ? 1 : -SIGKILL))
            let written = try files.ids(files.output)
            #expect(written.starts(with: kept) && written.count < 150)
            kept = written
        }
        let last = try await baton(local(files, ["--json"]))
        #expect(last.code == .exited(0), "\(last.error)")
        let ids = try files.ids(files.output)
        #expect(ids.starts(with: kept), "what was written has changed")
        #expect(ids.count == 150 && Set(ids).count == 150)
    }

    @Test(.timeLimit(.minutes(5))) func aJobOnAServerInTheOrderOfItsInput() async throws {
        let files = try Files(lines: (0..<40).map { line($0, tokens: 1 + (40 - $0)) })
        defer { files.remove() }
        try await TestCluster.run(http: true, coordinatorArguments: ["--job-store", files.directory.appendingPathComponent("jobs.sqlite").path]) { cluster in
            let url = try #require(cluster.plan.http).url
            let result = try await baton(["batch", files.input, "--output", files.output, "--base-url", url + "/v1", "--input-order"])
            #expect(result.code == .exited(0), "\(result.error)")
            #expect(try files.ids(files.output) == (0..<40).map { "line-\($0)" })
            #expect(result.error.contains("completed: 40 of 40 lines answered"))
        }
    }

    @Test func filesThatAreNoJobs() async throws {
        let files = try Files(lines: [line(0), line(0)])
        defer { files.remove() }
        let empty = try Files(lines: [])
        defer { empty.remove() }
        let other = try Files(lines: [#"{"url": "/v1/embeddings"}"#])
        defer { other.remove() }
        for arguments in [
            local(empty), local(other), ["batch", "/nowhere.jsonl", "-o", files.output, "--model", "x"],
            ["batch", files.input, "-o", files.output], ["batch", files.input, "-o", files.output, "--model", "x", "--base-url", "y"],
            local(files, ["--completion-window", "soon"]),
        ] {
            let result = try await baton(arguments)
            #expect(result.code == .exited(2), "\(arguments): \(result.error)")
        }
        // Two lines with one name: the job is refused, and leaves nothing behind.
        let refused = try await baton(local(files))
        #expect(refused.code == .exited(1) && refused.error.contains("line 2: custom_id"), "\(refused.error)")
        #expect(!FileManager.default.fileExists(atPath: files.output + ".baton"))
        // What somebody else has written is not touched.
        try "precious".write(toFile: files.output, atomically: true, encoding: .utf8)
        #expect(try await baton(local(files)).code == .exited(2))
        #expect(try String(contentsOfFile: files.output, encoding: .utf8) == "precious")
    }
}
