/// How much KV may be parked, and where: memory first, then files, then nowhere.
///
/// Only the sizes are kept here; the bytes are the shell's.
public struct ParkingLot: Sendable {
    public enum Tier: Int, Sendable, Hashable, CaseIterable {
        case memory
        case file
    }

    public struct Limits: Sendable, Hashable {
        /// Bytes.
        public var memory: Int
        public var file: Int

        public init(memory: Int = 0, file: Int = 0) {
            self.memory = memory
            self.file = file
        }

        public static let none = Limits()
    }

    public let limits: Limits
    /// Bytes taken.
    public private(set) var used = Limits.none

    public init(_ limits: Limits) {
        precondition(limits.memory >= 0 && limits.file >= 0, "\(limits)")
        self.limits = limits
    }

    /// The first tier that has `bytes`; `nil` if none has. While memory is short, a copy in memory helps nobody.
    func tier(for bytes: Int, sparingMemory: Bool = false) -> Tier? {
        if !sparingMemory, bytes <= limits.memory - used.memory { return .memory }
        return bytes <= limits.file - used.file ? .file : nil
    }

    /// Takes `bytes` in that tier.
    mutating func take(_ bytes: Int, sparingMemory: Bool = false) -> Tier? {
        let tier = tier(for: bytes, sparingMemory: sparingMemory)
        switch tier {
        case .memory: used.memory += bytes
        case .file: used.file += bytes
        case nil: break
        }
        return tier
    }

    mutating func giveBack(_ bytes: Int, _ tier: Tier) {
        switch tier {
        case .memory: used.memory -= bytes
        case .file: used.file -= bytes
        }
        checkInvariants()
    }

    func checkInvariants() {
        precondition(
            used.memory >= 0 && used.memory <= limits.memory && used.file >= 0 && used.file <= limits.file,
            "\(used) of \(limits) bytes parked")
    }
}
