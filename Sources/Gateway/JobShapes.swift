import Jobs

extension StoredFile {
    /// OpenAI's File object.
    var json: JSONText {
        [
            "id": .string(id), "object": "file", "bytes": .integer(Int(byteCount)), "created_at": .integer(Int(created)),
            "filename": .string(name), "purpose": .string(purpose), "status": "processed", "status_details": .null,
        ]
    }
}

extension Batch {
    /// OpenAI's Batch object.
    var json: JSONText {
        func time(_ seconds: Int64?) -> JSONText { seconds.map { .integer(Int($0)) } ?? .null }
        let pairs = metadata.sorted { $0.key < $1.key }.map { JSONText.Member(name: $0.key, value: .string($0.value)) }
        return [
            "id": .string(id), "object": "batch", "endpoint": .string(endpoint.rawValue), "model": .string(model),
            "errors": problems.isEmpty ? .null : ["object": "list", "data": .array(problems.map(\.json))],
            "input_file_id": .string(inputFile), "completion_window": .string(window.text), "status": .string(status.rawValue),
            "output_file_id": JSONText(outputFile), "error_file_id": JSONText(errorFile), "created_at": time(times.created),
            "in_progress_at": time(times.inProgress), "expires_at": time(times.expires), "finalizing_at": time(times.finalizing),
            "completed_at": time(times.completed), "failed_at": time(times.failed), "expired_at": time(times.expired),
            "cancelling_at": time(times.cancelling), "cancelled_at": time(times.cancelled),
            "request_counts": [
                "total": .integer(Int(counts.total)), "completed": .integer(Int(counts.completed)), "failed": .integer(Int(counts.failed)),
            ],
            "usage": usage.json, "metadata": pairs.isEmpty ? .null : .object(pairs),
        ]
    }
}

extension Batch.Problem {
    var json: JSONText {
        [
            "code": .string(code), "message": .string(message), "param": JSONText(param),
            "line": line.map { .integer($0) } ?? .null,
        ]
    }
}

extension Batch.Usage {
    /// In the names of OpenAI's Batch object.
    var json: JSONText {
        [
            "input_tokens": .integer(Int(promptTokens)), "input_tokens_details": ["cached_tokens": .integer(Int(cachedTokens))],
            "output_tokens": .integer(Int(completionTokens)), "output_tokens_details": ["reasoning_tokens": 0],
            "total_tokens": .integer(Int(promptTokens + completionTokens)),
        ]
    }
}

/// What is measured of jobs.
struct JobMeasurements: Sendable, Hashable {
    var tally: JobTally
    /// Lines that are being answered.
    var runningLines: Int
}

extension PrometheusText {
    mutating func write(_ jobs: JobMeasurements) {
        let tally = jobs.tally
        family("job_batches", "gauge", "Batch jobs in the store, by state.")
        for status in Batch.Status.allCases { sample("job_batches", [("state", status.rawValue)], Double(tally.batches[status] ?? 0)) }
        family("job_lines", "gauge", "Lines of the batch jobs in the store, by state.")
        let running = Int64(jobs.runningLines)
        for (state, count) in [
            ("waiting", max(0, tally.waitingLines - running)), ("running", running), ("answered", tally.answeredLines),
            ("failed", tally.failedLines),
        ] { sample("job_lines", [("state", state)], Double(count)) }
        counter("job_prompt_tokens_total", "Prompt tokens of answered lines.", UInt64(clamping: tally.promptTokens))
        counter("job_cached_tokens_total", "Those of them whose KV did not have to be computed.", UInt64(clamping: tally.cachedTokens))
    }
}
