import ArgumentParser
import LocalCluster

extension Arm: ExpressibleByArgument {}
