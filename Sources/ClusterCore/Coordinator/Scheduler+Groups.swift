import Generation
import OrderedCollections

// Groups of a planned batch: who belongs to which, where their prefixes are kept, and when these may go.
extension Scheduler {
    /// The group that a request belongs to, a new one if it is the first member.
    mutating func join(_ request: ClientRequest) -> GroupID? {
        guard let stated = request.group else { return nil }
        let key = ServingGroup.Key(client: request.groupOwner ?? request.key.client, id: stated.id)
        let group: GroupID
        if let known = groupOfKey[key], groups[known]?.prefixCount == Int(stated.prefixCount) {
            group = known
        } else {
            lastGroup += 1
            group = GroupID(lastGroup)
            groups[group] = ServingGroup(stated, under: key)
            groupOfKey[key] = group
        }
        groups[group]?.openCount += 1
        groups[group]?.idleSince = nil
        return group
    }

    /// What workers are told of the group of a request.
    func membership(in group: GroupID?) -> GroupMembership? {
        group.flatMap { id in groups[id].map { GroupMembership(group: id, prefixCount: $0.prefixCount) } }
    }

    /// A member goes to these workers, which will keep the prefix.
    mutating func noteMember(of group: GroupID?, on route: ServingRequest.Route) {
        guard let group else { return }
        for worker in [route.source?.worker, route.decode].compactMap({ $0 }) { groups[group]?.workers.append(worker) }
    }

    /// A member has ended; the last one takes the group with it.
    mutating func leave(_ group: GroupID?, into actions: inout [Action]) {
        guard let group, groups[group] != nil else { return }
        groups[group]?.openCount -= 1
        groups[group]?.endedCount += 1
        guard let state = groups[group], state.openCount == 0 else { return }
        if state.isComplete { return end(group, into: &actions) }
        groups[group]?.idleSince = time
        idleGroups.append(IdleGroup(group: group, due: time + configuration.groupLinger))
    }

    /// Groups of which nobody has been heard for a while: their client may be gone, or may have counted wrong.
    mutating func endIdleGroups(at now: Instant, into actions: inout [Action]) {
        while let first = idleGroups.first, first.due <= now {
            idleGroups.removeFirst()
            guard let since = groups[first.group]?.idleSince, since + configuration.groupLinger <= now else { continue }
            end(first.group, into: &actions)
        }
    }

    private mutating func end(_ group: GroupID, into actions: inout [Action]) {
        guard let state = groups.removeValue(forKey: group) else { return }
        if groupOfKey[state.key] == group { groupOfKey[state.key] = nil }
        groupCounters.noteEnd(members: state.endedCount)
        // A worker that came into a slot later knows nothing of the group, and ignores this.
        for worker in state.workers where membership.members.indices.contains(worker) && membership.members.isOccupied(worker) {
            send(.releaseGroup(group), to: worker, into: &actions)
        }
    }

    func checkGroups() {
        var open: [GroupID: Int] = [:]
        for slot in requests.occupied {
            if let group = requests[slot].group, !requests[slot].isChoice { open[group, default: 0] += 1 }
        }
        for (id, group) in groups {
            precondition(group.openCount == open[id, default: 0], "\(group.openCount) members of \(id) are open")
            precondition(group.openCount > 0 || group.idleSince != nil, "\(id) should have ended")
        }
    }
}

/// A group without open members, and when it ends if none comes.
struct IdleGroup: Sendable {
    var group: GroupID
    var due: Instant
}
