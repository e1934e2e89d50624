import Foundation

/// A thread that owns a resource: the resource is made there, used there by one job at a time, and dies there.
///
/// The engine lives on one, so that a forward pass never occupies Swift's cooperative pool and an engine needs no
/// locks of its own.
// @unchecked: all state is guarded by `condition`, and `Resource` never leaves the thread.
final class ConfinedThread<Resource>: @unchecked Sendable {
    typealias Job = @Sendable (Resource) -> Void

    private let condition = NSCondition()
    private let rest: Rest?
    private var jobs: [Job] = []
    private var stopping = false

    /// What to do with the resource when no job has come for a while; once, until the next job.
    struct Rest: Sendable {
        var after: Duration
        var job: Job
    }

    private init(rest: Rest?) { self.rest = rest }

    /// Starts the thread and makes the resource on it.
    /// - Throws: what `make` throws.
    static func start(
        name: String, rest: Rest? = nil, making make: @escaping @Sendable () throws -> Resource
    ) async throws -> ConfinedThread {
        let thread = ConfinedThread(rest: rest)
        try await withCheckedThrowingContinuation { (started: CheckedContinuation<Void, any Error>) in
            let body = Thread { thread.main(make, started) }
            body.name = name
            // The default of half a megabyte on secondary threads is little for deep call chains.
            body.stackSize = 8 << 20
            body.start()
        }
        return thread
    }

    /// Runs `job` after those submitted before it.
    func submit(_ job: @escaping Job) {
        condition.withLock {
            guard !stopping else { return }
            jobs.append(job)
            condition.signal()
        }
    }

    /// Ends the thread after the job that runs now; waiting ones are dropped.
    func stop() {
        condition.withLock {
            stopping = true
            jobs = []
            condition.signal()
        }
    }

    private func main(_ make: () throws -> Resource, _ started: CheckedContinuation<Void, any Error>) {
        let resource: Resource
        do {
            resource = try make()
            started.resume()
        } catch {
            started.resume(throwing: error)
            return
        }
        var isResting = false
        while true {
            switch next(before: isResting ? nil : rest) {
            case .job(let job):
                isResting = false
                job(resource)
            case .rest(let job):
                isResting = true
                job(resource)
            case .stop: return
            }
        }
    }

    private enum Turn {
        case job(Job), rest(Job), stop
    }

    private func next(before rest: Rest?) -> Turn {
        let patience = rest.map { Date(timeIntervalSinceNow: $0.after / .seconds(1)) }
        return condition.withLock {
            while jobs.isEmpty, !stopping {
                guard let rest, let patience else {
                    condition.wait()
                    continue
                }
                if !condition.wait(until: patience), jobs.isEmpty, !stopping { return .rest(rest.job) }
            }
            return stopping ? .stop : .job(jobs.removeFirst())
        }
    }
}
