import ClusterCore
import Foundation

/// What memory is left to this process: that of its control groups (v2 or v1) or of the machine, whichever is tighter.
///
/// Pages that hold files count as available, as in the kernel's own `MemAvailable`: they are dropped before anything is
/// killed. What cannot be read, or says nothing, is left out.
struct MemoryProbe: Sendable {
    /// Between two samples.
    static let interval = Duration.milliseconds(250)

    /// Directory under which `proc` and `sys` lie.
    let root: String

    init(root: String = "/") { self.root = root.hasSuffix("/") ? String(root.dropLast()) : root }

    /// `nil` if nothing is known.
    func sample() -> BatchScale.Memory? {
        let machine = machine()
        let groups = groups().filter { $0.total < machine?.total ?? .max }
        return (groups + [machine].compactMap { $0 }).min { $0.availableShare < $1.availableShare }
    }

    private func machine() -> BatchScale.Memory? {
        let fields = fields("proc/meminfo")
        guard let total = fields["MemTotal:"], let available = fields["MemAvailable:"] else { return nil }
        return Self.memory(total: kibibytes(total), available: kibibytes(available))
    }

    /// Saturates: the file is not ours.
    private func kibibytes(_ count: Int) -> Int { count > .max >> 10 ? .max : count << 10 }

    // MARK: Control groups

    /// Those of this process with a limit, and all above them.
    private func groups() -> [BatchScale.Memory] {
        guard let text = text("proc/self/cgroup") else { return [] }
        return text.split(separator: "\n").flatMap { line -> [BatchScale.Memory] in
            // Number, controllers, path.
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { return [] }
            if parts[1].isEmpty { return lineage(of: parts[2]).compactMap { unified("sys/fs/cgroup\($0)") } }
            guard parts[1].split(separator: ",").contains("memory") else { return [] }
            return lineage(of: parts[2]).compactMap { legacy("sys/fs/cgroup/memory\($0)") }
        }
    }

    /// A group's path and all above it. The last is "", which inside of a container is its own group.
    private func lineage(of path: Substring) -> [String] {
        let names = path.split(separator: "/").filter { $0 != ".." }
        return (0...names.count).reversed().map { names.prefix($0).map { "/" + $0 }.joined() }
    }

    private func unified(_ group: String) -> BatchScale.Memory? {
        limited(
            number("\(group)/memory.max"), used: number("\(group)/memory.current"), fields("\(group)/memory.stat"), prefix: "")
    }

    private func legacy(_ group: String) -> BatchScale.Memory? {
        limited(
            number("\(group)/memory.limit_in_bytes"), used: number("\(group)/memory.usage_in_bytes"),
            fields("\(group)/memory.stat"), prefix: "total_")
    }

    private func limited(_ limit: Int?, used: Int?, _ stat: [String: Int], prefix: String) -> BatchScale.Memory? {
        guard let limit, let used else { return nil }
        let files = ["inactive_file", "active_file"].reduce(0) { $0.addingSaturated(stat[prefix + $1] ?? 0) }
        return Self.memory(total: limit, available: limit - max(0, used - files))
    }

    private static func memory(total: Int, available: Int) -> BatchScale.Memory? {
        total > 0 ? BatchScale.Memory(available: min(max(0, available), total), total: total) : nil
    }

    // MARK: Files

    private func text(_ path: String) -> String? { try? String(contentsOfFile: "\(root)/\(path)", encoding: .utf8) }

    /// `nil` for "max", and for what is no count.
    private func number(_ path: String) -> Int? {
        text(path).flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }.flatMap { $0 >= 0 ? $0 : nil }
    }

    /// Lines of a name and a count; others are left out.
    private func fields(_ path: String) -> [String: Int] {
        var fields: [String: Int] = [:]
        for line in text(path)?.split(separator: "\n") ?? [] {
            let parts = line.split(separator: " ")
            guard parts.count >= 2, let count = Int(parts[1]), count >= 0 else { continue }
            fields[String(parts[0])] = count
        }
        return fields
    }
}

extension BatchScale.Memory {
    fileprivate var availableShare: Double { Double(available) / Double(total) }
}

extension Int {
    fileprivate func addingSaturated(_ other: Int) -> Int {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}
