import ClusterCore
import Foundation
import Generation
import LocalCluster
import Subprocess
import SystemPackage
import Testing

extension ClusterTests {
    private struct Report: Decodable {
        var text: String
        var tokens: [TokenID]
        var finish_reason: String
        var seed: UInt64
        var usage: [String: Int]
        var timings: [String: Double]
        var workers: [String: String]
    }

    func baton(_ arguments: [String]) async throws -> (code: TerminationStatus, output: String, error: String) {
        try await run("baton", arguments)
    }

    func run(_ program: String, _ arguments: [String]) async throws -> (code: TerminationStatus, output: String, error: String) {
        let result = try await Subprocess.run(
            .path(FilePath(TestCluster.programs.appendingPathComponent(program).path)), arguments: Arguments(arguments),
            output: .string(limit: 1 << 20), error: .string(limit: 1 << 20))
        return (result.terminationStatus, result.standardOutput, result.standardError)
    }

    @Test func theCommandsAnswerAlike() async throws {
        try await TestCluster.run { cluster in
            let prompt = "Mira found a brass key in the old mill."
            for extra in [[], ["--temperature", "0.8", "--top-p", "0.9", "--seed", "7"]] {
                let common = ["generate", prompt, "--max-tokens", "30", "--json"] + extra
                let local = try await baton(common + ["--local", "--model", TestCluster.model])
                let served = try await baton(common + ["--rpc", cluster.plan.rpc])
                #expect(local.code == .exited(0), "\(local.error)")
                #expect(served.code == .exited(0), "\(served.error)")
                let a = try JSONDecoder().decode(Report.self, from: Data(local.output.utf8))
                let b = try JSONDecoder().decode(Report.self, from: Data(served.output.utf8))
                #expect(a.tokens == b.tokens)
                #expect(a.text == b.text)
                #expect(a.finish_reason == b.finish_reason)
                #expect(b.workers == ["prefill": "prefill-0", "decode": "decode-0"])
                #expect(Set(b.timings.keys) == ["queue_ms", "prefill_ms", "transfer_ms", "ttft_ms", "tpot_ms"])
                #expect(b.usage["completion_tokens"] == b.tokens.count)
            }
            let status = try await baton(["status", "--rpc", cluster.plan.rpc])
            #expect(status.output.contains("prefill-0") && status.output.contains("decode-0"))
            let worker = try #require(try await cluster.status().workers.first)
            #expect(try await baton(["ping", worker.endpoint]).code == .exited(0))
        }
    }

    @Test func aWrongCommandLineIsAUsageError() async throws {
        for arguments in [
            ["generate", "--temperature", "-1", "x"], ["generate", "x", "--prompt-tokens", "1,2"], ["nonsense"],
            ["generate", "--prompt-tokens", "1,b"], ["up"],
            ["up", "--model", "x", "--prefill-workers", "0", "--mixed-workers", "1"], ["model", "make", "--shape", "no-such-shape", "/nowhere"],
        ] {
            let outcome = try await baton(arguments)
            #expect(outcome.code == .exited(2), "\(arguments)")
            #expect(outcome.output.isEmpty)
            #expect(!outcome.error.isEmpty)
        }
        let unreachable = try await baton(["status", "--rpc", "tcp://127.0.0.1:1", "--timeout", "0.2"])
        #expect(unreachable.code == .exited(1))
        let missing = try await baton(["generate", "x", "--local", "--model", "/no/such/model"])
        #expect(missing.code == .exited(1))
        #expect(missing.error.contains("/no/such/model"))
    }

    @Test func aChatTemplateMakesAPrompt() async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        func file(_ name: String, _ text: String) throws -> String {
            let url = directory.appendingPathComponent(name)
            try Data(text.utf8).write(to: url)
            return url.path
        }
        let template = try file(
            "t.jinja", "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{{ tools | tojson }}{{ style }}{% endif %}")
        let messages = try file("m.json", #"[{"role": "user", "content": "Once é"}]"#)
        let tools = try file("tools.json", #"[{"b": 1, "a": 2}]"#)
        let common = ["template", "--model", TestCluster.model, "--template", template, messages]
        #expect(try await baton(common + ["--no-generation-prompt"]).output == "user: Once é\n")
        let full = try await baton(common + ["--tools", tools, "--chat-template-kwargs", #"{"style": "!"}"#])
        #expect(full.output == "user: Once é\nassistant:[{\"b\": 1, \"a\": 2}]!" && full.code == .exited(0))
        let shown = try await baton(common + ["--tokens"])
        let plain = try await baton(["tokenize", "--model", TestCluster.model, "user: Once é\nassistant:null"])
        #expect(!shown.output.isEmpty && plain.output.hasSuffix(shown.output))
        let broken = try await baton(["template", "--model", TestCluster.model, "--template", try file("b.jinja", "a\n{% if %}"), messages])
        #expect(broken.code == .exited(1) && broken.error.contains("line 2, column 7"), "\(broken.error)")
    }

    @Test func tokensAndTextGoBothWays() async throws {
        let text = "Once upon a time, 42 foxes…"
        let tokenized = try await baton(["tokenize", "--model", TestCluster.model, text, "--json"])
        let tokens = try #require(
            try JSONDecoder().decode([String: [TokenID]].self, from: Data(tokenized.output.utf8))["tokens"])
        let list = tokens.map(String.init).joined(separator: ",")
        let decoded = try await baton(["tokenize", "--model", TestCluster.model, "--decode", list, "--json"])
        #expect(try JSONDecoder().decode([String: String].self, from: Data(decoded.output.utf8))["text"] == text)
    }
}
