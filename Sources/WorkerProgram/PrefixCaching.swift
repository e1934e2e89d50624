import ArgumentParser

/// What `--prefix-cache` may be.
public enum PrefixCaching: String, Sendable, ExpressibleByArgument, CaseIterable {
    case on
    case off
}
