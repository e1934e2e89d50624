import ArgumentParser
import ClusterCore

/// How many rows the batch of a decode or mixed worker may have.
public struct ScalingOptions: ParsableArguments {
    @Option(help: "Rows of the batch: threshold (by the watermarks and --target-tpot), smdp (also what costs least by the measured pace), or off (always --max-num-seqs). Default: threshold; off with the schedulings static, orca and orca-padded, which know none.")
    public var batchScaling: BatchScale.Policy?

    @Option(help: ArgumentHelp("Milliseconds for each token after the first: no more rows while an iteration takes longer (default: none).", valueName: "ms"))
    public var targetTpot: Double?

    @Option(help: "Percent of the KV blocks, held by the batch, from which on nobody is admitted.")
    public var kvHighWatermark = 90

    @Option(help: "Percent of the KV blocks below which the batch grows again.")
    public var kvLowWatermark = 75

    @Option(help: "Percent of the container's or the machine's memory in use from which on the KV pool takes no more and shrinks.")
    public var memoryHighWatermark = 92

    @Option(help: "Percent of that memory below which it grows again.")
    public var memoryLowWatermark = 85

    public init() {}

    public func validate() throws {
        for (name, low, high) in [
            ("kv", kvLowWatermark, kvHighWatermark), ("memory", memoryLowWatermark, memoryHighWatermark),
        ] {
            guard low >= 1, low < high, high <= 100 else {
                throw ValidationError(
                    "--\(name)-low-watermark \(low) must be below --\(name)-high-watermark \(high), both 1 to 100")
            }
        }
        if let targetTpot, !(0.001...3_600_000).contains(targetTpot) {
            throw ValidationError("--target-tpot must be 0.001 to 3600000 milliseconds, not \(targetTpot)")
        }
    }

    func configuration(for scheduling: Scheduling?) -> BatchScale.Configuration {
        BatchScale.Configuration(
            policy: batchScaling ?? Self.policy(of: scheduling), blocks: BatchScale.Watermarks(low: kvLowWatermark, high: kvHighWatermark),
            memory: BatchScale.Watermarks(low: memoryLowWatermark, high: memoryHighWatermark),
            target: targetTpot.map { .microseconds($0 * 1000) })
    }
}

extension ScalingOptions {
    /// The arms that others are measured against stay as they are described.
    private static func policy(of scheduling: Scheduling?) -> BatchScale.Policy {
        switch scheduling {
        case .static, .orca, .orcaPadded: .off
        case .mixed, .baton, .batonDense, nil: .threshold
        }
    }
}

extension BatchScale.Policy: ExpressibleByArgument {}
