import Foundation

/// Keeps a job store to one process: two would ask the same lines. The system takes it back when the process ends,
/// however that comes about.
final class StoreLock: Sendable {
    private let descriptor: Int32

    /// - Throws: ``JobError/inUse(_:)`` if another process has it.
    init(path: String) throws(JobError) {
        descriptor = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .unavailable("cannot open \(path): \(String(cString: strerror(errno)))") }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            close(descriptor)
            throw .inUse("\(path) is locked: another process uses this job store")
        }
    }

    deinit { close(descriptor) }
}
