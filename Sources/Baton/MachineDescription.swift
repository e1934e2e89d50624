import Foundation
import Kernels

/// The machine that a report was measured on, in a line.
enum MachineDescription {
    static var current: String {
        let text = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
        let name = text.split(separator: "\n").first { $0.hasPrefix("model name") }
            .flatMap { $0.split(separator: ":").last }.map { $0.trimmingCharacters(in: .whitespaces) } ?? "processor unknown"
        let memory = ProcessInfo.processInfo.physicalMemory >> 30
        return "\(name), \(ThreadTeam.allowedCores.count) cores, \(memory) GiB"
    }
}
