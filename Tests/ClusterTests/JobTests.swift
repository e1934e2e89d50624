import Foundation
import FoundationNetworking
import Jobs
import LocalCluster
import Testing

/// Batch jobs over HTTP with real processes that are killed.
///
/// `BATON_JOB_LINES`, `BATON_COORDINATOR_KILLS` and `BATON_WORKER_KILLS` make it longer; `make test-jobs` sets them.
extension ClusterTests {
    private static func setting(_ name: String, _ usual: Int) -> Int {
        ProcessInfo.processInfo.environment[name].flatMap { Int($0) } ?? usual
    }

    @Test(.timeLimit(.minutes(20))) func aJobOutlivesCoordinatorsAndWorkers() async throws {
        let count = Self.setting("BATON_JOB_LINES", 200)
        let kills = JobKills(
            coordinators: Self.setting("BATON_COORDINATOR_KILLS", 1), workers: Self.setting("BATON_WORKER_KILLS", 2), lines: count)
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("baton-job-test-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: directory) }
        try await TestCluster.run(
            decodeWorkers: 2, http: true, workerArguments: ["--max-num-seqs", "16"],
            coordinatorArguments: ["--job-store", directory.appendingPathComponent("jobs.sqlite").path]
        ) { cluster in
            let client = JobClient(base: try #require(cluster.plan.http).url)
            let lines = (0..<count).map(JobClient.line)
            let file = try await client.upload(lines.joined(separator: "\n"))

            let quiet = try await client.create(file)
            let undisturbed = try await client.answers(of: try await client.wait(for: quiet))
            #expect(undisturbed.count == count)

            let start = ContinuousClock.now
            let batch = try await client.create(file)
            for kill in kills.list {
                _ = try await client.wait(for: batch) { $0.ended >= kill.after || !$0.isOpen }
                await cluster.processes.kill(kill.process)
                try await cluster.processes.start(kill.process)
            }
            let ended = try await client.wait(for: batch)
            #expect(ended.status == "completed" && ended.completed == count && ended.failed == 0)
            // None twice, none lost, and what it would have been without anybody's death.
            let answers = try await client.answers(of: ended)
            #expect(answers.count == count)
            let different = answers.filter { undisturbed[$0.key] != $0.value }
            #expect(different.isEmpty, "\(different.count) answers differ: \(different.prefix(3))")
            if count > 1000 { print("\(count) lines, \(kills.list.count) kills: \(ContinuousClock.now - start)") }
            try await cluster.waitUntilIdle()
        }
    }

    @Test(.timeLimit(.minutes(5))) func onlineRequestsGoFirst() async throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("baton-job-test-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: directory) }
        try await TestCluster.run(
            http: true, workerArguments: ["--max-num-seqs", "2"],
            coordinatorArguments: ["--job-store", directory.appendingPathComponent("jobs.sqlite").path]
        ) { cluster in
            let client = JobClient(base: try #require(cluster.plan.http).url)
            let body = #"{"prompt": "Once upon a time", "max_tokens": 300, "ignore_eos": true}"#
            let file = try await client.upload((0..<40).map { JobClient.line("long-\($0)", body) }.joined(separator: "\n"))
            let batch = try await client.create(file)
            _ = try await client.wait(for: batch) { $0.ended >= 2 }
            // Every row has a line of the job, and others wait; whoever asks now does not.
            for _ in 0..<3 { _ = try await client.ask("POST", "/v1/completions", #"{"prompt": "x", "max_tokens": 2}"#) }
            let now = try await client.status(of: batch)
            #expect(now.isOpen, "the job was over before anybody else was answered")
            _ = try await client.ask("POST", "/v1/batches/\(batch)/cancel", "")
            let ended = try await client.wait(for: batch)
            #expect(ended.status == "cancelled" && ended.completed >= 2 && ended.completed < 40)
            #expect(try await client.answers(of: ended).count == ended.completed)
            try await cluster.waitUntilIdle()
        }
    }
}

/// Who is killed, and after how many lines: spread over the job, workers and coordinators in turn.
private struct JobKills {
    var list: [(process: String, after: Int)] = []

    init(coordinators: Int, workers: Int, lines: Int) {
        let names = ["decode-0", "prefill-0", "decode-1"]
        let count = coordinators + workers
        for number in 0..<count {
            let isCoordinator = (number + 1) * coordinators / count > number * coordinators / count
            let name = isCoordinator ? "coordinator" : names[number % names.count]
            list.append((name, lines * (number + 1) / (count + 2)))
        }
    }
}

/// What a client of the Files and Batch APIs does.
private struct JobClient {
    struct Status {
        var status: String
        var completed: Int
        var failed: Int
        var output: String?

        var ended: Int { completed + failed }
        var isOpen: Bool { Batch.Status(rawValue: status)?.isOpen ?? true }
    }

    let base: String

    /// Greedy and sampled, of several choices, scored, and of a given form.
    static func line(_ number: Int) -> String {
        let prompt = "\"Once upon a time there was a fox who told \(number % 17) stories. Number \(number)\""
        let body =
            switch number % 5 {
            case 0: #"{"prompt": \#(prompt), "max_tokens": 6, "temperature": 0}"#
            case 1: #"{"prompt": \#(prompt), "max_tokens": 6, "temperature": 1, "seed": \#(number)}"#
            case 2: #"{"prompt": \#(prompt), "max_tokens": 4, "n": 2, "temperature": 0.9, "seed": \#(number), "ignore_eos": true}"#
            case 3: #"{"prompt": \#(prompt), "max_tokens": 3, "echo": true, "logprobs": 1, "temperature": 0}"#
            default: #"{"prompt": \#(prompt), "max_tokens": 8, "temperature": 1, "seed": \#(number), "response_format": {"type": "json_object"}}"#
            }
        return line("line-\(number)", body)
    }

    static func line(_ id: String, _ body: String) -> String {
        #"{"custom_id": "\#(id)", "method": "POST", "url": "/v1/completions", "body": \#(body)}"#
    }

    func ask(_ method: String, _ path: String, _ body: String? = nil, type: String = "application/json") async throws -> Data {
        var request = URLRequest(url: try #require(URL(string: base + path)))
        request.httpMethod = method
        request.httpBody = body.map { Data($0.utf8) }
        request.setValue(type, forHTTPHeaderField: "Content-Type")
        request.timeoutInterval = 120
        let (data, response) = try await URLSession.shared.data(for: request)
        let status = (response as? HTTPURLResponse)?.statusCode
        guard status == 200 else { throw NeverCame(what: "\(method) \(path)", last: "\(status ?? 0): \(String(decoding: data, as: UTF8.self))") }
        return data
    }

    private func object(_ data: Data) throws -> [String: Any] { try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any]) }

    func upload(_ content: String) async throws -> String {
        let form = """
            --xyz\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--xyz\r\n\
            Content-Disposition: form-data; name="file"; filename="in.jsonl"\r\n\r\n\(content)\r\n--xyz--\r\n
            """
        let answer = try object(try await ask("POST", "/v1/files", form, type: "multipart/form-data; boundary=xyz"))
        return try #require(answer["id"] as? String)
    }

    func create(_ file: String) async throws -> String {
        let body = #"{"input_file_id": "\#(file)", "endpoint": "/v1/completions", "completion_window": "24h"}"#
        return try #require(try object(try await ask("POST", "/v1/batches", body))["id"] as? String)
    }

    func status(of batch: String) async throws -> Status {
        let answer = try object(try await ask("GET", "/v1/batches/\(batch)"))
        let counts = try #require(answer["request_counts"] as? [String: Int])
        return Status(
            status: try #require(answer["status"] as? String), completed: counts["completed"] ?? 0, failed: counts["failed"] ?? 0,
            output: answer["output_file_id"] as? String)
    }

    /// Asks until it is as wanted; a coordinator that is not there just now does not count.
    func wait(for batch: String, _ isMet: (Status) -> Bool = { !$0.isOpen }) async throws -> Status {
        while true {
            if let status = try? await status(of: batch), isMet(status) { return status }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// The choices of each answer, in one spelling, by custom id.
    func answers(of status: Status) async throws -> [String: String] {
        let text = String(decoding: try await ask("GET", "/v1/files/\(try #require(status.output))/content"), as: UTF8.self)
        var answers: [String: String] = [:]
        for line in text.split(separator: "\n") {
            let answer = try object(Data(line.utf8))
            let id = try #require(answer["custom_id"] as? String)
            let body = try #require((answer["response"] as? [String: Any])?["body"] as? [String: Any])
            let choices = try JSONSerialization.data(withJSONObject: try #require(body["choices"]), options: [.sortedKeys])
            #expect(answers.updateValue(String(decoding: choices, as: UTF8.self), forKey: id) == nil, "\(id) is answered twice")
        }
        return answers
    }
}
