import Generation
import OrderedCollections

// Workers come, speak and go.
extension Scheduler {
    mutating func receive(
        _ message: WorkerMessage, _ envelope: Envelope, on connection: ConnectionID, at now: Instant,
        into actions: inout [Action]
    ) {
        if case .register(let registration) = message {
            register(registration, envelope, on: connection, at: now, into: &actions)
            return
        }
        guard let slot = membership.slot(on: connection) else {
            actions.append(.send(connection, envelope, .registerAgain))
            return
        }
        switch membership.receive(envelope, from: slot) {
        case .next: receive(message, from: slot, at: now, into: &actions)
        case .duplicate: break
        case .stale: actions.append(.send(connection, envelope, .registerAgain))
        case .gap(let expected):
            actions.append(.send(connection, envelope, .registerAgain))
            lose(slot, "control message \(expected) was lost", at: now, into: &actions)
        }
    }

    private mutating func register(
        _ registration: Registration, _ envelope: Envelope, on connection: ConnectionID, at now: Instant,
        into actions: inout [Action]
    ) {
        switch membership.judge(registration, ordinal: envelope.sequence) {
        case .refused(let reason): actions.append(.send(connection, envelope, .registrationRefused(reason)))
        case .outdated: break
        case .repeated(let slot):
            membership.move(slot, to: connection)
            welcome(slot, into: &actions)
        case .welcome(let former):
            if let former { lose(former, "it registered again", at: now, into: &actions) }
            if let other = membership.slot(on: connection) {
                lose(other, "its connection serves \(registration.worker) now", at: now, into: &actions)
            }
            let slot = membership.add(registration, ordinal: envelope.sequence, connection: connection, at: now)
            open(slot, role: registration.role)
            welcome(slot, into: &actions)
            observe(nil, .workerJoined(registration.worker, registration.role), into: &actions)
        }
    }

    private func welcome(_ slot: Int, into actions: inout [Action]) {
        let member = membership.members[slot]
        let echo = Envelope(
            clusterEpoch: clusterEpoch, workerEpoch: member.link.workerEpoch, sequence: member.ordinal)
        actions.append(.send(member.connection, echo, .registered(clusterEpoch, member.link.workerEpoch)))
    }

    private mutating func open(_ slot: Int, role: WorkerRole) {
        while prefillWorkers.count <= slot {
            prefillWorkers.append(nil)
            decodeWorkers.append(nil)
        }
        if role.computesPrompts {
            prefillWorkers[slot] = PrefillAssignments()
            history.begin(slot)
        }
        if role.decodes { decodeWorkers[slot] = DecodeAssignments() }
        refreshOffer(of: slot)
        refreshReach()
        for id in setAside {
            guard let request = requests.slot(of: id) else { continue }
            queue.insert(requests[request].rank)
        }
        setAside = []
    }

    private mutating func refreshReach() {
        greatestReach = GreatestReach()
        for slot in membership.members.occupied {
            let reach = membership.members[slot].reach
            switch membership.members[slot].registration.role {
            case .prefill: greatestReach.prefill = max(greatestReach.prefill ?? 0, reach)
            case .decode: greatestReach.decode = max(greatestReach.decode ?? 0, reach)
            case .mixed: greatestReach.mixed = max(greatestReach.mixed ?? 0, reach)
            }
        }
    }

    mutating func receive(_ pong: Pong, at now: Instant) {
        if let (slot, hasChanged) = membership.receive(pong, at: now), hasChanged { refreshOffer(of: slot) }
    }

    /// A worker is gone: whatever it had is served again, from what others still have.
    mutating func lose(_ slot: Int, _ reason: String, at now: Instant, into actions: inout [Action]) {
        let member = membership.remove(slot, at: now)
        refreshOffer(of: slot)
        refreshReach()
        observe(nil, .workerLost(member.worker, reason), into: &actions)
        for id in prefillWorkers[slot]?.requests ?? [] {
            guard let request = requests.slot(of: id) else { preconditionFailure("\(id) is assigned but unknown") }
            loseHolder(of: request, "\(member.worker) was lost: \(reason)", at: now, into: &actions)
        }
        for id in decodeWorkers[slot]?.requests ?? [] {
            guard let request = requests.slot(of: id) else { preconditionFailure("\(id) is assigned but unknown") }
            loseDecode(of: request, "\(member.worker) was lost: \(reason)", at: now, into: &actions)
        }
        for id in decodeWorkers[slot]?.parked ?? [] {
            guard let request = requests.slot(of: id) else { preconditionFailure("\(id) is parked but unknown") }
            loseHolder(of: request, "\(member.worker) was lost: \(reason)", at: now, into: &actions)
        }
        prefillWorkers[slot] = nil
        history.end(slot)
        decodeWorkers[slot] = nil
        index.clear(slot)
    }
}
