/// Many seeds, and the question whether each planted bug is found.
public enum Campaign {
    /// The first seed that shows the bug, of at most `limit`; `nil` if none does.
    public static func find(_ plant: PlantedBug, from first: UInt64 = 1, limit: Int, checkInterval: Int = 64) -> Find? {
        for offset in 0..<UInt64(limit) {
            let simulation = Simulation(seed: first &+ offset, plant: plant, checkInterval: checkInterval)
            _ = simulation.run()
            if let violation = simulation.violation {
                return Find(seed: first &+ offset, seedCount: Int(offset) + 1, violation: violation)
            }
        }
        return nil
    }

    public struct Find: Sendable {
        public var seed: UInt64
        public var seedCount: Int
        public var violation: Violation
    }
}
