import Foundation

/// The time of day, which answers tell and nothing depends on.
enum WallClock {
    /// Since 1970.
    static var seconds: Int { Int(clamping: Int64(Date().timeIntervalSince1970)) }
}
