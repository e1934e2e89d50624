/// A file of the job store, as the Files API shows it.
public struct StoredFile: Sendable, Hashable {
    /// Where its content is.
    public enum Source: String, Sendable, Hashable {
        /// Chunks, as they were uploaded.
        case uploaded
        /// The answers of a batch, in the order in which they were given.
        case answers
        /// The requests of a batch that have no answer, in the order in which that was known.
        case errors
    }

    /// Grows with every file.
    public var number: Int64
    /// `file-…`
    public var id: String
    /// `batch`, `batch_output`, or whatever else a client says.
    public var purpose: String
    public var name: String
    public var byteCount: Int64
    /// Seconds since 1970.
    public var created: Int64
    public var source: Source
    /// Number of the batch whose answers or errors it holds.
    var batch: Int64?
}

/// Part of a list, newest first unless it was asked for otherwise.
public struct Page<Element: Sendable>: Sendable {
    public var elements: [Element]
    /// More follow.
    public var hasMore: Bool
}

/// A file that is being uploaded. Nobody sees it before it is whole.
public struct Upload: Sendable, Hashable {
    let file: Int64
    public let id: String
    /// Chunks that were stored.
    var chunkCount: Int64 = 0
    public internal(set) var byteCount: Int64 = 0
}
