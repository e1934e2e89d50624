import ArgumentParser
import Inference

extension WeightFormat: ExpressibleByArgument {}
