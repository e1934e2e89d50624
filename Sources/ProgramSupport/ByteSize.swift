import ArgumentParser

/// A number of bytes as people write it: `512MiB`, `2GiB`, `1.5GB`, `4096`.
public struct ByteSize: Sendable, Hashable, ExpressibleByArgument, CustomStringConvertible {
    public let bytes: Int

    public init(bytes: Int) { self.bytes = bytes }

    public init?(argument: String) {
        let number = argument.prefix { $0.isNumber || $0 == "." }
        let unit = argument.dropFirst(number.count).drop { $0 == " " }.lowercased()
        guard let scale = Self.units[unit], let value = Double(number), value.isFinite, value >= 0,
            let bytes = Int(exactly: (value * Double(scale)).rounded(.towardZero))
        else { return nil }
        self.bytes = bytes
    }

    private static let units: [String: Int] = [
        "": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40,
        "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
        "kb": 1_000, "mb": 1_000_000, "gb": 1_000_000_000, "tb": 1_000_000_000_000,
    ]

    public var description: String {
        for (unit, scale) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] where bytes >= scale {
            let tenths = (bytes * 10 + scale / 2) / scale
            return tenths % 10 == 0 ? "\(tenths / 10) \(unit)" : "\(tenths / 10).\(tenths % 10) \(unit)"
        }
        return "\(bytes) B"
    }

    public var defaultValueDescription: String { description.replacing(" ", with: "") }
}
