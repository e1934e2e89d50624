import ArgumentParser
import Inference

extension WeightFormat: ExpressibleByArgument {}
extension KVFormat: ExpressibleByArgument {}
extension SharedAttention: ExpressibleByArgument {}
