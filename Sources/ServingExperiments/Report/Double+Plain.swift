import Foundation

extension Double {
    /// So many digits after the point; the same in every locale.
    func plain(_ digits: Int) -> String { String(format: "%.\(digits)f", self) }
}
