import ArgumentParser
import ClusterCore

extension PlacementPolicy: ExpressibleByArgument {}
