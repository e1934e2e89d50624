import ClusterCore
import ClusterSimulation
import Testing

/// A decode worker whose pool is far too small for all of its rows.
@Suite struct ScalingExperimentTests {
    private func outcome(
        _ policy: BatchScale.Policy, rate: Double = 2, target: Duration? = nil
    ) -> ScalingExperiment.Outcome {
        var workload = ScalingExperiment.Workload(name: "crowded", arrivalRate: rate)
        workload.queryCount = 400
        return ScalingExperiment(workload, scaling: BatchScale.Configuration(policy: policy, target: target)).run()
    }

    @Test func rowsAreParkedBeforeThePoolRunsDry() {
        let (off, threshold) = (outcome(.off), outcome(.threshold))
        #expect(off.finished == 400 && off.heldBack > 10, "\(off.heldBack): the pool was not overfilled")
        #expect(threshold.finished == 400 && threshold.parks > 0)
        #expect(threshold.heldBack * 10_000 < threshold.rowIterations, "\(threshold.heldBack) of \(threshold.rowIterations)")
        #expect(threshold.replays == 0 && threshold.tokens == off.tokens)
    }

    @Test func theTargetBoundsTheIterationAtThePriceOfWaiting() {
        let (free, bound) = (outcome(.threshold), outcome(.threshold, target: .milliseconds(35)))
        #expect(bound.meanTokenTime < .milliseconds(36) && free.meanTokenTime > .milliseconds(38))
        #expect(bound.meanLatency > free.meanLatency && bound.tokens == free.tokens)
    }

    @Test func aLightLoadIsServedAlikeByAll() {
        let latencies = BatchScale.Policy.allCases.map { outcome($0, rate: 0.2).meanLatency }
        #expect(latencies.allSatisfy { $0 == latencies[0] }, "\(latencies)")
    }

    @Test func aRunRepeats() {
        let (a, b) = (outcome(.smdp), outcome(.smdp))
        #expect(a.latencies == b.latencies && a.iterations == b.iterations)
    }
}
