import Foundation

/// A control group of the kernel's with a limit of memory, v2 or v1, for processes that enter it when they start.
struct MemoryGroup {
    let directory: URL
    private let isUnified: Bool

    /// Whether this machine lets one be made: that takes root and hierarchies that can be written, which containers have not.
    static let isPossible: Bool = {
        guard let group = try? MemoryGroup() else { return false }
        group.remove()
        return true
    }()

    /// Without a limit yet.
    /// - Throws: if the machine does not let it be made.
    init() throws {
        let root = URL(fileURLWithPath: "/sys/fs/cgroup"), name = "baton-test-\(UUID().uuidString)"
        let controllers = try? String(contentsOf: root.appendingPathComponent("cgroup.subtree_control"), encoding: .utf8)
        isUnified = controllers?.split(whereSeparator: \.isWhitespace).contains("memory") ?? false
        directory = (isUnified ? root : root.appendingPathComponent("memory")).appendingPathComponent(name)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
        guard number(isUnified ? "memory.current" : "memory.usage_in_bytes") != nil else {
            remove()
            throw CocoaError(.featureUnsupported)
        }
    }

    /// Once all its processes are gone.
    func remove() {
        for _ in 0..<100 where rmdir(directory.path) != 0 && errno == EBUSY { usleep(20_000) }
    }

    /// A directory of programs like those in `programs`, of which the one called `name` runs in this group from its first page on.
    func programs(like programs: URL, confining name: String, in place: URL) throws -> URL {
        try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        for program in ["coordinator", "prefill-worker", "decode-worker", "mixed-worker", "baton"] where program != name {
            try FileManager.default.createSymbolicLink(
                at: place.appendingPathComponent(program), withDestinationURL: programs.appendingPathComponent(program))
        }
        let script = """
            #!/bin/sh
            echo $$ > '\(directory.path)/cgroup.procs' && exec '\(programs.appendingPathComponent(name).path)' "$@"
            """
        let file = place.appendingPathComponent(name)
        try Data(script.utf8).write(to: file)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file.path)
        return place
    }

    /// Bytes that cannot be dropped.
    var used: Int {
        let prefix = isUnified ? "" : "total_"
        let files = (field(prefix + "active_file", of: "memory.stat") ?? 0) + (field(prefix + "inactive_file", of: "memory.stat") ?? 0)
        return (number(isUnified ? "memory.current" : "memory.usage_in_bytes") ?? 0) - files
    }

    /// Processes that the kernel has killed for their memory.
    var kills: Int? { field("oom_kill", of: isUnified ? "memory.events" : "memory.oom_control") }

    func limit(to bytes: Int) throws {
        let file = directory.appendingPathComponent(isUnified ? "memory.max" : "memory.limit_in_bytes")
        let handle = try FileHandle(forWritingTo: file)
        try handle.write(contentsOf: Data("\(bytes)".utf8))
        try handle.close()
    }

    private func text(_ name: String) -> String? {
        try? String(contentsOf: directory.appendingPathComponent(name), encoding: .utf8)
    }

    private func number(_ name: String) -> Int? {
        text(name).flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
    }

    private func field(_ name: String, of file: String) -> Int? {
        text(file)?.split(separator: "\n").map { $0.split(separator: " ") }.first { $0.first == name[...] }?.last.flatMap { Int($0) }
    }
}
