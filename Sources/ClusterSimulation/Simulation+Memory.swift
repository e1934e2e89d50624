import ClusterCore

// The memory of the workers' machines, which others take at times.
extension Simulation {
    func squeezeMemory(of worker: WorkerProcess) {
        worker.squeezeEnd = max(worker.squeezeEnd, now + random.milliseconds(random.pick([50...800, 500...5_000])))
        queue.push(.memorySample(worker.index, life: worker.life), at: now)
    }

    /// Samples go on until one finds memory again. They go past a role that is not there.
    func sampleMemory(_ worker: WorkerProcess) {
        let isSqueezed = now < worker.squeezeEnd
        // Between the watermarks at times, where what was decided before stays.
        let memory = BatchScale.Memory(available: isSqueezed ? random.pick([0, 20, 100]) : 500, total: 1_000)
        if !worker.isReleasing {
            carryOut(worker.decode?.handle(.memory(memory), at: now), worker)
            carryOut(worker.mixed?.handle(.memory(memory), at: now), worker)
        }
        if isSqueezed {
            queue.push(.memorySample(worker.index, life: worker.life), at: now + random.milliseconds(100...250))
        }
    }

    func release(_ blocks: [BlockID], _ worker: WorkerProcess) {
        report.releasedBlocks += blocks.count
        if plant == .memoryReleasedLate {
            queue.push(.lateRelease(worker.index, life: worker.life, blocks), at: now + .milliseconds(30))
        } else {
            forget(blocks, worker)
        }
    }

    /// What the blocks held is gone.
    func forget(_ blocks: [BlockID], _ worker: WorkerProcess) {
        let blocks = blocks.map { real($0, worker) }
        let zeros = Array(repeating: UInt64(0), count: blocks.count * scenario.geometry.blockSize)
        for layer in 0..<scenario.geometry.layerCount { worker.kv.write(zeros, layer: layer, blocks: blocks) }
    }
}
