import BatonClient
import ClusterCore
import Foundation

/// Looks at a cluster while it serves: KV blocks by its status, memory by the system.
struct ResourceSampler: Sendable {
    let client: BatonClient
    let processIDs: [Int32]
    let bytesPerBlock: Int

    private static let interval = Duration.milliseconds(250)

    /// Samples until the task is cancelled.
    func run() async -> ClusterMeasures {
        let began = ContinuousClock.now
        var measures = ClusterMeasures()
        while !Task.isCancelled {
            if let status = try? await client.status() {
                measures.note(status, at: began.duration(to: .now).seconds, bytesPerBlock, residentBytes: residentBytes("VmRSS"))
            }
            try? await Task.sleep(for: Self.interval)
        }
        return measures
    }

    /// Of all processes; 0 where `/proc` does not tell.
    /// - Parameter field: `VmRSS`, or `VmHWM` for the most that each ever had.
    func residentBytes(_ field: String) -> Int {
        processIDs.reduce(0) { sum, id in
            let status = (try? String(contentsOfFile: "/proc/\(id)/status", encoding: .utf8)) ?? ""
            let line = status.split(separator: "\n").first { $0.hasPrefix(field + ":") }
            return sum + (line?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) << 10
        }
    }
}

extension ClusterMeasures {
    fileprivate mutating func note(_ status: ClusterStatus, at seconds: Double, _ bytesPerBlock: Int, residentBytes: Int) {
        let bytes = status.workers.reduce(0) { $0 + $1.load.referencedBlocks } * bytesPerBlock
        peakKVBytes = max(peakKVBytes, bytes)
        for worker in status.workers where worker.role != .prefill {
            peakDecodeBlocks = max(peakDecodeBlocks, worker.load.referencedBlocks)
        }
        peakParkedBytes = max(
            peakParkedBytes ?? 0, status.workers.reduce(0) { $0 + $1.load.parking.memoryBytes + $1.load.parking.fileBytes })
        memory.append(MemorySample(seconds: seconds, kvBytes: bytes, residentBytes: residentBytes))
    }

    /// Takes over what the workers have counted since they registered, which was for this cell.
    mutating func conclude(_ status: ClusterStatus, peakResidentBytes: Int) {
        let idle = status.workers.reduce(0) { $0 + $1.load.work.idle.total }
        tokenRows = idle + status.workers.reduce(0) { $0 + $1.load.work.prefillTokens + $1.load.work.decodeTokens }
        idleRows = idle
        prefillTokens = status.workers.reduce(0) { $0 + $1.load.work.prefillTokens }
        steps = status.workers.reduce(0) { $0 + $1.load.work.steps }
        stallSeconds = status.workers.reduce(0) { $0 + $1.load.work.batch.stall / .seconds(1) }
        borrowedSeconds = status.workers.reduce(0) { $0 + Double($1.load.coreLeases.borrowedNanoseconds) / 1e9 }
        preemptions = status.workers.reduce(0) { $0 + $1.load.parking.parks }
        hitTokens = status.workers.reduce(0) { $0 + $1.load.prefixCache.hitTokens }
        wireBytes = status.workers.reduce(0) { $0 + $1.load.transfers.bytes }
        prematureEvictions = status.workers.reduce(0) { $0 + $1.load.prefixCache.prematureEvictions }
        self.peakResidentBytes = peakResidentBytes > 0 ? peakResidentBytes : nil
    }
}
