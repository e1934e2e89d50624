import ClusterCore
import Generation

// The coordinator's shell, and the clients behind it.
extension Simulation {
    /// Node number of the coordinator in the network.
    var coordinatorNode: Int { workers.count }

    func handleAtCoordinator(_ event: Event) {
        switch event {
        case .submit(let index): submit(index)
        case .cancel(let index):
            guard case .open = checker.tracked[index].state else { return }
            checker.tracked[index].isUnwanted = true
            schedule(.cancelled(key(index)))
        case .clientGone(let client):
            for index in checker.tracked.indices where checker.tracked[index].request.client == client {
                if case .open = checker.tracked[index].state { checker.tracked[index].isUnwanted = true }
            }
            schedule(.clientGone(ClientID(UInt64(client))))
        case .control(let life, let connection, let envelope, let message):
            guard coordinator.life == life else { return }
            receive(message, envelope, on: connection)
        case .pong(let life, let pong): if coordinator.life == life { schedule(.pong(tamper(pong))) }
        case .connectionClosed(let life, let connection):
            if coordinator.life == life { schedule(.workerConnectionClosed(connection)) }
        case .coordinatorWake(let life):
            guard coordinator.life == life, coordinator.scheduledWake == now else { return }
            coordinator.scheduledWake = nil
            schedule(.tick)
        default: preconditionFailure("\(event) is not for the coordinator")
        }
    }

    private func key(_ index: Int) -> ClientRequestKey {
        ClientRequestKey(client: ClientID(UInt64(checker.tracked[index].request.client)), key: UInt64(index))
    }

    private func submit(_ index: Int) {
        guard coordinator.scheduler != nil else {
            queue.push(.submit(index), at: now + random.milliseconds(50...300))
            return
        }
        let request = checker.tracked[index].request
        let deadline = request.timeout.map { now + $0 }
        checker.tracked[index].deadline = deadline
        if let delay = request.cancelAfter { queue.push(.cancel(index), at: now + delay) }
        schedule(
            .submitted(ClientRequest(
                key: key(index), prompt: request.prompt, sampling: request.sampling, stop: request.stop,
                choices: request.choices, logprobs: request.logprobs, promptLogprobs: request.promptLogprobs,
                priority: request.priority, cacheSalt: request.cacheSalt, group: request.group,
                deadline: deadline)))
    }

    private func receive(_ message: WorkerMessage, _ envelope: Envelope, on connection: ConnectionID) {
        tell("\(workerNode(of: connection).id) -> coordinator #\(envelope.sequence) \(message)")
        guard let (message, envelope) = tamper(message, envelope, on: connection) else { return }
        schedule(.workerMessage(connection, envelope, message))
    }

    /// Hands an event to the scheduler and carries its actions out.
    private func schedule(_ event: Scheduler.Event) {
        guard let actions = coordinator.scheduler?.handle(event, at: now) else { return }
        for action in actions { carryOut(action) }
        // Those that were running when their workers were lost wait again, whatever the queue holds.
        let bound = scenario.maxQueuedRequests + workers.count * 12
        if let waiting = coordinator.scheduler?.waitingCount, waiting > bound {
            violate("\(waiting) requests are waiting")
        }
        meetStopStrings()
    }

    private func carryOut(_ action: Scheduler.Action) {
        switch action {
        case .accepted(let key, let request):
            note(checker.accept(Int(key.key), as: request))
            tell("#\(key.key) is \(request)")
        case .refused(let key, let failure):
            note(checker.refuse(Int(key.key), failure, isQueueBounded: scenario.maxQueuedRequests < 1000, at: now))
        case .emitPrompt(let request, let first, let tokens):
            report.scores += tokens.count
            tell("\(request) has scores of tokens \(first)..<\(Int(first) + tokens.count)")
            note(checker.emitPrompt(request, first, tokens))
            if plant == .scoresEmittedTwice, random.chance(0.05) { note(checker.emitPrompt(request, first, tokens)) }
        case .emit(let request, let choice, let firstIndex, let tokens): emit(request, choice, firstIndex, tokens)
        case .finish(let request, let choice, let summary):
            tell("\(request)/\(choice) finishes: \(summary.reason), \(summary.tokenCount) tokens, attempt \(summary.attempts)")
            report.attempts += Int(summary.attempts)
            report.choices += choice > 0 ? 1 : 0
            note(checker.finish(request, choice, summary.reason, summary.tokenCount, at: now))
        case .fail(let request, let failure):
            tell("\(request) fails: \(failure.code), \(failure.message)")
            if plant == .failureLooksFinished, let index = checker.index(of: request) {
                let count = Int32(checker.tracked[index].choices[0].received.count)
                note(checker.finish(request, 0, .length, count, at: now))
            } else {
                note(checker.fail(request, failure, at: now))
            }
        case .send(let connection, let envelope, let message): send(message, envelope, on: connection)
        case .ping(let worker, let ping): send(ping, to: worker)
        case .observe: break
        case .wakeAt(let time):
            if let scheduled = coordinator.scheduledWake, scheduled <= time { break }
            scheduleCoordinatorWake(at: max(time, now))
        case .drained: violate("drained, though nobody asked")
        }
    }

    func scheduleCoordinatorWake(at time: Instant) {
        coordinator.scheduledWake = time
        queue.push(.coordinatorWake(life: coordinator.life), at: time)
    }

    private func note(_ problem: String?) {
        if let problem { violate(problem) }
    }

    private func emit(_ request: RequestID, _ choice: Int32, _ firstIndex: Int32, _ tokens: [ScoredToken]) {
        for token in tokens { digest(3, UInt64(UInt32(bitPattern: token.token))) }
        report.tokens += tokens.count
        tell("\(request)/\(choice) emits \(firstIndex)...: \(tokens.map(\.token))")
        note(checker.emit(request, choice, firstIndex, tokens))
        if plant == .tokenEmittedTwice, random.chance(0.05) { note(checker.emit(request, choice, firstIndex, tokens)) }
        guard let index = checker.index(of: request), let limit = checker.tracked[index].request.stopStringAfter,
            checker.tracked[index].choices[Int(choice)].received.count >= limit + Int(choice),
            !checker.tracked[index].choices[Int(choice)].isStopped
        else { return }
        tampering.stopped.append((request, choice))
    }

    /// The shell finds stop strings in what was just emitted; unless the answer has ended by itself.
    private func meetStopStrings() {
        while let (request, choice) = tampering.stopped.popLast() {
            guard let index = checker.index(of: request), case .open = checker.tracked[index].state,
                !checker.tracked[index].choices[Int(choice)].hasEnded
            else { continue }
            checker.tracked[index].choices[Int(choice)].isStopped = true
            schedule(.stopMatched(request, choice: choice))
        }
    }

    // MARK: Links

    /// A worker's connection says whose it is, in whose life, and how often it broke.
    func connection(of worker: WorkerProcess) -> ConnectionID {
        ConnectionID(
            UInt64(worker.index) << 48 | UInt64(worker.life) << 32 | UInt64(coordinator.life) << 16
                | UInt64(worker.breaks))
    }

    func workerNode(of connection: ConnectionID) -> WorkerProcess { workers[Int(connection.rawValue >> 48)] }

    private func send(_ message: CoordinatorMessage, _ envelope: Envelope, on connection: ConnectionID) {
        let worker = workerNode(of: connection)
        let message = tamper(message)
        tell("coordinator -> \(worker.id) #\(envelope.sequence) \(message)")
        if case .retarget = message { report.retargets += 1 }
        if case .registered = message { report.registrations += 1 }
        let path = Network.Path(kind: .control, from: coordinatorNode, to: worker.index)
        let life = Int(connection.rawValue >> 32 & 0xFFFF)
        for time in network.arrivals(on: path, at: now, &random) {
            queue.push(.order(worker.index, life: life, envelope, message), at: time)
        }
    }

    private func send(_ ping: Ping, to id: WorkerID) {
        guard let index = indexOfWorker[id] else { return violate("\(id) is nobody") }
        let path = Network.Path(kind: .heartbeat, from: coordinatorNode, to: index)
        for time in network.arrivals(on: path, at: now, &random) {
            queue.push(.ping(index, life: workers[index].life, ping), at: time)
        }
    }
}
