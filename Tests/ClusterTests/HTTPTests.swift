import BatonClient
import ClusterCore
import Foundation
import FoundationNetworking
import Generation
import LocalCluster
import Testing

/// The HTTP server in front of real processes. What it says on each edge is tested without them, in GatewayTests.
extension ClusterTests {
    private func request(_ url: String, _ body: String? = nil) throws -> URLRequest {
        var request = URLRequest(url: try #require(URL(string: url)))
        if let body {
            request.httpMethod = "POST"
            request.httpBody = Data(body.utf8)
            request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        }
        request.timeoutInterval = 60
        return request
    }

    private func ask(_ url: String, _ body: String? = nil) async throws -> (status: Int, text: String) {
        let (data, response) = try await URLSession.shared.data(for: try request(url, body))
        return ((response as? HTTPURLResponse)?.statusCode ?? 0, String(decoding: data, as: UTF8.self))
    }

    private func object(_ text: some StringProtocol) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }

    private func text(ofChoiceIn answer: some StringProtocol) throws -> String? {
        (try object(answer)["choices"] as? [[String: Any]])?.first?["text"] as? String
    }

    @Test func httpAnswersAsRPCDoes() async throws {
        let workload = try await Workload(count: 12, seed: 41)
        try await TestCluster.run(http: true) { cluster in
            let base = try #require(cluster.plan.http).url
            let client = try await cluster.connect()
            for item in workload.items {
                guard case .tokens(let prompt) = item.submission.prompt, let seed = item.submission.seed else { continue }
                let sampling = item.submission.sampling
                let body = """
                    {"prompt": \(prompt), "max_tokens": \(item.submission.maxTokens ?? 1), "ignore_eos": true,
                     "temperature": \(sampling.temperature), "top_p": \(sampling.topP), "top_k": \(sampling.topK), "min_p": \(sampling.minP),
                     "repetition_penalty": \(sampling.repetitionPenalty), "presence_penalty": \(sampling.presencePenalty),
                     "frequency_penalty": \(sampling.frequencyPenalty), "seed": \(Int64(bitPattern: seed))}
                    """
                let (status, answer) = try await ask(base + "/v1/completions", body)
                #expect(status == 200, "\(answer)")
                let rpc = try await client.answer(to: item.submission)
                #expect(rpc.tokens == item.expected)
                #expect(try text(ofChoiceIn: answer) == rpc.text)
            }
            await client.close()
            try await cluster.waitUntilIdle()
        }
    }

    @Test func aClientThatDropsItsConnectionLeavesNothingBehind() async throws {
        // One row: others are queued, prefilled and parked behind it.
        try await TestCluster.run(http: true, workerArguments: ["--max-num-seqs", "1"]) { cluster in
            let base = try #require(cluster.plan.http).url
            var random = SplitMix(state: 5)
            for round in 0..<12 {
                var tasks: [URLSessionDataTask] = []
                for number in 0..<6 {
                    let prompt = (0..<(number * 60 + 1)).map { _ in Int(random.next() % 2000) + 20 }
                    let body = """
                        {"prompt": \(prompt), "max_tokens": 400, "ignore_eos": true, "stream": \(number % 2 == 0),
                         "priority": "\(number % 3 == 0 ? "high" : "low")"}
                        """
                    let task = URLSession.shared.dataTask(with: try request(base + "/v1/completions", body))
                    task.resume()
                    tasks.append(task)
                }
                try await Task.sleep(for: .milliseconds(Int(random.next() % 150)))
                for task in tasks { task.cancel() }
                if round % 4 == 3 { try await cluster.waitUntilIdle() }
            }
            try await cluster.waitUntilIdle()
            #expect(try await ask(base + "/v1/completions", #"{"prompt": "x", "max_tokens": 2}"#).status == 200)
        }
    }

    @Test func overloadIsRefusedAndPasses() async throws {
        try await TestCluster.run(
            http: true, workerArguments: ["--max-num-seqs", "1"], coordinatorArguments: ["--max-queued-requests", "2"]
        ) { cluster in
            let base = try #require(cluster.plan.http).url
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<24 {
                    group.addTask {
                        let body = #"{"prompt": "Story", "max_tokens": 100, "ignore_eos": true, "stream": \#(number % 2 == 0)}"#
                        return try await self.ask(base + "/v1/completions", body).status
                    }
                }
                return try await group.reduce(into: [Int: Int]()) { $0[$1, default: 0] += 1 }
            }
            #expect(Set(statuses.keys) == [200, 503], "\(statuses)")
            try await cluster.waitUntilIdle()
            #expect(try await ask(base + "/v1/completions", #"{"prompt": "x", "max_tokens": 2}"#).status == 200)
            let metrics = try await ask(base + "/metrics").text
            let refused = try #require(statuses[503])
            #expect(metrics.contains(#"baton:request_refused_total{model_name="baton-tiny",code="overloaded"} \#(refused)"#))
        }
    }

    @Test func readinessFollowsTheWorkers() async throws {
        try await TestCluster.run(http: true) { cluster in
            let base = try #require(cluster.plan.http).url
            #expect(try await ask(base + "/readyz").status == 200)
            await cluster.processes.kill("decode-0")
            try await cluster.waitUntil("the worker is lost") { $0.workers.contains { $0.state == .lost } }
            #expect(try await ask(base + "/readyz").status == 503)
            #expect(try await ask(base + "/livez").status == 200)
            for stream in [false, true] {
                let body = #"{"prompt": "x", "max_tokens": 2, "timeout": 0.3, "stream": \#(stream)}"#
                let (status, text) = try await ask(base + "/v1/completions", body)
                #expect(status == 503, "\(text)")
            }
        }
    }

    @Test func aStreamWhoseWorkersDieGoesOn() async throws {
        try await TestCluster.run(http: true) { cluster in
            let base = try #require(cluster.plan.http).url
            let body = #"{"prompt": "Once upon a time", "max_tokens": 400, "ignore_eos": true, "temperature": 1, "seed": 4, "stream": true}"#
            let undisturbed = try await ask(base + "/v1/completions", body).text
            // Many, so that some are being decoded for as long as it takes to look.
            async let disturbed = withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<48 { group.addTask { try await self.ask(base + "/v1/completions", body).text } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            try await cluster.waitUntil("it is decoded") { $0.workers.contains { $0.role == .decode && $0.load.rows > 0 } }
            await cluster.processes.kill("decode-0")
            try await cluster.processes.start("decode-0")
            let texts = try ([undisturbed] + (try await disturbed)).map { stream in
                #expect(stream.hasSuffix("data: [DONE]\n\n"))
                return try stream.split(separator: "\n").filter { $0.hasPrefix("data: {") }.compactMap { line in
                    try self.text(ofChoiceIn: line.dropFirst(6))
                }.joined()
            }
            #expect(texts.count == 49 && Set(texts).count == 1)
            #expect(!texts[0].isEmpty)
            try await cluster.waitUntilIdle()
        }
    }
}
