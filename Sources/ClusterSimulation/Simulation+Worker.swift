import ClusterCore
import Generation

// The workers' shells, their engines and their transport.
extension Simulation {
    func handle(_ event: Event, at worker: WorkerProcess) {
        switch event {
        case .order(_, _, let envelope, let message): run(.message(envelope, message), worker)
        case .ping(_, _, let ping): run(.ping(ping, worker.load), worker)
        case .connectionLost: run(.connectionLost, worker)
        case .workerWake:
            guard worker.scheduledWake == now else { return }  // Another wake-up took its place.
            worker.scheduledWake = nil
            if let time = worker.sessionWake, time <= now { worker.sessionWake = nil }
            run(.tick, worker)
            if !worker.isReleasing { tick(worker) }
        case .layerStored(_, _, let layer): storeLayer(layer, worker)
        case .stepDone: finishStep(worker)
        case .transport(_, _, let send): transport(send, worker)
        case .kv(_, let peer, let message, let payload): receive(message, payload, from: peer, worker)
        case .kvReply(_, _, let reply):
            guard !worker.isReleasing, let reply = tamper(reply) else { break }
            tell("\(worker.id) hears \(reply)")
            carryOut(worker.prefill?.handle(.reply(reply), at: now), worker)
            carryOut(worker.decode?.handle(.reply(reply), at: now), worker)
        case .peerUnreachable(_, _, let peer):
            guard !worker.isReleasing else { break }
            carryOut(worker.prefill?.handle(.peerUnreachable(peer), at: now), worker)
            carryOut(worker.decode?.handle(.peerUnreachable(peer), at: now), worker)
        case .lateWrite(_, _, let writes): write(writes, worker)
        case .storeDone(_, _, let task): finish(task, worker)
        case .memorySample: sampleMemory(worker)
        case .lateRelease(_, _, let blocks): forget(blocks, worker)
        default: preconditionFailure("\(event) is not for a worker")
        }
        settle(worker)
    }

    /// After every event: go on with what the event made possible.
    private func settle(_ worker: WorkerProcess) {
        if worker.isReleasing {
            guard worker.isQuiescent else { return wake(worker) }
            worker.dropRole()
            worker.isReleasing = false
            run(.released, worker)
        }
        startStep(worker)
        wake(worker)
    }

    private func wake(_ worker: WorkerProcess) {
        guard let time = worker.nextWake else { return }
        if let scheduled = worker.scheduledWake, scheduled <= time { return }
        scheduleWake(worker, at: max(time, now))
    }

    func scheduleWake(_ worker: WorkerProcess, at time: Instant) {
        worker.scheduledWake = time
        queue.push(.workerWake(worker.index, life: worker.life), at: time)
    }

    private func tick(_ worker: WorkerProcess) {
        carryOut(worker.prefill?.handle(.tick, at: now), worker)
        carryOut(worker.decode?.handle(.tick, at: now), worker)
        carryOut(worker.mixed?.handle(.tick, at: now), worker)
    }

    // MARK: Session

    private func run(_ event: WorkerSession.Event, _ worker: WorkerProcess) {
        for action in worker.session.handle(event, at: now) { carryOut(action, worker) }
    }

    private func carryOut(_ action: WorkerSession.Action, _ worker: WorkerProcess) {
        switch action {
        case .send(let message, let envelope): send(message, envelope, worker)
        case .pong(let pong):
            let path = Network.Path(kind: .heartbeat, from: worker.index, to: coordinatorNode)
            for time in network.arrivals(on: path, at: now, &random) {
                queue.push(.pong(life: coordinator.life, pong), at: time)
            }
        case .becameRegistered(let cluster, let epoch):
            tell("\(worker.id) is registered as \(cluster) \(epoch)")
            worker.epochs = (cluster, epoch)
            (worker.orders, worker.known, worker.begun) = ([:], [], [])
            if !worker.hasRole { worker.makeRole(cluster, epoch, plant: plant) }
        case .deliver(let message): deliver(message, worker)
        case .reset(let reason):
            tell("\(worker.id) starts over: \(reason)")
            if plant == .roleKeptAtReset {
                run(.released, worker)
            } else {
                worker.isReleasing = true
            }
        case .refused(let reason): violate("\(worker.id) is refused: \(reason)")
        case .wakeAt(let time): worker.sessionWake = time
        }
    }

    private func send(_ message: WorkerMessage, _ envelope: Envelope, _ worker: WorkerProcess) {
        if case .register = message, worker.hasRole, plant != .roleKeptAtReset {
            violate("\(worker.id) registers with a role in its hands")
        }
        let connection = connection(of: worker)
        let path = Network.Path(kind: .control, from: worker.index, to: coordinatorNode)
        for time in network.arrivals(on: path, at: now, &random) {
            queue.push(.control(life: coordinator.life, connection, envelope, message), at: time)
        }
    }

    private func deliver(_ message: CoordinatorMessage, _ worker: WorkerProcess) {
        switch message {
        case .grant(let grant):
            learn(grant.sequence, worker)
            for attempt in [grant.sequence.attempt] + grant.sequence.forks.map(\.attempt) {
                worker.orders[attempt] = grant.sequence.tokens
            }
        case .prefill(let order):
            learn(order.sequence, worker)
            worker.orders[order.sequence.attempt] = order.sequence.tokens
        case .retarget(let from, let to, _): worker.orders[to] = worker.orders[from]
        case .cancel(let attempt): if drops(cancelOf: attempt) { return }
        case .registered, .registrationRefused, .registerAgain, .preempt, .resume, .releaseGroup: break
        }
        carryOut(worker.prefill?.handle(.message(message), at: now), worker)
        carryOut(worker.decode?.handle(.message(message), at: now), worker)
        carryOut(worker.mixed?.handle(.message(message), at: now), worker)
    }

    private func report(_ message: WorkerMessage, _ worker: WorkerProcess) {
        switch message {
        case .decodeFailed(_, .evicted): report.evictions += 1
        case .parked where plant == .parkingSwallowed: return
        default: break
        }
        if plant == .failureSwallowed {
            switch message {
            case .prefillFailed, .decodeFailed: return
            default: break
            }
        }
        for action in worker.session.envelopes(for: [message]) { carryOut(action, worker) }
    }

    // MARK: Roles

    func carryOut(_ actions: [PrefillRole.Action]?, _ worker: WorkerProcess) {
        for action in actions ?? [] {
            switch action {
            case .copyBlock(let from, let to):
                guard plant != .partOfBlockNotCopied else { break }
                worker.kv.copyBlock(from: from, to: to, layerCount: scenario.geometry.layerCount)
            case .sendBlocks(_, _, let lease, _) where worker.isReleasing:
                // Nothing is sent any more, but the lease has to come back.
                carryOut(worker.prefill?.handle(.sent(lease), at: now), worker)
            case _ where worker.isReleasing: break
            case .send(let message, let destination):
                enqueue(KVSend(message: message, blocks: [], lease: nil, destination: destination), worker)
            case .sendBlocks(let blocks, let local, let lease, let destination):
                if let problem = ledger.send(blocks) { violate(problem) }
                let isEarly = plant == .leaseEndedEarly
                enqueue(
                    KVSend(
                        message: .blocks(blocks), blocks: local, lease: isEarly ? nil : lease,
                        destination: destination), worker)
                if isEarly { carryOut(worker.prefill?.handle(.sent(lease), at: now), worker) }
            case .report(let message): report(message, worker)
            }
        }
    }

    func carryOut(_ actions: [DecodeRole.Action]?, _ worker: WorkerProcess) {
        guard !worker.isReleasing else { return }
        for action in actions ?? [] {
            switch action {
            case .reply(let peer, let reply): send(reply, to: peer, worker)
            case .report(let message): report(message, worker)
            case .copyBlock(let from, let to):
                report.blocksCopied += 1
                guard plant != .shapingMovesNothing else { break }
                guard plant != .sharedBlockNotCopied || worker.shape.scheduling == .batonDense else { break }
                worker.kv.copyBlock(from: from, to: to, layerCount: scenario.geometry.layerCount)
            case .releaseMemory(let blocks): release(blocks, worker)
            case .park(let kv): enqueue(.park(kv), worker)
            case .restore(let kv): enqueue(.restore(kv), worker)
            case .discard(let id): enqueue(.discard(id), worker)
            case .load(let id):
                report.migrations += 1
                enqueue(.load(id), worker)
            case .send(let message, let destination):
                enqueue(KVSend(message: message, blocks: [], destination: destination), worker)
            case .sendParked(let blocks, let id, let destination):
                if let problem = ledger.send(blocks) { violate(problem) }
                enqueue(KVSend(message: .blocks(blocks), blocks: [], parked: id, destination: destination), worker)
            }
        }
    }

    func carryOut(_ actions: [MixedRole.Action]?, _ worker: WorkerProcess) {
        guard !worker.isReleasing else { return }
        for action in actions ?? [] {
            switch action {
            case .report(let message): report(message, worker)
            case .copyBlock(let from, let to):
                guard plant != .partOfBlockNotCopied else { break }
                worker.kv.copyBlock(
                    from: real(from, worker), to: real(to, worker), layerCount: scenario.geometry.layerCount)
            case .park(let kv): enqueue(.park(kv), worker)
            case .restore(let kv): enqueue(.restore(kv), worker)
            case .discard(let id): enqueue(.discard(id), worker)
            case .releaseMemory(let blocks): release(blocks, worker)
            }
        }
    }

    // MARK: Transport

    /// Messages leave in order; a payload is read from the pool only when its turn comes.
    private func enqueue(_ send: KVSend, _ worker: WorkerProcess) {
        let time = max(worker.transportFree, now) + random.microseconds(10...scenario.transportTime) * worker.slowness
        worker.transportFree = time
        queue.push(.transport(worker.index, life: worker.life, send), at: time)
    }

    private func transport(_ send: KVSend, _ worker: WorkerProcess) {
        var payload: Payload?
        if case .blocks(let blocks) = send.message {
            let stored = send.parked.flatMap { parkedSlots($0, blocks.range, worker) }
            // Discarded meanwhile: the message is not sent.
            if send.parked != nil, stored == nil { return }
            let slots = stored ?? worker.kv.read(layer: blocks.range.layer, blocks: send.blocks)
            checkSent(slots, blocks, worker)
            let isDamaged = random.chance(network.noise.corruption)
            if isDamaged { report.payloadsDamaged += 1 }
            payload = Payload(slots: isDamaged ? slots.map { $0 ^ 0xFF00 } : slots, isDamaged: isDamaged)
        }
        if let lease = send.lease { carryOut(worker.prefill?.handle(.sent(lease), at: now), worker) }
        guard let destination = indexOfWorker[send.destination.worker] else {
            return violate("\(send.destination) is nobody")
        }
        let path = Network.Path(kind: .kv, from: worker.index, to: destination)
        let peer = PeerID(UInt64(worker.index) << 32 | UInt64(worker.life))
        for time in network.arrivals(on: path, at: now, &random) {
            queue.push(.kv(destination, from: peer, send.message, payload: payload), at: time)
        }
    }

    /// Whatever leaves under an attempt's name must be that attempt's KV, wanted or not.
    private func checkSent(_ slots: [UInt64], _ blocks: KVBlocks, _ worker: WorkerProcess) {
        guard let ordered = worker.orders[blocks.attempt], !worker.isReleasing else { return }
        var tokens = ordered
        if worker.decode != nil {
            // What a decode worker sends has grown since it was granted. Nobody knows the requests of a dead coordinator, whose
            // names its successor gives to others.
            guard blocks.epoch == coordinator.epoch, let index = checker.index(of: blocks.attempt.request),
                let answer = checker.choice(of: blocks.attempt.request)?.expected
            else { return }
            let prompt = checker.tracked[index].request.prompt
            tokens = Array((prompt + answer.tokens.map(\.token)).prefix(blocks.tokenCount))
        }
        let expected = scenario.model.slots(layer: blocks.range.layer, of: tokens)
        let start = blocks.range.first * scenario.geometry.blockSize
        let end = min(start + slots.count, tokens.count)
        guard end > start, Array(slots[..<(end - start)]) == Array(expected[start..<end]) else {
            return violate("\(worker.id) sends as \(blocks.attempt) KV that is not its own: \(blocks.range)")
        }
    }

    private func send(_ reply: KVReply, to peer: PeerID, _ worker: WorkerProcess) {
        var reply = reply
        if case .credit(let epoch, let attempt, let limit, let held) = reply {
            ledger.allow(limit, epoch, attempt)
            checkHeld(held, of: attempt, worker)
            if plant == .heldOverstated { reply = .credit(epoch, attempt, limit: limit, held: held + 1) }
        }
        let target = Int(peer.rawValue >> 32)
        let path = Network.Path(kind: .kv, from: worker.index, to: target)
        for time in network.arrivals(on: path, at: now, &random) {
            queue.push(.kvReply(target, life: Int(peer.rawValue & 0xFFFF_FFFF), reply), at: time)
        }
    }

    private func receive(_ message: KVMessage, _ payload: Payload?, from peer: PeerID, _ worker: WorkerProcess) {
        guard !worker.isReleasing, let role = worker.decode else { return }
        let epoch = message.clusterEpoch
        let message = tamper(message, worker)
        tell("\(worker.id) hears \(message)")
        guard case .blocks(let blocks) = message, var payload else {
            return carryOut(worker.decode?.handle(.kv(peer, message), at: now), worker)
        }
        switch role.destination(for: blocks) {
        case .failure(let refusal):
            carryOut(worker.decode?.handle(.blocksRefused(peer, blocks, refusal), at: now), worker)
        case .success(let local):
            if epoch != worker.epochs?.cluster { violate("\(worker.id) takes KV of \(epoch), another cluster's") }
            tamper(&payload, worker)
            worker.kv.write(payload.slots, layer: blocks.range.layer, blocks: tamper(local))
            let event: DecodeRole.Event = payload.isDamaged ? .blocksCorrupt(peer, blocks) : .blocksStored(peer, blocks)
            carryOut(worker.decode?.handle(event, at: now), worker)
        }
    }
}

extension KVMessage {
    var clusterEpoch: ClusterEpoch {
        switch self {
        case .open(let open): open.epoch
        case .blocks(let blocks): blocks.epoch
        case .commit(let commit): commit.epoch
        case .abort(let epoch, _): epoch
        }
    }
}
