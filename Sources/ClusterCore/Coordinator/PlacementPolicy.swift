/// How workers are chosen among those that have room.
public enum PlacementPolicy: String, Sendable, Hashable, CaseIterable {
    /// Where the prompt's prefix is, unless that costs more than it saves.
    case prefix
    /// Whoever has the least to do.
    case leastLoaded = "least-loaded"
    /// One after the other.
    case roundRobin = "round-robin"
}
