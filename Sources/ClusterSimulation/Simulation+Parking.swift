import ClusterCore
import Generation

// The workers' parking stores: copies of fake KV, made and read back in time, sometimes damaged, sometimes refused.
extension Simulation {
    enum StoreTask {
        case park(ParkedKV)
        case restore(ParkedKV)
        case load(ParkID)
        case discard(ParkID)
    }

    /// A store does one thing after the other.
    func enqueue(_ task: StoreTask, _ worker: WorkerProcess) {
        let time = max(worker.storeFree, now) + random.microseconds(50...4_000) * worker.slowness
        worker.storeFree = time
        if case .park(let kv) = task, plant == .parkedBlocksReadLate {
            // Called done at once, while the blocks have yet to be read.
            finishParking(kv.id, isStored: true, worker)
        }
        queue.push(.storeDone(worker.index, life: worker.life, task), at: time)
    }

    func finish(_ task: StoreTask, _ worker: WorkerProcess) {
        switch task {
        case .park(let kv): park(kv, worker)
        case .restore(let kv): restore(kv, worker)
        case .load(let id): finishLoading(id, isIntact: worker.store[id] != nil, worker)
        case .discard(let id): worker.store[id] = nil
        }
    }

    private func park(_ kv: ParkedKV, _ worker: WorkerProcess) {
        report.parks += 1
        let layers = (0..<scenario.geometry.layerCount).map { layer in
            worker.kv.read(layer: layer, blocks: kv.blocks.map { real($0, worker) })
        }
        if plant == .parkedBlocksReadLate {
            worker.store[kv.id] = layers
        } else if kv.tier == .file, random.chance(scenario.diskFailures) {
            finishParking(kv.id, isStored: false, worker)
        } else {
            worker.store[kv.id] = layers
            finishParking(kv.id, isStored: true, worker)
        }
    }

    private func restore(_ kv: ParkedKV, _ worker: WorkerProcess) {
        let isDamaged = kv.tier == .file && random.chance(scenario.diskFailures)
        guard let layers = worker.store[kv.id] else { return finishRestoring(kv.id, isIntact: false, worker) }
        for (layer, slots) in layers.enumerated() where plant != .restoreForgotten {
            worker.kv.write(
                isDamaged ? slots.map { $0 ^ 0xFF00 } : slots, layer: layer, blocks: kv.blocks.map { real($0, worker) })
        }
        finishRestoring(kv.id, isIntact: !isDamaged || plant == .damagedParkingTrusted, worker)
    }

    private func finishParking(_ id: ParkID, isStored: Bool, _ worker: WorkerProcess) {
        carryOut(worker.decode?.handle(.parkingFinished(id, isStored), at: now), worker)
        carryOut(worker.mixed?.handle(.parkingFinished(id, isStored), at: now), worker)
    }

    private func finishRestoring(_ id: ParkID, isIntact: Bool, _ worker: WorkerProcess) {
        if isIntact { report.resumes += 1 }
        carryOut(worker.decode?.handle(.restoringFinished(id, isIntact), at: now), worker)
        carryOut(worker.mixed?.handle(.restoringFinished(id, isIntact), at: now), worker)
    }

    private func finishLoading(_ id: ParkID, isIntact: Bool, _ worker: WorkerProcess) {
        carryOut(worker.decode?.handle(.loadingFinished(id, isIntact), at: now), worker)
    }

    /// Layer blocks of what is parked, as they are sent to another worker.
    func parkedSlots(_ id: ParkID, _ range: LayerBlockRange, _ worker: WorkerProcess) -> [UInt64]? {
        let size = scenario.geometry.blockSize
        return worker.store[id].map { Array($0[range.layer][range.first * size..<(range.first + range.count) * size]) }
    }
}
