import AsyncHTTPClient
import NIOCore

/// A server's `/metrics` at one moment.
struct MetricsPage: Sendable {
    /// By name with labels, without the model's name.
    private let samples: [String: Double]

    static func fetch(_ url: String) async throws -> MetricsPage {
        let response = try await HTTPClient.shared.execute(HTTPClientRequest(url: url + "/metrics"), timeout: .seconds(30))
        return MetricsPage(String(buffer: try await response.body.collect(upTo: 4 << 20)))
    }

    init(_ text: String) {
        var samples: [String: Double] = [:]
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            guard let space = line.lastIndex(of: " "), let value = Double(line[line.index(after: space)...]) else { continue }
            let name = line[..<space].replacing(/model_name="[^"]*",?/, with: "").replacing("{}", with: "")
            samples[String(name)] = value
        }
        self.samples = samples
    }

    subscript(name: String) -> Double { samples["baton:" + name] ?? 0 }

    /// Quantiles of what a histogram has counted between two moments.
    struct Distribution {
        /// Upper bounds in seconds, ascending, and how many lie at or below each.
        var buckets: [(bound: Double, count: Double)]

        var count: Double { buckets.last?.count ?? 0 }

        /// Within a bucket everything counts as spread evenly, as Prometheus has it; `nil` without observations. What lies beyond the
        /// last bound counts as that.
        func quantile(_ share: Double) -> Double? {
            let wanted = share * count
            guard count > 0, let index = buckets.firstIndex(where: { $0.count >= wanted }) else { return nil }
            let (low, before) = index > 0 ? (buckets[index - 1].bound, buckets[index - 1].count) : (0, 0)
            let (high, until) = buckets[index]
            guard high.isFinite else { return low }
            return until > before ? low + (high - low) * (wanted - before) / (until - before) : high
        }
    }

    func distribution(of name: String, since earlier: MetricsPage) -> Distribution {
        let prefix = "baton:\(name)_bucket{le=\""
        let buckets = samples.compactMap { key, value -> (bound: Double, count: Double)? in
            guard key.hasPrefix(prefix), key.hasSuffix("\"}") else { return nil }
            let text = key.dropFirst(prefix.count).dropLast(2)
            guard let bound = text == "+Inf" ? Double.infinity : Double(text) else { return nil }
            return (bound, value - (earlier.samples[key] ?? 0))
        }
        return Distribution(buckets: buckets.sorted { $0.bound < $1.bound })
    }
}
