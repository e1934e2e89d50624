/// Where the time of forward steps went.
public struct StepProfile: Sendable, Hashable {
    public enum Part: String, Sendable, Hashable, CaseIterable {
        /// Products of the layers.
        case gemm
        case attention
        /// Norms, rope, activation, storing K and V, the embedding.
        case elementwise
        /// The product with the vocabulary.
        case head
    }

    private var durations = [Duration](repeating: .zero, count: Part.allCases.count)
    public private(set) var stepCount = 0
    /// Bytes of K and V that attention did not read because rows shared them (``SharedAttention``).
    public private(set) var savedKVBytes = 0

    public init() {}

    public subscript(part: Part) -> Duration { durations[part.index] }

    public var total: Duration { durations.reduce(.zero, +) }

    mutating func add(_ duration: Duration, to part: Part) { durations[part.index] += duration }
    mutating func countStep() { stepCount += 1 }
    mutating func countSaved(byteCount: Int) { savedKVBytes += byteCount }
}

extension StepProfile.Part {
    fileprivate var index: Int {
        switch self {
        case .gemm: 0
        case .attention: 1
        case .elementwise: 2
        case .head: 3
        }
    }
}

/// Stops the time between the parts of a step: some tens of nanoseconds a mark, a few hundred marks a step.
final class StepClock {
    private(set) var profile = StepProfile()
    private var last = ContinuousClock.now

    func begin() {
        last = .now
        profile.countStep()
    }

    /// What ran since the last mark was `part`.
    func mark(_ part: StepProfile.Part) {
        let now = ContinuousClock.now
        profile.add(now - last, to: part)
        last = now
    }

    func countSaved(byteCount: Int) { profile.countSaved(byteCount: byteCount) }

    func reset() { profile = StepProfile() }
}
