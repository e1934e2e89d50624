import GRDB

/// Why the job store does not do what it was asked for.
public enum JobError: Error, Sendable, Hashable {
    /// The disk, or what is allowed of it, is full. Nothing was changed.
    case full(String)
    /// The database cannot be read or written. Nothing was changed.
    case unavailable(String)
    /// Another process has the store.
    case inUse(String)
    /// One of ``JobLimits`` would be passed.
    case tooMuch(String)
    case noFile(String)
    case noBatch(String)
    /// The request does not go with the state that things are in.
    case conflict(String)

    /// What the database said.
    init(_ error: any Error) {
        switch error {
        case let error as JobError: self = error
        case let error as DatabaseError where error.resultCode == .SQLITE_FULL: self = .full("the disk is full: \(Self.words(error))")
        case let error as DatabaseError: self = .unavailable("the job store cannot be used: \(Self.words(error))")
        case is CancellationError: self = .conflict("nobody wants it any more")
        default: self = .unavailable("the job store cannot be used: \(error)")
        }
    }

    /// Without the statement, which says nothing to a client.
    private static func words(_ error: DatabaseError) -> String {
        "\(error.message ?? "SQLite error") (SQLite \(error.extendedResultCode.rawValue))"
    }
}

extension JobError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .full(let text), .unavailable(let text), .inUse(let text), .tooMuch(let text), .conflict(let text): text
        case .noFile(let id): "there is no file \(id)"
        case .noBatch(let id): "there is no batch \(id)"
        }
    }
}
