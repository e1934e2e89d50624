import Foundation
import Generation
import Testing

@testable import ServingExperiments

@Suite struct OpenLoopTests {
    // MARK: Arrivals

    @Test(arguments: [0.05, 0.5, 1, 4, 100])
    func gapsHaveTheirShape(shape: Double) {
        var random = SeededRandom(seed: 3)
        let gaps = (0..<200_000).map { _ in random.gamma(shape: shape) }
        let mean = gaps.reduce(0, +) / Double(gaps.count)
        let variance = gaps.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(gaps.count)
        #expect(abs(mean / shape - 1) < 0.05)
        #expect(abs(variance / shape - 1) < 0.1)
    }

    @Test func aRunHasTheRateThatWasAskedFor() {
        var random = SeededRandom(seed: 4)
        for burstiness in [0.1, 1, 10] {
            let times = ArrivalProcess(rate: 20, burstiness: burstiness).times(400, &random)
            #expect(times == times.sorted() && times[0] == 0)
            let last = times[399]
            #expect(last > 10 && last <= 20)
        }
        #expect(ArrivalProcess(rate: nil).times(3, &random) == [0, 0, 0])
    }

    // MARK: Datasets

    private func requests(_ dataset: ServeDataset, _ count: Int = 50, seed: UInt64 = 1) -> [ServeRequest] {
        var random = SeededRandom(seed: seed)
        return dataset.requests(count, vocabulary: 1000, &random)
    }

    private func tokens(_ request: ServeRequest) -> [TokenID] {
        if case .tokens(let tokens) = request.prompt { tokens } else { [] }
    }

    @Test func equalSeedsGiveEqualRequests() {
        let dataset = ServeDataset.random(input: 40, output: 10, range: 0.5, prefix: 8)
        #expect(requests(dataset) == requests(dataset))
        #expect(requests(dataset) != requests(dataset, seed: 2))
    }

    @Test func randomPromptsShareTheirBeginningAlone() {
        let all = requests(.random(input: 40, output: 10, range: 0.5, prefix: 8))
        #expect(Set(all.map { Array(tokens($0).prefix(8)) }).count == 1)
        #expect(Set(all.map { Array(tokens($0).dropFirst(8)) }).count == all.count)
        #expect(all.allSatisfy { (28...68).contains(tokens($0).count) && (5...15).contains($0.outputTokens) })
        #expect(all.allSatisfy { tokens($0).allSatisfy { (16..<1000).contains($0) } })
    }

    @Test func beginningsAreRepeated() {
        let all = requests(.prefixRepetition(prefix: 10, suffix: 5, count: 4, output: 3), 40)
        #expect(Set(all.map { Array(tokens($0).prefix(10)) }).count == 4)
        #expect(Set(all.map { tokens($0) }).count == 40)
    }

    @Test func publishedLengthsHaveTheirQuantiles() {
        for trace in PublishedTrace.allCases {
            let lengths = requests(.published(trace, scale: 1), 4000).map(\.outputTokens).sorted()
            for (share, expected) in [(0.25, trace.outputs.length(at: 0.25)), (0.5, trace.outputs.length(at: 0.5)), (0.9, trace.outputs.length(at: 0.9))] {
                let drawn = Double(lengths[Int(share * 4000)])
                #expect(abs(drawn / expected - 1) < 0.2, "\(trace) at \(share): \(drawn), \(expected)")
            }
        }
        #expect(PublishedTrace.azureCode.inputs.length(at: 0.5) == 1469)
        #expect(PublishedTrace.azureCode.inputs.length(at: 1) == 7437)
    }

    @Test func aTraceIsReplayed() throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("trace-\(UUID().uuidString).jsonl").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try """
            {"timestamp": 0, "input_length": 1024, "output_length": 10, "hash_ids": [7, 8]}
            {"timestamp": 1500, "input_length": 1030, "output_length": 20, "hash_ids": [7, 9, 10]}

            """.write(toFile: path, atomically: true, encoding: .utf8)
        let all = requests(.trace(lines: try DatasetFile.trace(path: path), scale: 2))
        #expect(all.map(\.time) == [0, 1.5])
        #expect(all.map(\.outputTokens) == [5, 10])
        #expect(all.map { tokens($0).count } == [512, 515])
        // Equal hash ids are equal blocks.
        #expect(tokens(all[0]).prefix(256) == tokens(all[1]).prefix(256))
        #expect(tokens(all[0])[256..<512] != tokens(all[1])[256..<512])
        for line in ["{", "[]", #"{"timestamp": 1}"#, #"{"timestamp": 1, "input_length": -1, "output_length": 1}"#] {
            try "\(line)\n".write(toFile: path, atomically: true, encoding: .utf8)
            #expect { try DatasetFile.trace(path: path) } throws: { "\($0)".contains("line 1") }
        }
    }

    // MARK: What the server sends

    @Test func eventsMayArriveInAnyPieces() {
        let text = """
            data: {"choices":[{"text":"a"}]}\n\ndata: {"choices":[{"delta":{"content":"é"}}]}\r\n\n: comment\nevent: x
            data: {"choices":[{"delta":{}}]}\n\ndata: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n
            data: [DONE]\n\n
            """
        let expected: [OpenAIStream.Item] = [.text("a"), .text("é"), .usage(input: 3, output: 2), .end]
        for size in [1, 2, 3, 7, 1000] {
            var stream = OpenAIStream()
            var items: [OpenAIStream.Item] = []
            let bytes = Array(text.utf8)
            for start in stride(from: 0, to: bytes.count, by: size) { items += stream.take(bytes[start..<min(start + size, bytes.count)]) }
            #expect(items == expected)
        }
        var failing = OpenAIStream()
        #expect(failing.take(Array("event: error\ndata: {\"error\":{\"message\":\"died\"}}\n".utf8)) == [.failure("died")])
    }

    @Test func aTokenWithoutTextCountsAndTheEndDoesNot() {
        var stream = OpenAIStream()
        let text = #"""
            data: {"choices":[{"text":"","finish_reason":null}]}
            data: {"choices":[{"delta":{"role":"assistant","content":""},"finish_reason":null}]}
            data: {"choices":[{"text":"","finish_reason":"length"}],"usage":{"prompt_tokens":4,"completion_tokens":1}}

            """#
        #expect(stream.take(Array(text.utf8)) == [.text(""), .usage(input: 4, output: 1)])
    }

    // MARK: The result

    private func measurement(_ first: Double, _ gaps: [Double], failure: String? = nil) -> ServeMeasurement {
        ServeMeasurement(
            sentAt: 0, inputTokens: 10, outputTokens: gaps.count + 1, timeToFirstToken: first, interTokenLatencies: gaps,
            latency: first + gaps.reduce(0, +), failure: failure)
    }

    @Test func theSummaryCounts() {
        let summary = ServeSummary(
            model: "m",
            measurements: [measurement(0.1, [0.01, 0.03]), measurement(0.3, [0.02, 0.02]), measurement(9, [], failure: "status 503")], duration: 2,
            maxConcurrent: 3, percentiles: [99], goal: ServeGoal(timeToFirstToken: 200))
        #expect(summary.completed == 2 && summary.failed == 1)
        #expect(summary.totalInputTokens == 20 && summary.totalOutputTokens == 6)
        #expect(summary.requestThroughput == 1 && summary.outputThroughput == 3 && summary.totalTokenThroughput == 13)
        #expect(summary.requestGoodput == 0.5)
        #expect(abs(summary.ttft.mean - 200) < 1e-9 && abs(summary.tpot.mean - 20) < 1e-9 && abs(summary.itl.median - 20) < 1e-9)
        let text = summary.text(metrics: ["ttft", "itl"], percentiles: [99])
        #expect(text.contains("Successful requests:                    2\n"))
        #expect(text.contains("P99 TTFT (ms):"))
        #expect(!text.contains("E2EL"))
        #expect(text.contains("1 × status 503"))
    }
}
