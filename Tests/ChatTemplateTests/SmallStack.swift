import Foundation
import Synchronization

/// Runs work on a thread whose stack is as small as any that renders a template.
enum SmallStack {
    static func run<Result: Sendable>(bytes: Int = 512 << 10, _ body: @escaping @Sendable () -> Result) -> Result? {
        let result = Mutex<Result?>(nil)
        let box = Box(result)
        let done = DispatchSemaphore(value: 0)
        let thread = Thread {
            let value = body()
            box.result.withLock { $0 = value }
            done.signal()
        }
        thread.stackSize = bytes
        thread.start()
        done.wait()
        return box.result.withLock { $0 }
    }

    private final class Box<Result: Sendable>: Sendable {
        let result: Mutex<Result?>
        init(_ result: consuming Mutex<Result?>) { self.result = result }
    }
}
