/// A figure for each priority, to be read as "of this priority or a higher one": what a request of that priority has to
/// share with others, as it may take the rest.
struct PriorityTally: Sendable, Hashable {
    private var low = 0
    private var normal = 0
    private var high = 0

    mutating func add(_ figure: Int, _ priority: Priority) {
        switch priority {
        case .low: low += figure
        case .normal: normal += figure
        case .high: high += figure
        }
    }

    func atLeast(_ priority: Priority) -> Int {
        switch priority {
        case .low: total
        case .normal: normal + high
        case .high: high
        }
    }

    var total: Int { low + normal + high }
}

/// A tournament for each priority: what workers offer to a request of that priority, which need not count those that it
/// may displace.
struct PriorityOffers: Sendable {
    private var trees = [PlacementTree](repeating: PlacementTree(), count: Priority.allCases.count)

    subscript(priority: Priority) -> PlacementTree { trees[priority.index] }

    mutating func set(_ worker: Int, to offer: (Priority) -> PlacementTree.Offer?) {
        for priority in Priority.allCases { trees[priority.index].set(worker, to: offer(priority)) }
    }

    func checkInvariants() {
        for tree in trees { tree.checkInvariants() }
    }
}

extension Priority {
    /// Place in ``Priority/allCases``.
    fileprivate var index: Int { rawValue - Priority.low.rawValue }
}
