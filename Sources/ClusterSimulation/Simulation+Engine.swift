import ClusterCore
import Generation

// The workers' engines: steps of fake KV, and tokens from what the block tables really hold.
extension Simulation {
    func startStep(_ worker: WorkerProcess) {
        guard worker.step == nil, !worker.isReleasing else { return }
        if let (step, actions) = worker.prefill?.nextStep(at: now) {
            carryOut(actions, worker)
            if let step { start(step, worker) }
        } else if let (iteration, actions) = worker.decode?.nextIteration(at: now) {
            carryOut(actions, worker)
            if let iteration { start(iteration, worker) }
        } else if let (step, actions) = worker.mixed?.nextStep(at: now) {
            carryOut(actions, worker)
            if let step { start(step, worker) }
        }
    }

    private func start(_ step: PrefillStep, _ worker: WorkerProcess) {
        for chunk in step.chunks {
            checkWork(chunk.attempt, worker)
            checkStart(of: chunk, worker)
        }
        checkSize(step.tokenCount, worker)
        worker.step = .prefill(step)
        let layerTime = random.microseconds(200...2_000) * worker.slowness + .microseconds(20 * step.tokenCount)
        for layer in 0..<scenario.geometry.layerCount {
            queue.push(
                .layerStored(worker.index, life: worker.life, layer: layer), at: now + layerTime * (layer + 1))
        }
        let end = now + layerTime * scenario.geometry.layerCount + random.microseconds(100...1_000)
        queue.push(.stepDone(worker.index, life: worker.life), at: end)
    }

    private func start(_ iteration: DecodeIteration, _ worker: WorkerProcess) {
        for row in iteration.rows { checkWork(row.attempt, worker) }
        worker.step = .decode(iteration)
        let time = random.microseconds(3_000...15_000) * worker.slowness
        queue.push(.stepDone(worker.index, life: worker.life), at: now + time)
    }

    private func start(_ step: MixedStep, _ worker: WorkerProcess) {
        for attempt in step.rows.map(\.attempt) + step.chunks.map(\.attempt) { checkWork(attempt, worker) }
        for chunk in step.chunks { checkStart(of: chunk, worker) }
        if worker.shape.scheduling == .mixed { checkSize(step.tokenCount, worker) }
        if !step.rows.isEmpty, !step.chunks.isEmpty { report.sharedSteps += 1 }
        report.idleTokens += step.paddingCount
        worker.step = .mixed(step)
        let computed = step.tokenCount + step.paddingCount
        let time = random.microseconds(3_000...15_000) * worker.slowness + .microseconds(40 * computed)
        queue.push(.stepDone(worker.index, life: worker.life), at: now + time)
    }

    private func checkSize(_ tokenCount: Int, _ worker: WorkerProcess) {
        guard tokenCount > worker.tokenBudget else { return }
        violate("\(worker.id) computes \(tokenCount) tokens in a step of at most \(worker.tokenBudget)")
    }

    /// Nobody works on what this registration was not given, nor for long on what has ended.
    private func checkWork(_ attempt: AttemptID, _ worker: WorkerProcess) {
        guard worker.orders[attempt] != nil else {
            return violate("\(worker.id) works on \(attempt), which its registration was not given")
        }
        guard now > calm, worker.epochs?.cluster == coordinator.epoch, let index = checker.index(of: attempt.request),
            let ended = checker.tracked[index].ended, now - max(ended, calm) > .milliseconds(150)
        else { return }
        violate("\(worker.id) still works on \(attempt), which ended at \(ended)")
    }

    func storeLayer(_ layer: Int, _ worker: WorkerProcess) {
        guard case .prefill(let step)? = worker.step else { preconditionFailure("a layer of no step") }
        if plant != .layerAnnouncedEarly { compute(step, layer, worker) }
        carryOut(worker.prefill?.handle(.layerStored(layer), at: now), worker)
    }

    func finishStep(_ worker: WorkerProcess) {
        guard let step = worker.step else { preconditionFailure("the end of no step") }
        worker.step = nil
        switch step {
        case .prefill(let step): finish(step, worker)
        case .decode(let iteration): finish(iteration, worker)
        case .mixed(let step): finish(step, worker)
        }
    }

    private func finish(_ step: PrefillStep, _ worker: WorkerProcess) {
        if plant == .layerAnnouncedEarly {
            for layer in 0..<scenario.geometry.layerCount { compute(step, layer, worker) }
        }
        let samples = step.chunks.flatMap { sample($0, worker) }
        let scores = step.chunks.compactMap { score($0, worker) }
        carryOut(worker.prefill?.handle(.stepFinished(samples, scores: scores), at: now), worker)
    }

    private func finish(_ iteration: DecodeIteration, _ worker: WorkerProcess) {
        let samples = run(iteration.rows, worker)
        carryOut(worker.decode?.handle(.iterationFinished(samples), at: now), worker)
    }

    private func finish(_ step: MixedStep, _ worker: WorkerProcess) {
        var samples = run(step.rows, worker)
        var scores: [ChunkScores] = []
        for chunk in step.chunks {
            let writes = (0..<scenario.geometry.layerCount).flatMap { self.writes(of: chunk, $0, worker) }
            let former = writes.map { write in
                KVWrite(
                    layer: write.layer, position: write.position, table: write.table,
                    slot: worker.kv[write.layer, write.position, write.table])
            }
            write(writes, worker)
            samples += sample(chunk, worker)
            if let score = score(chunk, worker) { scores.append(score) }
            guard !chunk.samples.isEmpty, plant == .lastChunkWrittenLate else { continue }
            // The first token is right, but whoever reads the KV now is too early.
            write(former, worker)
            writeLate(writes, worker)
        }
        carryOut(worker.mixed?.handle(.stepFinished(samples, scores: scores), at: now), worker)
    }

    // MARK: KV

    private func compute(_ step: PrefillStep, _ layer: Int, _ worker: WorkerProcess) {
        for chunk in step.chunks { write(writes(of: chunk, layer, worker), worker) }
    }

    private func writes(of chunk: PrefillStep.Chunk, _ layer: Int, _ worker: WorkerProcess) -> [KVWrite] {
        let (model, table) = (scenario.model, real(chunk.blockTable, worker))
        var before = worker.kv.fold(layer: layer, count: chunk.start, table: table, model)
        let writes = chunk.tokens.enumerated().map { offset, token in
            let position = chunk.start + offset
            let slot = rounded(model.slot(layer: layer, position: position, token: token, before: before), worker)
            before = model.fold(before, slot)
            return KVWrite(layer: layer, position: position, table: table, slot: slot)
        }
        return Array(writes.dropFirst(trustedCount(of: chunk, worker)))
    }

    /// Writes the KV of the rows' input tokens and samples what follows them.
    private func run(_ rows: [DecodeIteration.Row], _ worker: WorkerProcess) -> [Sample] {
        let model = scenario.model
        for row in rows {
            let table = real(row.blockTable, worker)
            let writes = (0..<scenario.geometry.layerCount).map { layer in
                let before = worker.kv.fold(layer: layer, count: row.position, table: table, model)
                let slot = rounded(model.slot(layer: layer, position: row.position, token: row.input, before: before), worker)
                return KVWrite(layer: layer, position: row.position, table: table, slot: slot)
            }
            if plant == .iterationEndedEarly { writeLate(writes, worker) } else { write(writes, worker) }
        }
        return rows.map {
            sample($0.attempt, $0.sampling, count: $0.length, table: real($0.blockTable, worker), worker)
        }
    }

    /// As the worker's arithmetic has it, which only a planted bug makes another one than the cluster's.
    private func rounded(_ slot: UInt64, _ worker: WorkerProcess) -> UInt64 {
        plant == .numericsMisstated && !worker.index.isMultiple(of: 2) ? slot ^ 1 : slot
    }

    func write(_ writes: [KVWrite], _ worker: WorkerProcess) {
        for write in writes { worker.kv[write.layer, write.position, write.table] = write.slot }
    }

    private func writeLate(_ writes: [KVWrite], _ worker: WorkerProcess) {
        queue.push(.lateWrite(worker.index, life: worker.life, writes), at: now + .milliseconds(20))
    }

    private func sample(_ chunk: PrefillStep.Chunk, _ worker: WorkerProcess) -> [Sample] {
        chunk.samples.map {
            sample(
                $0.attempt, $0.context, count: chunk.start + chunk.tokens.count, table: real(chunk.blockTable, worker),
                worker)
        }
    }

    /// Scores from what the block table really holds.
    private func score(_ chunk: PrefillStep.Chunk, _ worker: WorkerProcess) -> ChunkScores? {
        guard let scoring = chunk.scoring else { return nil }
        let table = real(chunk.blockTable, worker)
        let scores = scoring.targets.enumerated().map { offset, target in
            scenario.model.logprobs(folds(scoring.first + offset, table, worker), target, top: scoring.top)
        }
        return ChunkScores(attempt: chunk.attempt, scores: .success(scores))
    }

    private func folds(_ count: Int, _ table: [BlockID], _ worker: WorkerProcess) -> [UInt64] {
        (0..<scenario.geometry.layerCount).map { worker.kv.fold(layer: $0, count: count, table: table, scenario.model) }
    }

    /// The next token, from what the block table really holds.
    private func sample(
        _ attempt: AttemptID, _ sampling: SamplingContext, count: Int, table: [BlockID], _ worker: WorkerProcess
    ) -> Sample {
        let folds = folds(count, table, worker)
        var parameters = sampling.parameters
        if plant == .choicesDrawAlike { parameters.choice = 0 }
        let token = scenario.model.sample(
            folds, parameters, index: sampling.index, masked: sampling.maskedTokens)
        return Sample(
            attempt: attempt, token: .success(token),
            logprobs: sampling.logprobs.map { scenario.model.logprobs(folds, token, top: $0) })
    }

    /// The blocks that a table means. Only a planted bug makes a role believe in more than there are.
    func real(_ table: [BlockID], _ worker: WorkerProcess) -> [BlockID] {
        plant == .promptBlocksUncounted ? table.map { real($0, worker) } : table
    }

    func real(_ block: BlockID, _ worker: WorkerProcess) -> BlockID {
        BlockID(block.rawValue % UInt32(worker.shape.blockCount))
    }
}
