/// How much a job store takes, so that no client fills the disk or the memory of everybody else.
public struct JobLimits: Sendable, Hashable {
    /// Bytes of an uploaded file.
    public var maxFileBytes = 512 << 20
    /// Files, uploaded or made, at the same time.
    public var maxFiles = 10_000
    /// Requests of a batch.
    public var maxLines = 1_000_000
    /// Bytes of a request; as much as a request's body may have over HTTP.
    public var maxLineBytes = 8 << 20
    /// Batches that have not ended.
    public var maxOpenBatches = 100
    /// Bytes of the database.
    public var maxStoredBytes: Int64 = 64 << 30

    public init() {}
}
