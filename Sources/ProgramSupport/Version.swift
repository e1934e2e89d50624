public enum Version {
    /// Of all programs; they are released together.
    public static let current = "0.1.0"
}
