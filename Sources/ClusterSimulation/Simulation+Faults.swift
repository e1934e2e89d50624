import ClusterCore

// What goes wrong, and how it ends.
extension Simulation {
    func injectFault() {
        guard now < scenario.healing else { return }
        let mean = Int(scenario.faultInterval / .milliseconds(1))
        queue.push(.fault, at: now + random.milliseconds(1...2 * mean))
        guard !scenario.faults.isEmpty else { return }
        let kind = random.pick(scenario.faults)
        let worker = random.pick(workers)
        tell("FAULT \(kind) (\(worker.id))")
        if inject(kind, worker), let index = FaultKind.allCases.firstIndex(of: kind) { report.faults[index] += 1 }
    }

    /// Whether anything happened.
    private func inject(_ kind: FaultKind, _ worker: WorkerProcess) -> Bool {
        switch kind {
        case .workerCrash: return crash(worker)
        case .workerStop:
            guard worker.isUp, !worker.isStopped else { return false }
            worker.isStopped = true
            let end = now + random.milliseconds(random.pick([50...500, 500...3_000, 3_000...7_000]))
            queue.push(.workerResume(worker.index, life: worker.life), at: end)
        case .workerSlow:
            worker.slowness = random.draw(3...30)
            let end = now + random.milliseconds(100...4_000)
            queue.push(.workerSpeed(worker.index, life: worker.life, slowness: 1), at: end)
        case .coordinatorCrash: return crashCoordinator()
        case .coordinatorStop:
            guard coordinator.scheduler != nil, !coordinator.isStopped else { return false }
            coordinator.isStopped = true
            let end = now + random.milliseconds(random.pick([50...500, 500...5_000]))
            queue.push(.coordinatorResume(life: coordinator.life), at: end)
        case .controlPartition: partitionControl(worker)
        case .kvPartition:
            let (from, to) = (workers.filter { $0.shape.role == .prefill }, workers.filter { $0.shape.role == .decode })
            guard !from.isEmpty, !to.isEmpty else { return false }
            partitionKV(random.pick(from), random.pick(to))
        case .connectionLoss: breakConnection(worker)
        case .memorySqueeze:
            guard worker.shape.role.decodes else { return false }
            squeezeMemory(of: worker)
        case .clientGone: queue.push(.clientGone(random.below(scenario.clientCount)), at: now)
        }
        return true
    }

    func heal() {
        tell("HEAL")
        network.heal()
        if coordinator.scheduler == nil { startCoordinator() }
        resumeCoordinator()
        for worker in workers {
            worker.slowness = 1
            worker.squeezeEnd = now
            if !worker.isUp { start(worker) }
            resume(worker)
        }
    }

    // MARK: Workers

    func start(_ worker: WorkerProcess) {
        guard !worker.isUp else { return }
        worker.start(nonce: random.next())
        scheduleWake(worker, at: now)
        if now < worker.squeezeEnd { queue.push(.memorySample(worker.index, life: worker.life), at: now) }
    }

    func resume(_ worker: WorkerProcess) {
        guard worker.isUp, worker.isStopped else { return }
        tell("\(worker.id) goes on")
        worker.isStopped = false
        let backlog = worker.backlog
        worker.backlog = []
        for event in backlog { queue.push(event, at: now) }
        scheduleWake(worker, at: now)
    }

    private func crash(_ worker: WorkerProcess) -> Bool {
        guard worker.isUp else { return false }
        worker.isUp = false
        let isNoticed = random.chance(0.7)
        if isNoticed {
            let closed = now + random.milliseconds(0...250)
            queue.push(.connectionClosed(life: coordinator.life, connection(of: worker)), at: closed)
        }
        for peer in workers where peer.shape.role != worker.shape.role && random.chance(0.7) {
            let time = now + random.milliseconds(0...250)
            queue.push(.peerUnreachable(peer.index, life: peer.life, worker.id), at: time)
        }
        queue.push(.workerStart(worker.index, life: worker.life), at: now + random.milliseconds(20...4_000))
        return true
    }

    // MARK: Coordinator

    func startCoordinator() {
        guard coordinator.scheduler == nil else { return }
        coordinator.life += 1
        coordinator.isStopped = false
        coordinator.backlog = []
        coordinator.scheduledWake = nil
        coordinator.epoch = ClusterEpoch(random.next())
        tell("the coordinator starts as \(coordinator.epoch)")
        coordinator.scheduler = Scheduler(
            configuration: Scheduler.Configuration(
                modelName: "simulated", maxModelLength: scenario.maxModelLength,
                maxQueuedRequests: scenario.maxQueuedRequests, growthBlocks: scenario.growthBlocks,
                priorityHeadStart: scenario.priorityHeadStart, placement: scenario.placement,
                prefixIndexCapacity: 64, groupLinger: .seconds(2)),
            clusterEpoch: coordinator.epoch)
    }

    func resumeCoordinator() {
        guard coordinator.isStopped else { return }
        coordinator.isStopped = false
        let backlog = coordinator.backlog
        coordinator.backlog = []
        for event in backlog { queue.push(event, at: now) }
        scheduleCoordinatorWake(at: now)
    }

    private func crashCoordinator() -> Bool {
        guard coordinator.scheduler != nil else { return false }
        coordinator.scheduler = nil
        coordinator.isStopped = false
        // Requests that had just arrived go down with it; those not yet sent are sent to the next one.
        for case .submit(let index) in coordinator.backlog { queue.push(.submit(index), at: now) }
        coordinator.backlog = []
        for index in checker.coordinatorCrashed(at: now) where random.chance(0.5) {
            queue.push(.submit(checker.repeatRequest(index)), at: now + random.milliseconds(1...300))
        }
        tampering.coordinatorCrashed()
        for worker in workers where random.chance(0.7) {
            queue.push(.connectionLost(worker.index, life: worker.life), at: now + random.milliseconds(0...250))
        }
        queue.push(.coordinatorStart, at: now + random.milliseconds(20...2_000))
        return true
    }

    // MARK: Network

    private func partitionControl(_ worker: WorkerProcess) {
        let end = now + random.milliseconds(random.pick([50...1_000, 500...5_000]))
        let holding = random.chance(0.5)
        let (up, down) = random.pick([(true, true), (true, false), (false, true)])
        for kind in random.pick([[Network.Kind.control, .heartbeat], [.control], [.heartbeat]]) {
            let forth = Network.Path(kind: kind, from: worker.index, to: coordinatorNode)
            let back = Network.Path(kind: kind, from: coordinatorNode, to: worker.index)
            if up { network.block(forth, until: end, holding: holding) }
            if down { network.block(back, until: end, holding: holding) }
        }
    }

    private func partitionKV(_ a: WorkerProcess, _ b: WorkerProcess) {
        let end = now + random.milliseconds(random.pick([50...1_000, 500...5_000]))
        let holding = random.chance(0.5)
        let (forth, back) = random.pick([(true, true), (true, false), (false, true)])
        let there = Network.Path(kind: .kv, from: a.index, to: b.index)
        let here = Network.Path(kind: .kv, from: b.index, to: a.index)
        if forth { network.block(there, until: end, holding: holding) }
        if back { network.block(here, until: end, holding: holding) }
    }

    private func breakConnection(_ worker: WorkerProcess) {
        let connection = connection(of: worker)
        worker.breaks += 1
        if random.chance(0.8) {
            queue.push(
                .connectionClosed(life: coordinator.life, connection), at: now + random.milliseconds(0...250))
        }
        if random.chance(0.8) {
            queue.push(.connectionLost(worker.index, life: worker.life), at: now + random.milliseconds(0...250))
        }
    }
}
