import BatonClient
import ClusterCore
import Foundation
import FoundationNetworking
import Generation
import LocalCluster
import Testing

/// What `/metrics` says after known work, of real processes.
extension ClusterTests {
    /// Samples by name and labels, such as `workers{role="decode",state="ready"}`, without the model's name and `baton:`.
    private func metrics(of cluster: TestCluster) async throws -> [String: Double] {
        let address = try #require(cluster.plan.http).url
        let url = try #require(URL(string: address + "/metrics"))
        let text = String(decoding: try await URLSession.shared.data(from: url).0, as: UTF8.self)
        var samples: [String: Double] = [:]
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            let match = try #require(line.wholeMatch(of: /baton:([a-z0-9_]+)\{model_name="baton-tiny",?(.*)\} (\S+)/), "\(line)")
            samples["\(match.1)" + (match.2.isEmpty ? "" : "{\(match.2)}")] = try #require(Double(match.3), "\(line)")
        }
        return samples
    }

    /// Every metric that is promised, with the value that known work leads to.
    @Test func metricsSayWhatWasDone() async throws {
        try await TestCluster.run(http: true) { cluster in
            let client = try await cluster.connect()
            let before = try await metrics(of: cluster)
            #expect(before["num_requests_running"] == 0 && before["num_requests_waiting"] == 0)
            #expect(before["generation_tokens_total"] == 0 && before["time_to_first_token_seconds_count"] == 0)
            let (count, prompt, tokens) = (5, 40, 12)
            for number in 0..<count {
                let ids = (0..<prompt).map { TokenID(100 + $0 + 50 * number) }
                _ = try await client.answer(
                    to: Submission(prompt: .tokens(ids), sampling: .greedy, maxTokens: Int32(tokens), ignoreEndTokens: true))
            }
            await client.close()
            let decode = #"{worker="decode-0",role="decode"}"#
            var after = try await metrics(of: cluster)
            // Workers tell their own figures with their heartbeats.
            let deadline = ContinuousClock.now + .seconds(20)
            func isSettled(_ page: [String: Double]) -> Bool {
                page["embeds_total" + decode] == Double(count) && page["batch_rows" + decode] == 0 && page["num_requests_running"] == 0
                    && page["kv_cache_usage_by_worker" + decode] == 0
            }
            while !isSettled(after), .now < deadline {
                try await Task.sleep(for: .milliseconds(50))
                after = try await metrics(of: cluster)
            }
            let expected: [(String, Int)] = [
                ("num_requests_running", 0), ("num_requests_waiting", 0), ("prompt_tokens_total", count * prompt),
                ("generation_tokens_total", count * tokens), (#"request_success_total{finished_reason="length"}"#, count),
                (#"request_success_total{finished_reason="stop"}"#, 0), ("num_preemptions_total", 0),
                ("time_to_first_token_seconds_count", count), ("inter_token_latency_seconds_count", count * (tokens - 1)),
                ("e2e_request_latency_seconds_count", count), ("request_queue_time_seconds_count", count),
                ("request_prefill_time_seconds_count", count), ("request_transfer_time_seconds_count", count),
                ("request_decode_time_seconds_count", count), ("embeds_total" + decode, count), ("batch_rows" + decode, 0),
                ("idle_computation_ratio" + decode, 0), ("kv_cache_usage_by_worker" + decode, 0), ("kv_cache_usage_perc", 0),
                ("kv_transfer_seconds_count" + decode, count),
                (#"kv_transfer_seconds_bucket{worker="decode-0",role="decode",le="+Inf"}"#, count),
                (#"workers{role="prefill",state="ready"}"#, 1), (#"workers{role="decode",state="ready"}"#, 1),
                (#"workers{role="decode",state="lost"}"#, 0), (#"workers{role="mixed",state="ready"}"#, 0),
            ]
            for (name, value) in expected { #expect(after[name] == Double(value), "\(name)") }
            for name in ["queue", "prefill", "transfer", "decode"] {
                #expect(try #require(after["request_\(name)_time_seconds_sum"]) >= 0)
            }
            #expect(try #require(after["request_prefill_time_seconds_sum"]) > 0 && after["request_decode_time_seconds_sum"] != 0)
            #expect(try #require(after["kv_transfer_seconds_sum" + decode]) > 0)
            let first = try #require(after["time_to_first_token_seconds_sum"])
            #expect(try #require(after["e2e_request_latency_seconds_sum"]) >= first)
            // Three blocks of 16 tokens in each of 6 layers: K and V of 2 heads, 32 elements of bfloat16 each.
            let layerBlock = 2 * 2 * 16 * 32 * 2
            #expect(after["kv_transfer_bytes_total" + decode] == Double(count * 3 * 6 * layerBlock))
            // Streamed over HTTP, each token is one piece that comes to the socket.
            let address = try #require(cluster.plan.http).url
            var request = URLRequest(url: try #require(URL(string: address + "/v1/completions")))
            request.httpMethod = "POST"
            request.setValue("application/json", forHTTPHeaderField: "Content-Type")
            request.httpBody = Data(#"{"prompt": "Once", "max_tokens": 20, "ignore_eos": true, "logprobs": 0, "stream": true}"#.utf8)
            #expect(String(decoding: try await URLSession.shared.data(for: request).0, as: UTF8.self).hasSuffix("data: [DONE]\n\n"))
            after = try await metrics(of: cluster)
            #expect(after["token_delivery_seconds_count"] == 20 && after["token_delivery_seconds_sum"] != 0)
            await cluster.processes.kill("decode-0")
            try await cluster.waitUntil("the worker is lost") { $0.workers.contains { $0.state == .lost } }
            #expect(try await metrics(of: cluster)[#"workers{role="decode",state="lost"}"#] == 1)
        }
    }
}
