/// Whether rows that have leading blocks in common attend to them together. It changes speed, and no bit.
public enum SharedAttention: String, Sendable, Hashable, CaseIterable {
    /// Where it is faster, as measured.
    case auto
    /// Wherever two rows have a whole partition in common.
    case on
    /// Each sequence alone.
    case off

    /// Partitions that two sequences have in common at least, to be worth one tile; `nil`: never.
    var leastPartitions: Int? {
        switch self {
        case .auto, .on: 1
        case .off: nil
        }
    }
}
