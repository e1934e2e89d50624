import ClusterCore
import Foundation
import Testing
@testable import WorkerRuntime

/// Files as the kernel shows them, in a directory of the test.
@Suite final class MemoryProbeTests {
    private let root = FileManager.default.temporaryDirectory.appendingPathComponent("memory-\(UUID().uuidString)")

    deinit { try? FileManager.default.removeItem(at: root) }

    private func sample(_ files: [String: String]) throws -> BatchScale.Memory? {
        for (path, text) in files {
            let url = root.appendingPathComponent(path)
            try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: url)
        }
        return MemoryProbe(root: root.path).sample()
    }

    private let machine = "MemTotal:       1000 kB\nMemFree:         10 kB\nMemAvailable:    600 kB\n"

    @Test func withoutAnyFileNothingIsKnown() throws { #expect(try sample([:]) == nil) }

    @Test func theMachineAlone() throws {
        #expect(try sample(["proc/meminfo": machine]) == .init(available: 600 << 10, total: 1000 << 10))
    }

    @Test func theGroupsLimitCountsWithoutItsFilePages() throws {
        let memory = try sample([
            "proc/meminfo": machine, "proc/self/cgroup": "0::/pod/box\n",
            "sys/fs/cgroup/pod/box/memory.max": "500000\n", "sys/fs/cgroup/pod/box/memory.current": "480000\n",
            "sys/fs/cgroup/pod/box/memory.stat": "anon 300000\nactive_file 20000\ninactive_file 60000\n",
        ])
        #expect(memory == .init(available: 100_000, total: 500_000))
    }

    @Test func aGroupAboveMayBeTighter() throws {
        let memory = try sample([
            "proc/meminfo": machine, "proc/self/cgroup": "0::/pod/box\n",
            "sys/fs/cgroup/pod/box/memory.max": "max\n", "sys/fs/cgroup/pod/box/memory.current": "1000\n",
            "sys/fs/cgroup/pod/memory.max": "2000\n", "sys/fs/cgroup/pod/memory.current": "1900\n",
        ])
        #expect(memory == .init(available: 100, total: 2_000))
    }

    @Test func aContainersOwnGroupIsAtTheTop() throws {
        let memory = try sample([
            "proc/self/cgroup": "0::/not/to/be/seen/from/here\n", "sys/fs/cgroup/memory.max": "4096\n",
            "sys/fs/cgroup/memory.current": "5000\n",
        ])
        #expect(memory == .init(available: 0, total: 4_096), "above the limit for a moment")
    }

    @Test func theOlderHierarchy() throws {
        let memory = try sample([
            "proc/meminfo": machine, "proc/self/cgroup": "7:cpu,cpuacct:/a\n4:hugetlb,memory:/a\n",
            "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "8000\n", "sys/fs/cgroup/memory/a/memory.usage_in_bytes": "7000\n",
            "sys/fs/cgroup/memory/a/memory.stat": "inactive_file 1\ntotal_inactive_file 500\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "7000\n",
        ])
        #expect(memory == .init(available: 1_500, total: 8_000))
    }

    @Test(arguments: ["", "max", "-5", "12 34", "99999999999999999999999", "\0", "0x10"])
    func garbageIsLeftOut(text: String) throws {
        let memory = try sample([
            "proc/meminfo": machine, "proc/self/cgroup": "0::/../box\nrubbish\n1:memory\n",
            "sys/fs/cgroup/box/memory.max": text, "sys/fs/cgroup/box/memory.current": text,
            "sys/fs/cgroup/memory.max": "1000", "sys/fs/cgroup/memory.current": text,
            "sys/fs/cgroup/memory.stat": "active_file \(text)\n\(text)\n",
        ])
        #expect(memory == .init(available: 600 << 10, total: 1000 << 10))
    }

    @Test(arguments: ["MemTotal: 0 kB\nMemAvailable: 5 kB", "MemTotal: x kB", "MemTotal: 10 kB", "\u{FFFD}"])
    func aStrangeMachineIsUnknown(text: String) throws { #expect(try sample(["proc/meminfo": text]) == nil) }

    @Test func thisMachineIsKnown() throws {
        let memory = try #require(MemoryProbe().sample())
        #expect(memory.total > 1 << 20 && memory.available > 0)
    }
}
