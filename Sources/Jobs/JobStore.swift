import Foundation
import GRDB

/// Files, batches and lines in one SQLite database, which survives the death of its process at any moment.
///
/// Whatever is reported as done is on the disk. One process at a time uses a store.
public final class JobStore: Sendable {
    public let path: String
    public let limits: JobLimits
    private let database: DatabasePool
    private let lock: StoreLock

    /// Opens the store, and makes it and its directory if they are not there. Nobody but this user can read it: it holds
    /// what clients asked.
    ///
    /// - Throws: ``JobError/unavailable(_:)``, ``JobError/inUse(_:)`` or ``JobError/full(_:)`` with the reason.
    public init(path: String, limits: JobLimits = JobLimits()) throws(JobError) {
        self.path = path
        self.limits = limits
        let files = FileManager.default
        let directory = URL(fileURLWithPath: path).deletingLastPathComponent()
        do {
            try files.createDirectory(at: directory, withIntermediateDirectories: true)
        } catch {
            throw .unavailable("cannot make \(directory.path): \(error.localizedDescription)")
        }
        lock = try StoreLock(path: path + ".lock")
        if !files.fileExists(atPath: path) {
            _ = files.createFile(atPath: path, contents: nil, attributes: [.posixPermissions: 0o600])
        }
        do {
            database = try Self.open(path)
        } catch {
            let problem = JobError(error)
            if case .unavailable(let reason) = problem { throw .unavailable("\(path): \(reason)") }
            throw problem
        }
    }

    /// Opens the store, and waits for a process that has it and is about to end.
    public static func open(path: String, limits: JobLimits = JobLimits(), patience: Duration) async throws(JobError) -> JobStore {
        let deadline = ContinuousClock.now + patience
        while true {
            do throws(JobError) {
                return try JobStore(path: path, limits: limits)
            } catch {
                guard case .inUse = error, ContinuousClock.now < deadline else { throw error }
            }
            try? await Task.sleep(for: .milliseconds(100))
        }
    }

    private static func open(_ path: String) throws -> DatabasePool {
        var configuration = Configuration()
        // Nobody else writes; a backup or a look with sqlite3 may hold it for a moment.
        configuration.busyMode = .timeout(10)
        configuration.maximumReaderCount = 3
        let database = try DatabasePool(path: path, configuration: configuration)
        // A commit is on the disk when it returns, not only in the system's memory. Many lines share one.
        try database.writeWithoutTransaction { db in try db.execute(sql: "PRAGMA synchronous = FULL") }
        try JobSchema.migrator.migrate(database)
        try database.write { db in try db.execute(sql: "DELETE FROM file WHERE is_whole = 0") }
        return database
    }

    /// Runs `body` in a transaction: all of it happens, or nothing.
    func write<Result: Sendable>(_ body: @Sendable (Database) throws -> Result) async throws(JobError) -> Result {
        do {
            return try await database.write(body)
        } catch {
            throw JobError(error)
        }
    }

    func read<Result: Sendable>(_ body: @Sendable (Database) throws -> Result) async throws(JobError) -> Result {
        do {
            return try await database.read(body)
        } catch {
            throw JobError(error)
        }
    }

    /// Writes something that changes nothing.
    ///
    /// - Throws: what keeps it from being written.
    func probe() async throws(JobError) {
        try await write { db in try db.execute(sql: "UPDATE batch SET total = total WHERE number = (SELECT max(number) FROM batch)") }
    }

    /// Whether there is room for more.
    static func checkRoom(_ db: Database, _ limits: JobLimits) throws {
        func pragma(_ name: String) throws -> Int64 { try Int64.fetchOne(db, sql: "PRAGMA \(name)") ?? 0 }
        let (pages, pageSize) = (try pragma("page_count") - pragma("freelist_count"), try pragma("page_size"))
        let (byteCount, overflow) = pages.multipliedReportingOverflow(by: pageSize)
        guard !overflow, byteCount < limits.maxStoredBytes else {
            throw JobError.full("the job store holds the \(limits.maxStoredBytes) bytes that it may: delete files")
        }
    }

    /// Where a store is kept unless somebody says otherwise: in the state directory of the user.
    public static func usualPath(environment: [String: String]) -> String {
        let home = environment["HOME"].map { $0 + "/.local/state" }
        let state = environment["XDG_STATE_HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil } ?? home ?? "/var/lib"
        return state + "/baton/jobs.sqlite"
    }

    /// `prefix` and 32 random hexadecimal digits.
    static func identifier(_ prefix: String) -> String {
        prefix + (0..<2).map { _ in
            let digits = String(UInt64.random(in: 0 ... .max), radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }.joined()
    }
}

extension Row {
    /// Columns are STRICT, so another type means a damaged file.
    func get<Value: DatabaseValueConvertible>(_ column: String, as type: Value.Type = Value.self) throws -> Value {
        guard let stored = self[column] as DatabaseValue?, let value = Value.fromDatabaseValue(stored) else {
            throw JobError.unavailable("the job store is damaged: column \(column)")
        }
        return value
    }

    /// - Returns: `nil` for NULL.
    func find<Value: DatabaseValueConvertible>(_ column: String, as type: Value.Type = Value.self) throws -> Value? {
        guard let stored = self[column] as DatabaseValue?, !stored.isNull else { return nil }
        return try get(column)
    }

    /// A value of a closed set.
    func named<Value: RawRepresentable>(_ column: String, as type: Value.Type = Value.self) throws -> Value
    where Value.RawValue == String {
        let text: String = try get(column)
        guard let value = Value(rawValue: text) else {
            throw JobError.unavailable("the job store is damaged: \(column) \(text)")
        }
        return value
    }
}
