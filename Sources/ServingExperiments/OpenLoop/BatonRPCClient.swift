import BatonClient
import ClusterCore
import Generation

/// Asks a coordinator over RPC and takes the time. All requests go over one connection.
public struct BatonRPCClient: ServeClient {
    private let client: BatonClient
    private let ignoresEnd: Bool
    private let temperature: Double

    /// - Parameter endpoint: e.g. `tcp://127.0.0.1:5550`.
    /// - Throws: `ClientError` if nobody answers there.
    public init(endpoint: String, ignoresEnd: Bool, temperature: Double) async throws {
        client = try await BatonClient.connect(to: endpoint, name: "baton bench serve")
        self.ignoresEnd = ignoresEnd
        self.temperature = temperature
    }

    /// As the coordinator calls its model.
    public var model: String { get async { await client.serverHello?.modelName ?? "" } }

    public func close() async { await client.close() }

    func submission(_ request: ServeRequest) -> Submission {
        let prompt: Prompt =
            switch request.prompt {
            case .text(let text): .text(text)
            case .tokens(let tokens): .tokens(tokens)
            }
        return Submission(
            prompt: prompt, sampling: SamplingParameters(temperature: Float(temperature)), maxTokens: Int32(clamping: request.outputTokens),
            ignoreEndTokens: ignoresEnd)
    }

    public func measure(_ request: ServeRequest, from start: ContinuousClock.Instant) async -> ServeMeasurement {
        let sent = ContinuousClock.now
        var measurement = ServeMeasurement(
            sentAt: (sent - start) / .seconds(1), inputTokens: request.inputTokens ?? 0, outputTokens: 0, timeToFirstToken: 0,
            interTokenLatencies: [], latency: 0)
        var last: ContinuousClock.Instant?
        do {
            for try await event in client.generate(submission(request)) {
                switch event {
                case .accepted(let acceptance): measurement.inputTokens = Int(acceptance.promptCount)
                case .tokens(_, _, let tokens, _):
                    let now = ContinuousClock.now
                    measurement.outputTokens += tokens.count
                    if let last {
                        measurement.interTokenLatencies.append((now - last) / .seconds(1))
                    } else {
                        measurement.timeToFirstToken = (now - sent) / .seconds(1)
                    }
                    last = now
                    measurement.latency = (now - sent) / .seconds(1)
                case .prompt, .finished: break
                }
            }
        } catch let failure as RequestFailure {
            measurement.failure = "\(failure.code.rawValue): \(failure.message)"
        } catch {
            measurement.failure = "\(error)"
        }
        return measurement
    }
}
