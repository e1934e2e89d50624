import Foundation
import Generation
import Synchronization

/// Asks a server and takes the time.
public protocol ServeClient: Sendable {
    /// - Parameter start: of the benchmark.
    func measure(_ request: ServeRequest, from start: ContinuousClock.Instant) async -> ServeMeasurement
}

/// Sends requests when they are due, whatever has become of those before, and takes the times.
public struct ServeBenchmark: Sendable {
    public var dataset: ServeDataset
    public var count: Int
    public var arrivals: ArrivalProcess
    /// A trace's own times, divided by the rate's factor, go before the arrival process.
    public var replaysTimes: Bool
    /// Requests at the same time; the others wait, and their waiting counts as no latency. `nil`: no limit.
    public var maxConcurrency: Int?
    public var seed: UInt64
    /// Ids below it are drawn for prompts.
    public var vocabulary: Int

    public init(
        dataset: ServeDataset, count: Int, arrivals: ArrivalProcess, replaysTimes: Bool = false, maxConcurrency: Int?, seed: UInt64,
        vocabulary: Int
    ) {
        self.dataset = dataset
        self.count = count
        self.arrivals = arrivals
        self.replaysTimes = replaysTimes
        self.maxConcurrency = maxConcurrency
        self.seed = seed
        self.vocabulary = vocabulary
    }

    /// How far a run is.
    public struct Progress: Sendable, Hashable {
        public var sent = 0
        public var done = 0
        public var failed = 0
        public var running: Int { sent - done }
        public var mostRunning = 0
    }

    public struct Outcome: Sendable {
        /// In the order of the requests.
        public var measurements: [ServeMeasurement]
        /// Seconds.
        public var duration: Double
        public var maxConcurrent: Int
    }

    /// Requests and when each is due, in seconds.
    func plan(decode: (([TokenID]) -> String)?) -> [(request: ServeRequest, due: Double)] {
        var random = SeededRandom(seed: seed)
        let requests = dataset.requests(count, vocabulary: vocabulary, &random, decode: decode)
        let drawn = arrivals.times(requests.count, &random)
        return zip(requests, drawn).map { request, drawn in
            (request, replaysTimes ? request.time ?? drawn : drawn)
        }
    }

    /// - Parameters:
    ///   - decode: makes text of prompts; `nil` sends token ids.
    ///   - observe: called from any thread whenever something has changed.
    public func run(
        on client: some ServeClient, decode: (([TokenID]) -> String)?, observe: @escaping @Sendable (Progress) -> Void
    ) async -> Outcome {
        let plan = plan(decode: decode)
        let progress = ProgressCount()
        let gate = maxConcurrency.map { Gate($0) }
        let start = ContinuousClock.now
        let measurements = await withTaskGroup(of: (Int, ServeMeasurement).self) { group in
            for (index, (request, due)) in plan.enumerated() {
                try? await Task.sleep(until: start + .seconds(due))
                if Task.isCancelled { break }
                await gate?.enter()
                observe(progress.change { progress in
                    progress.sent += 1
                    progress.mostRunning = max(progress.mostRunning, progress.running)
                })
                group.addTask {
                    let measurement = await client.measure(request, from: start)
                    await gate?.leave()
                    observe(progress.change { progress in
                        progress.done += 1
                        progress.failed += measurement.failure == nil ? 0 : 1
                    })
                    return (index, measurement)
                }
            }
            var measurements: [Int: ServeMeasurement] = [:]
            for await (index, measurement) in group { measurements[index] = measurement }
            return plan.indices.compactMap { measurements[$0] }
        }
        return Outcome(
            measurements: measurements, duration: (ContinuousClock.now - start) / .seconds(1),
            maxConcurrent: progress.change { _ in }.mostRunning)
    }
}

/// A run's progress, counted by all its requests.
private final class ProgressCount: Sendable {
    private let progress = Mutex(ServeBenchmark.Progress())

    /// - Returns: the progress after the change.
    func change(_ body: (inout ServeBenchmark.Progress) -> Void) -> ServeBenchmark.Progress {
        progress.withLock { progress in
            body(&progress)
            return progress
        }
    }
}

/// Lets so many through at a time, in the order in which they came.
private actor Gate {
    private var free: Int
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(_ count: Int) { free = count }

    func enter() async {
        if free > 0 {
            free -= 1
            return
        }
        await withCheckedContinuation { waiting.append($0) }
    }

    func leave() {
        if waiting.isEmpty { free += 1 } else { waiting.removeFirst().resume() }
    }
}
