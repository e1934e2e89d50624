import ServingExperiments

extension BatchArm {
    /// What the workers of a cluster are told for the arm. Groups are named by the requests themselves.
    var workerArguments: [String] {
        switch self {
        case .none: ["--prefix-cache", "off", "--shared-attention", "off"]
        case .lru, .grouped, .reordered, .memory: ["--prefix-cache", "on", "--shared-attention", "off"]
        case .shared: ["--prefix-cache", "on", "--shared-attention", "auto"]
        }
    }
}
