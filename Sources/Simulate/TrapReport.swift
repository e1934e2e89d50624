import Glibc

/// Names the seed when an invariant of the core traps, which ends the process.
enum TrapReport {
    // Read by the signal handler alone besides the one thread that writes it; both are the main thread.
    nonisolated(unsafe) private static let text = UnsafeMutablePointer<UInt8>.allocate(capacity: 64)
    nonisolated(unsafe) private static var count = 0

    static func install() {
        for signal in [SIGILL, SIGTRAP] {
            _ = Glibc.signal(signal) { number in
                // `write` and `raise` are among the few calls allowed here.
                _ = write(STDOUT_FILENO, TrapReport.text, TrapReport.count)
                _ = Glibc.signal(number, SIG_DFL)
                _ = raise(number)
            }
        }
    }

    static func set(seed: UInt64) {
        let line = Array("SEED=\(seed) trapped\n".utf8.prefix(64))
        text.update(from: line, count: line.count)
        count = line.count
    }
}
