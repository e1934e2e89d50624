import ClusterCore
import Generation

/// Metrics in Prometheus' text format, under vLLM's names where it has one.
struct PrometheusText {
    static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    private(set) var text = ""
    private let model: String

    /// - Parameters:
    ///   - deliveries: how long tokens took through this process.
    ///   - replies: answers over HTTP by status.
    init(
        metrics: ServingMetrics, status: ClusterStatus, deliveries: Histogram = .delivery,
        replies: [(status: Int, count: UInt64)] = [], jobs: JobMeasurements? = nil, model: String
    ) {
        self.model = model
        write(status)
        write(status.workers)
        write(metrics)
        histogram(
            "token_delivery_seconds", "From the arrival of a streamed token at the coordinator until it was in the client's socket.", deliveries)
        family("http_responses_total", "counter", "Requests over HTTP by the status of the answer; a stream counts when it begins.")
        for reply in replies { sample("http_responses_total", [("code", String(reply.status))], Double(reply.count)) }
        if let jobs { write(jobs) }
    }

    // MARK: Families

    private mutating func write(_ status: ClusterStatus) {
        gauge("num_requests_running", "Requests that any worker holds.", Double(status.running))
        gauge("num_requests_waiting", "Requests without a worker.", Double(status.waiting))
        family("workers", "gauge", "Workers by role and state.")
        for role in WorkerRole.allCases {
            for state in WorkerStatus.State.allCases {
                let count = status.workers.count { $0.role == role && $0.state == state }
                sample("workers", [("role", role.rawValue), ("state", state.rawValue)], Double(count))
            }
        }
    }

    private mutating func write(_ all: [WorkerStatus]) {
        let workers = all.filter { $0.state != .lost }
        let decoding = workers.filter(\.role.decodes)
        let used = decoding.reduce(0) { $0 + $1.load.referencedBlocks }
        let blocks = decoding.reduce(0) { $0 + $1.blockCount }
        gauge(
            "kv_cache_usage_perc", "KV blocks in use, of those of all workers that decode; 1 is all.",
            blocks > 0 ? Double(used) / Double(blocks) : 0)
        perWorker("kv_cache_usage_by_worker", "gauge", "KV blocks in use, of the worker's; 1 is all.", workers) {
            $0.blockCount > 0 ? Double($0.load.referencedBlocks) / Double($0.blockCount) : 0
        }
        perWorker("batch_rows", "gauge", "Rows of the running batch, or prompts being computed.", workers) { Double($0.load.rows) }
        perWorker("parked_requests", "gauge", "Requests whose KV is put aside.", workers) { Double($0.load.parking.queries) }
        perWorker("row_yields_total", "counter", "Iterations that rows of the lowest priority sat out for the sake of others, summed over rows.", decoding) {
            Double($0.load.work.batch.yields)
        }
        perWorker("embeds_total", "counter", "Queries that entered a running batch.", decoding) { Double($0.load.work.batch.embeds) }
        perWorker("kv_transfer_bytes_total", "counter", "KV received from other workers.", decoding) { Double($0.load.transfers.bytes) }
        family("kv_transfer_seconds", "histogram", "From the opening of a KV transfer until all of it was there.")
        for worker in decoding { samples("kv_transfer_seconds", labels(of: worker), Histogram(worker.load.transfers)) }
        perWorker("steps_total", "counter", "Forward passes.", workers) { Double($0.load.work.steps) }
        writeTokens(of: workers)
        writeCosts(of: decoding)
        perWorker("idle_computation_ratio", "gauge", "Token rows computed for nothing, of all.", workers) {
            $0.load.work.idleRatio ?? 0
        }
        writePrefixCaches(of: workers)
    }

    private mutating func writeTokens(of workers: [WorkerStatus]) {
        family(
            "step_tokens_total", "counter",
            "Token rows computed, by what for: prompts, rows of the batch, nothing; over steps_total it is the tokens of a step.")
        for worker in workers {
            let work = worker.load.work
            for (kind, count) in [("prefill", work.prefillTokens), ("decode", work.decodeTokens), ("idle", work.idle.total)] {
                sample("step_tokens_total", labels(of: worker) + [("kind", kind)], Double(count))
            }
        }
    }

    /// What it costs that queries enter a batch, leave it, are put aside and come back; each time beside how often.
    private mutating func writeCosts(of workers: [WorkerStatus]) {
        let costs: [(String, String, (WorkerLoad) -> (Duration, UInt64))] = [
            ("insert", "Boundaries between steps at which queries entered a batch or its layout changed", { ($0.work.batch.shapingTime, $0.work.batch.shapings) }),
            ("remove", "Ends of steps at which rows left a batch", { ($0.work.batch.removalTime, $0.work.batch.removalEnds) }),
            ("park", "Copying the KV of queries that gave way", { ($0.parking.parkTime, $0.parking.parks) }),
            ("resume", "Copying such KV back", { ($0.parking.resumeTime, $0.parking.resumes) }),
        ]
        for (name, help, cost) in costs {
            perWorker("\(name)_seconds_total", "counter", "\(help): time.", workers) { cost($0.load).0 / .seconds(1) }
            perWorker("\(name)s_total", "counter", "\(help): how often.", workers) { Double(cost($0.load).1) }
        }
    }

    /// Those of tokens by workers that compute prompts, those of blocks by workers to which KV is sent.
    private mutating func writePrefixCaches(of workers: [WorkerStatus]) {
        let computing = workers.filter(\.role.computesPrompts), receiving = workers.filter { $0.role == .decode }
        perWorker("prefix_cache_queries_total", "counter", "Tokens of prompts that were looked for in the prefix cache.", computing) {
            Double($0.load.prefixCache.queriedTokens)
        }
        perWorker("prefix_cache_hits_total", "counter", "Tokens of them that were there: saved, as they did not have to be computed.", computing) {
            Double($0.load.prefixCache.hitTokens)
        }
        family(
            "prefix_cache_level_hits_total", "counter",
            """
            Those hits by level in the tree of known prompts: 1 from the first token to where prompts first differ, 2 from there to where \
            those of one branch differ, 3 all that is deeper.
            """)
        for worker in computing {
            for (level, tokens) in worker.load.prefixCache.hitLevels.enumerated() {
                sample("prefix_cache_level_hits_total", labels(of: worker) + [("level", String(level + 1))], Double(tokens))
            }
        }
        perWorker("kv_transfer_blocks_total", "counter", "Blocks of KV that were to be received.", receiving) {
            Double($0.load.prefixCache.transferBlocks)
        }
        perWorker("kv_transfer_held_blocks_total", "counter", "Blocks of them that were there and did not have to be sent.", receiving) {
            Double($0.load.prefixCache.heldBlocks)
        }
        perWorker("prefix_cache_blocks", "gauge", "Blocks that hold a prefix and can make room.", workers) {
            Double($0.load.prefixCache.cachedBlocks)
        }
        perWorker("prefix_cache_pinned_blocks", "gauge", "Blocks that stay for groups of requests.", workers) {
            Double($0.load.prefixCache.pinnedBlocks)
        }
        perWorker("prefix_cache_evictions_total", "counter", "Blocks of prefixes that made room.", workers) {
            Double($0.load.prefixCache.evictions)
        }
        perWorker("prefix_cache_premature_evictions_total", "counter", "Blocks of groups that had to go before their end.", workers) {
            Double($0.load.prefixCache.prematureEvictions)
        }
    }

    private mutating func write(_ metrics: ServingMetrics) {
        counter("prompt_tokens_total", "Tokens of accepted prompts.", metrics.promptTokens)
        counter("generation_tokens_total", "Tokens delivered.", metrics.generationTokens)
        counter("num_preemptions_total", "Rows that gave way to others, and attempts that began again.", metrics.parks &+ metrics.retries)
        family("request_success_total", "counter", "Requests answered, by why they ended.")
        for reason in FinishReason.allCases {
            sample("request_success_total", [("finished_reason", reason.rawValue)], Double(metrics.finished[reason] ?? 0))
        }
        family("request_failure_total", "counter", "Requests accepted and not answered, by why.")
        for code in RequestFailure.Code.allCases {
            sample("request_failure_total", [("code", code.rawValue)], Double(metrics.failed[code] ?? 0))
        }
        family("request_refused_total", "counter", "Requests refused before any work, by why.")
        for code in RequestFailure.Code.allCases {
            sample("request_refused_total", [("code", code.rawValue)], Double(metrics.refused[code] ?? 0))
        }
        histogram("prefix_group_members", "Members of groups of requests that share a prefix, when they ended.", Histogram(metrics.groups))
        histogram("time_to_first_token_seconds", "From submission to the first token.", metrics.timeToFirstToken)
        histogram("inter_token_latency_seconds", "Between two tokens of an answer.", metrics.interTokenLatency)
        histogram("e2e_request_latency_seconds", "From submission to the last token.", metrics.requestLatency)
        histogram("request_queue_time_seconds", "From submission to the start of the prefill.", metrics.queueTime)
        histogram("request_prefill_time_seconds", "From the start of the prefill to the first token.", metrics.prefillTime)
        histogram("request_transfer_time_seconds", "From the first token until the KV was whole where it is decoded.", metrics.transferTime)
        histogram("request_decode_time_seconds", "From the first token to the last.", metrics.decodeTime)
    }

    // MARK: Lines

    mutating func family(_ name: String, _ type: String, _ help: String) {
        text += "# HELP baton:\(name) \(help)\n# TYPE baton:\(name) \(type)\n"
    }

    mutating func sample(_ name: String, _ labels: [(String, String)], _ value: Double) {
        let all = [("model_name", model)] + labels
        text += "baton:\(name){\(all.map { "\($0)=\"\(Self.escape($1))\"" }.joined(separator: ","))} \(Self.shown(value))\n"
    }

    private mutating func gauge(_ name: String, _ help: String, _ value: Double) {
        family(name, "gauge", help)
        sample(name, [], value)
    }

    mutating func counter(_ name: String, _ help: String, _ value: UInt64) {
        family(name, "counter", help)
        sample(name, [], Double(value))
    }

    private mutating func perWorker(
        _ name: String, _ type: String, _ help: String, _ workers: [WorkerStatus], _ value: (WorkerStatus) -> Double
    ) {
        family(name, type, help)
        for worker in workers {
            sample(name, labels(of: worker), value(worker))
        }
    }

    private func labels(of worker: WorkerStatus) -> [(String, String)] {
        [("worker", worker.worker.name), ("role", worker.role.rawValue)]
    }

    private mutating func histogram(_ name: String, _ help: String, _ histogram: Histogram) {
        family(name, "histogram", help)
        samples(name, [], histogram)
    }

    private mutating func samples(_ name: String, _ labels: [(String, String)], _ histogram: Histogram) {
        var count: UInt64 = 0
        for (index, bound) in histogram.bounds.enumerated() {
            count &+= histogram.counts[index]
            sample(name + "_bucket", labels + [("le", Self.shown(bound))], Double(count))
        }
        sample(name + "_bucket", labels + [("le", "+Inf")], Double(histogram.count))
        sample(name + "_sum", labels, histogram.sum)
        sample(name + "_count", labels, Double(histogram.count))
    }

    /// Whole numbers without a fraction.
    private static func shown(_ value: Double) -> String {
        Int(exactly: value).map(String.init) ?? "\(value)"
    }

    private static func escape(_ label: String) -> String {
        label.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }
}
