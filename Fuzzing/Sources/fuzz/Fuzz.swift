import CFuzzer
import FuzzTargets
import Glibc

/// One target under libFuzzer, whose `main` and options these are. The environment names the target (`FUZZ_TARGET`), so that
/// the processes that libFuzzer starts know it too.
enum Fuzz {
    /// Set once, before the first run.
    nonisolated(unsafe) static var target = FuzzTarget.json

    static func initialize() {
        let name = getenv("FUZZ_TARGET").map { String(cString: $0) } ?? ""
        guard let target = FuzzTarget(rawValue: name) else {
            say("FUZZ_TARGET is \"\(name)\", not one of " + FuzzTarget.allCases.map(\.rawValue).joined(separator: ", "))
            exit(2)
        }
        self.target = target
        bf_install_hooks()
    }

    /// Greater inputs may take more, in proportion.
    private static let fixedByteCount = 1 << 20
    private static let secondsOfTime = 1.0

    static func run(_ input: UnsafeRawBufferPointer) {
        let start = processorSeconds()
        bf_begin()
        let outcome = target.run(input)
        let memory = bf_end()
        let seconds = processorSeconds() - start
        if case .broken(let what) = outcome { fail("accepted, but contradicts itself: \(what)") }
        if memory.peak > 8 * input.count + fixedByteCount {
            fail("\(memory.peak) bytes of memory (one piece: \(memory.largest)) for an input of \(input.count)")
        }
        if seconds > secondsOfTime { fail("\(seconds) s for an input of \(input.count) bytes") }
    }

    /// Of this thread: a busy machine makes no input slow.
    private static func processorSeconds() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }

    /// libFuzzer catches the signal and keeps the input.
    private static func fail(_ what: String) {
        say("FINDING: \(what)")
        abort()
    }

    private static func say(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        _ = write(STDERR_FILENO, bytes, bytes.count)
    }
}
