import ArgumentParser
import Inference

/// `auto`, `off` or a directory.
extension WeightCache: ExpressibleByArgument {
    public init?(argument: String) {
        switch argument {
        case "": return nil
        case "auto": self = .automatic
        case "off": self = .off
        default: self = .directory(argument)
        }
    }

    public var defaultValueDescription: String {
        switch self {
        case .automatic: "auto"
        case .off: "off"
        case .directory(let path): path
        }
    }
}
