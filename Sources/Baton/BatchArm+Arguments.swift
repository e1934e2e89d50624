import ServingExperiments

extension BatchArm {
    /// What the workers of a cluster are told for the arm; `nil` for one that this build cannot serve. Workers here keep no
    /// prefixes, so that grouping, order and admission are only those of the requests' submission.
    var workerArguments: [String]? {
        switch self {
        case .none, .grouped, .reordered, .memory: []
        case .lru, .shared: nil
        }
    }

    static var served: Set<BatchArm> { Set(allCases.filter { $0.workerArguments != nil }) }
}
