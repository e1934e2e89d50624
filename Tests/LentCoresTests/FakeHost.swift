@testable import LentCores

/// The cores of a host, and a board on it for each worker. Seen from one thread.
final class FakeHost {
    var leases: [Int: Int] = [:]
    var turns: [Int: Int] = [:]
    var wanted: [Int: Set<Int>] = [:]
    var homes: [Int: Set<Int>] = [:]
    var keen: Set<Int> = []

    func board(of worker: Int, homes: [Int]) -> FakeBoard {
        for home in homes { self.homes[home, default: []].insert(worker) }
        return FakeBoard(host: self, worker: worker)
    }

    /// What the kernel does when a process ends.
    func die(_ worker: Int) {
        leases = leases.filter { $0.value != worker }
        turns = turns.filter { $0.value != worker }
        for core in wanted.keys { wanted[core]?.remove(worker) }
        for core in homes.keys { homes[core]?.remove(worker) }
        keen.remove(worker)
    }

    var isUntouched: Bool { leases.isEmpty && turns.isEmpty && wanted.values.allSatisfy(\.isEmpty) && keen.isEmpty }
}

final class FakeBoard: CoreBoard {
    let host: FakeHost
    let worker: Int

    init(host: FakeHost, worker: Int) {
        self.host = host
        self.worker = worker
    }

    func take(_ core: Int) -> Bool {
        guard host.leases[core, default: worker] == worker else { return false }
        host.leases[core] = worker
        return true
    }

    func giveBack(_ core: Int) {
        precondition(host.leases[core] == worker, "\(worker) gives back \(core), which it does not have")
        host.leases[core] = nil
    }

    func setWanted(_ core: Int, _ isWanted: Bool) {
        if isWanted { host.wanted[core, default: []].insert(worker) } else { host.wanted[core]?.remove(worker) }
    }

    func isWanted(_ core: Int) -> Bool { host.wanted[core, default: []].contains { $0 != worker } }

    func takeTurn(_ core: Int) -> Bool {
        guard host.turns[core, default: worker] == worker else { return false }
        host.turns[core] = worker
        return true
    }

    func endTurn(_ core: Int) {
        precondition(host.turns[core] == worker, "\(worker) ends a turn on \(core) that it does not have")
        host.turns[core] = nil
    }

    func setKeen(_ isKeen: Bool) {
        if isKeen { host.keen.insert(worker) } else { host.keen.remove(worker) }
    }

    func areOthersKeen() -> Bool { host.keen.contains { $0 != worker } }

    func othersHomes() -> [Int] {
        host.homes.filter { $0.value.contains { $0 != worker } }.keys.sorted()
    }
}

/// A worker's leases on its board.
final class FakeWorker {
    var leases: CoreLeases
    let board: FakeBoard

    init(_ host: FakeHost, _ worker: Int, homes: [Int], maxCores: Int = 8, isKeen: Bool = false) {
        var rules = CoreLeases.Rules(homes: homes, maxCores: maxCores)
        rules.isKeen = isKeen
        leases = CoreLeases(rules)
        board = host.board(of: worker, homes: homes)
    }

    var crew: [Int] { leases.crew }

    @discardableResult
    func take(_ milliseconds: Double) -> Bool {
        defer { leases.settle(on: board, at: .at(milliseconds)) }
        return leases.take(on: board, at: .at(milliseconds))
    }

    /// One boundary inside a step, as a crew carries it out.
    func look(_ milliseconds: Double) {
        guard leases.look(on: board, at: .at(milliseconds)) else { return }
        leases.settle(on: board, at: .at(milliseconds))
        if crew.isEmpty { take(milliseconds) }
    }

    func end(_ milliseconds: Double) {
        leases.end(on: board)
        leases.settle(on: board, at: .at(milliseconds))
    }

    func rest(_ milliseconds: Double) { leases.rest(on: board, at: .at(milliseconds)) }
}
