import Foundation
import SystemPackage

/// The board of the workers that name the same directory: locks on single bytes of a file in it.
///
/// The locks belong to the open file description (`F_OFD_SETLK`), so the kernel frees them when the process ends in
/// whatever way, and they hold between containers that mount the directory. A core has one byte for its lease, one that
/// those lock together who wait for it at home, one for the next of these, and a few that say who is at home. One more byte
/// is locked together by those who are keen on cores of others.
///
/// Cores are numbered as the kernel does; the directory must be of this host.
public final class LeaseFile: CoreBoard {
    /// Greatest number of cores, and of workers at home on one.
    static let maxCores = 1024, maxWorkersPerCore = 64
    private enum Area: Int {
        case lease = 0, wanted = 4096, turn = 8192, keen = 12288, homes = 16384
    }

    private let directory: String
    private let file: FileDescriptor
    /// Cores that this process may use.
    private let allowed: [Int]

    /// - Parameters:
    ///   - directory: made if it does not exist.
    ///   - allowed: cores that this process may use.
    /// - Throws: ``LeaseFileError`` if the directory cannot be used, or cannot lock.
    public init(directory: String, allowed: [Int]) throws(LeaseFileError) {
        self.directory = directory
        self.allowed = allowed.filter { $0 < Self.maxCores }
        do {
            try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
            file = try FileDescriptor.open(
                FilePath(directory + "/cores"), .readWrite, options: [.create, .closeOnExec, .noFollow],
                permissions: [.ownerReadWrite, .groupReadWrite, .otherReadWrite])
        } catch {
            throw LeaseFileError(directory: directory, problem: (error as? Errno).map { "\($0)" } ?? error.localizedDescription)
        }
        var lock = Self.lock(.shared, at: Area.lease.rawValue, count: 1)
        guard fcntl(file.rawValue, LockCommand.test, &lock) == 0 else {
            let problem = Errno(rawValue: errno)
            try? file.close()
            throw LeaseFileError(directory: directory, problem: "its file system has no locks for open files: \(problem)")
        }
    }

    deinit { try? file.close() }

    /// Makes the worker at home on `cores`.
    /// - Throws: ``LeaseFileError`` if too many are already.
    public func makeHome(on cores: [Int]) throws(LeaseFileError) {
        for core in cores {
            guard (0..<Self.maxWorkersPerCore).contains(where: { claim(core, level: $0) }) else {
                throw LeaseFileError(directory: directory, problem: "\(Self.maxWorkersPerCore) workers are at home on core \(core)")
            }
        }
    }

    /// Makes the worker at home on `count` cores that have the fewest workers so far.
    /// - Returns: which.
    /// - Throws: ``LeaseFileError`` if there are not as many.
    public func makeHome(count: Int) throws(LeaseFileError) -> [Int] {
        var homes: [Int] = []
        for level in 0..<Self.maxWorkersPerCore {
            for core in allowed where homes.count < count && !homes.contains(core) && claim(core, level: level) {
                homes.append(core)
            }
            if homes.count == count { return homes }
        }
        throw LeaseFileError(directory: directory, problem: "no \(count) cores of \(allowed) have a home left")
    }

    private func claim(_ core: Int, level: Int) -> Bool {
        set(.exclusive, at: homes(of: core) + level)
    }

    private func homes(of core: Int) -> Int { Area.homes.rawValue + core * Self.maxWorkersPerCore }

    // MARK: CoreBoard

    public func take(_ core: Int) -> Bool { set(.exclusive, at: Area.lease.rawValue + core) }

    public func giveBack(_ core: Int) { set(.none, at: Area.lease.rawValue + core) }

    public func setWanted(_ core: Int, _ isWanted: Bool) {
        set(isWanted ? .shared : .none, at: Area.wanted.rawValue + core)
    }

    public func isWanted(_ core: Int) -> Bool { othersHave(Area.wanted.rawValue + core, count: 1) }

    public func takeTurn(_ core: Int) -> Bool { set(.exclusive, at: Area.turn.rawValue + core) }

    public func endTurn(_ core: Int) { set(.none, at: Area.turn.rawValue + core) }

    public func othersHomes() -> [Int] {
        allowed.filter { othersHave(homes(of: $0), count: Self.maxWorkersPerCore) }
    }

    public func setKeen(_ isKeen: Bool) { set(isKeen ? .shared : .none, at: Area.keen.rawValue) }

    public func areOthersKeen() -> Bool { othersHave(Area.keen.rawValue, count: 1) }
}

// MARK: - Locks

extension LeaseFile {
    private enum LockType { case shared, exclusive, none }

    /// `F_OFD_GETLK` and `F_OFD_SETLK` of Linux, which its headers show to C alone.
    private enum LockCommand {
        static let test: Int32 = 36, set: Int32 = 37
    }

    private static func lock(_ type: LockType, at offset: Int, count: Int) -> flock {
        var lock = flock()
        lock.l_type = switch type {
        case .shared: Int16(F_RDLCK)
        case .exclusive: Int16(F_WRLCK)
        case .none: Int16(F_UNLCK)
        }
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = off_t(offset)
        lock.l_len = off_t(count)
        return lock
    }

    /// False if another has the byte, or the kernel has no lock to spare: then nobody may count on having it.
    @discardableResult
    private func set(_ type: LockType, at offset: Int) -> Bool {
        var lock = Self.lock(type, at: offset, count: 1)
        return fcntl(file.rawValue, LockCommand.set, &lock) == 0
    }

    /// Whether another has any of the bytes.
    private func othersHave(_ offset: Int, count: Int) -> Bool {
        var lock = Self.lock(.exclusive, at: offset, count: count)
        return fcntl(file.rawValue, LockCommand.test, &lock) == 0 && Int32(lock.l_type) != F_UNLCK
    }
}

/// A directory that cannot hold leases.
public struct LeaseFileError: Error, Sendable, Hashable, CustomStringConvertible {
    public let directory: String
    public let problem: String

    public var description: String { "core leases in \(directory): \(problem)" }
}
