import Foundation

/// Processor time of a process's threads, by the names that they gave themselves.
public struct ThreadTimes: Sendable, Hashable {
    /// Seconds by name.
    public var seconds: [String: Double]

    /// Those of a process now; of threads that have ended nothing is told. Empty where the system keeps no such times.
    public init(processID: Int32) {
        seconds = [:]
        let tasks = "/proc/\(processID)/task"
        for id in (try? FileManager.default.contentsOfDirectory(atPath: tasks)) ?? [] {
            guard let name = try? String(contentsOfFile: "\(tasks)/\(id)/comm", encoding: .utf8),
                let statistics = try? String(contentsOfFile: "\(tasks)/\(id)/schedstat", encoding: .utf8),
                let nanoseconds = statistics.split(separator: " ").first.flatMap({ Double($0) })
            else { continue }
            seconds[name.trimmingCharacters(in: .newlines), default: 0] += nanoseconds / 1e9
        }
    }

    /// Of all threads but those whose names begin with one of `names`.
    func total(without names: [String] = []) -> Double {
        seconds.reduce(0) { sum, entry in names.contains { entry.key.hasPrefix($0) } ? sum : sum + entry.value }
    }
}
