import Foundation

/// Keeps a job store to one process: two would ask the same lines. The system takes it back when the process ends,
/// however that comes about.
final class StoreLock: Sendable {
    private static let mostAttempts = 50
    /// Microseconds.
    private static let pause: UInt32 = 10_000

    private let descriptor: Int32

    /// - Throws: ``JobError/inUse(_:)`` if another process has it.
    init(path: String) throws(JobError) {
        descriptor = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .unavailable("cannot open \(path): \(String(cString: strerror(errno)))") }
        // A process that is just being started may hold what its parent has let go of, until it runs its own program.
        var attempts = 1
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            attempts += 1
            if attempts <= Self.mostAttempts {
                usleep(Self.pause)
                continue
            }
            close(descriptor)
            throw .inUse("\(path) is locked: another process uses this job store")
        }
    }

    deinit { close(descriptor) }
}
