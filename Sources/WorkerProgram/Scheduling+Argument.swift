import ArgumentParser
import ClusterCore

extension Scheduling: ExpressibleByArgument {}
