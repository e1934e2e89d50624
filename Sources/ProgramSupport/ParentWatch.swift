import ArgumentParser
import Foundation

/// Lets a process end with the one that started it, even if that one was killed.
public struct ParentOptions: ParsableArguments {
    @Option(help: .hidden)
    public var parent: Int32?

    public init() {}

    /// Watches the parent, if one was named, and asks this process to end (SIGTERM) when it is gone.
    ///
    /// The kernel's own parent-death signal follows the parent's *thread*, which in a Swift program comes and goes;
    /// asking for the parent's id costs next to nothing.
    public func watch() {
        guard let parent else { return }
        let watcher = Thread {
            while getppid() == parent { usleep(100_000) }
            kill(getpid(), SIGTERM)
            // Draining must not outlive a parent that is gone for long.
            sleep(5)
            kill(getpid(), SIGKILL)
        }
        watcher.name = "parent-watch"
        watcher.start()
    }
}
