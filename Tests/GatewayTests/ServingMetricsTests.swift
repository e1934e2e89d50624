import ClusterCore
import Generation
import Testing

@testable import Gateway

@Suite struct ServingMetricsTests {
    private func served() -> ServingMetrics {
        var metrics = ServingMetrics()
        let worker = WorkerID("w")
        func take(_ milliseconds: Int, _ request: UInt64, _ kind: ClusterEvent.Kind) {
            metrics.take(ClusterEvent(time: .milliseconds(milliseconds), request: RequestID(request), kind: kind))
        }
        take(0, 1, .submitted(promptCount: 5, .normal))
        take(10, 1, .prefillStarted(worker))
        take(40, 1, .firstToken(worker))
        take(40, 1, .token(index: 0))
        take(45, 1, .kvWhole(worker))
        take(60, 1, .token(index: 1))
        take(60, 1, .finished(.length))
        take(100, 2, .submitted(promptCount: 7, .normal))
        take(150, 2, .failed(.cancelled))
        // Of a request that is not open any more.
        take(160, 2, .token(index: 0))
        metrics.takeRefusal(.overloaded)
        return metrics
    }

    @Test func phasesAreCountedApart() {
        let metrics = served()
        #expect(metrics.promptTokens == 12)
        #expect(metrics.generationTokens == 2)
        #expect(metrics.finished == [.length: 1])
        #expect(metrics.failed == [.cancelled: 1])
        #expect(metrics.refused == [.overloaded: 1])
        func isNear(_ histogram: Histogram, _ sum: Double) -> Bool { histogram.count == 1 && abs(histogram.sum - sum) < 1e-9 }
        #expect(isNear(metrics.queueTime, 0.010))
        #expect(isNear(metrics.prefillTime, 0.030))
        #expect(isNear(metrics.timeToFirstToken, 0.040))
        #expect(isNear(metrics.transferTime, 0.005))
        #expect(isNear(metrics.interTokenLatency, 0.020))
        #expect(isNear(metrics.decodeTime, 0.020))
        #expect(isNear(metrics.requestLatency, 0.060))
    }

    @Test func theTextIsPrometheus() throws {
        let text = PrometheusText(metrics: served(), status: FakeBackend.readyStatus, model: "a\"b\\c").text
        var families: Set<Substring> = []
        for line in text.split(separator: "\n") {
            if line.hasPrefix("# TYPE ") {
                let name = line.split(separator: " ")[2]
                #expect(families.insert(name).inserted, "\(name) twice")
                continue
            }
            if line.hasPrefix("#") { continue }
            let match = try #require(line.wholeMatch(of: /(baton:[a-z0-9_]+)\{(.*)\} (\S+)/), "\(line)")
            #expect(Double(match.3) != nil, "\(line)")
            let base = match.1.replacing(/_(bucket|sum|count)$/, with: "")
            #expect(families.contains(match.1) || families.contains(Substring(base)), "\(line) has no type")
            #expect(match.2.hasPrefix(#"model_name="a\"b\\c""#), "\(line)")
        }
        #expect(text.contains(#"finished_reason="length"} 1"#))
        #expect(text.contains(#"baton:workers{model_name="a\"b\\c",role="mixed",state="ready"} 1"#))
        #expect(text.contains(#"baton:time_to_first_token_seconds_bucket{model_name="a\"b\\c",le="+Inf"} 1"#))
        for name in ["num_requests_running", "num_requests_waiting", "kv_cache_usage_perc", "num_preemptions_total", "idle_computation_ratio"] {
            #expect(families.contains("baton:\(name)"))
        }
    }

    @Test func bucketsAreCumulative() {
        var histogram = Histogram(bounds: [1, 2])
        for seconds in [0.5, 1, 1.5, 9] { histogram.observe(.seconds(seconds)) }
        #expect(histogram.counts == [2, 1, 1])
        #expect(histogram.sum == 12)
    }
}
