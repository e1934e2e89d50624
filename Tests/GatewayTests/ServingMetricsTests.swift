import Generation
import Testing

@testable import ClusterCore
@testable import Gateway

@Suite struct ServingMetricsTests {
    private func instant(_ milliseconds: Int64) -> Instant { Instant(nanoseconds: milliseconds * 1_000_000) }

    private func accept(_ metrics: inout ServingMetrics, _ id: UInt64, at time: Int64, choices: Int32 = 1) {
        metrics.noteAcceptance(
            Acceptance(request: RequestID(id), seed: 0, promptCount: 5, choices: choices), at: instant(time))
    }

    private func end(_ metrics: inout ServingMetrics, _ id: UInt64, _ reason: FinishReason, at time: Int64) {
        let timings = Timings(queue: .milliseconds(10), prefill: .milliseconds(30), transfer: .milliseconds(5))
        let summary = RequestSummary(
            reason: reason, tokenCount: 2, timings: timings, prefillWorker: WorkerID("p"), decodeWorker: nil, attempts: 1)
        metrics.noteEnd(of: RequestID(id), summary, at: instant(time))
    }

    private func served() -> ServingMetrics {
        var metrics = ServingMetrics()
        accept(&metrics, 1, at: 0)
        metrics.noteTokens(1, of: RequestID(1), choice: 0, at: instant(40))
        metrics.noteTokens(1, of: RequestID(1), choice: 0, at: instant(60))
        end(&metrics, 1, .length, at: 60)
        accept(&metrics, 2, at: 100)
        metrics.noteFailure(.cancelled, of: RequestID(2))
        metrics.noteRefusal(.overloaded)
        metrics.note(.parked(WorkerID("d")))
        return metrics
    }

    @Test func phasesAreCountedApart() {
        let metrics = served()
        #expect(metrics.promptTokens == 10)
        #expect(metrics.generationTokens == 2)
        #expect(metrics.finished == [.length: 1])
        #expect(metrics.failed == [.cancelled: 1])
        #expect(metrics.refused == [.overloaded: 1])
        #expect(metrics.parks == 1)
        func isNear(_ histogram: Histogram, _ sum: Double) -> Bool { histogram.count == 1 && abs(histogram.sum - sum) < 1e-9 }
        #expect(isNear(metrics.queueTime, 0.010))
        #expect(isNear(metrics.prefillTime, 0.030))
        #expect(isNear(metrics.timeToFirstToken, 0.040))
        #expect(isNear(metrics.transferTime, 0.005))
        #expect(isNear(metrics.interTokenLatency, 0.020))
        #expect(isNear(metrics.decodeTime, 0.020))
        #expect(isNear(metrics.requestLatency, 0.060))
    }

    @Test func choicesAreOneRequest() {
        var metrics = ServingMetrics()
        accept(&metrics, 1, at: 0, choices: 2)
        for (choice, time) in [(0, 10), (1, 12), (0, 20), (1, 26)] as [(Int32, Int64)] {
            metrics.noteTokens(1, of: RequestID(1), choice: choice, at: instant(time))
        }
        end(&metrics, 1, .stop, at: 20)
        #expect(metrics.finished.isEmpty)
        end(&metrics, 1, .length, at: 26)
        #expect(metrics.finished == [.length: 1])
        #expect(metrics.timeToFirstToken.count == 1)
        #expect(metrics.interTokenLatency.count == 2)
        #expect(abs(metrics.interTokenLatency.sum - 0.024) < 1e-9)
        #expect(metrics.requestLatency.count == 1)
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

    @Test func whatWorkersCountIsThere() {
        var status = FakeBackend.readyStatus
        status.workers[0].load = WorkerLoad(
            parking: ParkingLoad(parks: 3, resumes: 2, parkTime: .milliseconds(1500), resumeTime: .milliseconds(250)),
            work: WorkCounters(
                steps: 4, prefillTokens: 100, decodeTokens: 20, idle: IdleCounters(padding: 8),
                batch: BatchCounters(shapingTime: .milliseconds(500), shapings: 5, removalTime: .milliseconds(750), removalEnds: 6)),
            prefixCache: PrefixCacheCounters(queriedTokens: 90, hitTokens: 60, hitLevels: [30, 20, 10]))
        let text = PrometheusText(metrics: served(), status: status, model: "m").text
        let worker = #"model_name="m",worker="m0",role="mixed""#
        for line in [
            #"step_tokens_total{\#(worker),kind="prefill"} 100"#, #"step_tokens_total{\#(worker),kind="decode"} 20"#,
            #"step_tokens_total{\#(worker),kind="idle"} 8"#, "steps_total{\(worker)} 4",
            #"prefix_cache_level_hits_total{\#(worker),level="1"} 30"#, #"prefix_cache_level_hits_total{\#(worker),level="3"} 10"#,
            "insert_seconds_total{\(worker)} 0.5", "inserts_total{\(worker)} 5", "remove_seconds_total{\(worker)} 0.75",
            "removes_total{\(worker)} 6", "park_seconds_total{\(worker)} 1.5", "parks_total{\(worker)} 3",
            "resume_seconds_total{\(worker)} 0.25", "resumes_total{\(worker)} 2",
        ] {
            #expect(text.contains("baton:\(line)\n"), "\(line)")
        }
    }

    @Test func bucketsAreCumulative() {
        var histogram = Histogram(bounds: [1, 2])
        for seconds in [0.5, 1, 1.5, 9] { histogram.observe(.seconds(seconds)) }
        #expect(histogram.counts == [2, 1, 1])
        #expect(histogram.sum == 12)
    }
}
