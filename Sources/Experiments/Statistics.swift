extension [Double] {
    /// `nil` if there are none.
    var median: Double? {
        if isEmpty { return nil }
        let ordered = sorted(), middle = ordered.count / 2
        return ordered.count % 2 == 1 ? ordered[middle] : (ordered[middle - 1] + ordered[middle]) / 2
    }
}
