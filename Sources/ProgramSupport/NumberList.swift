import ArgumentParser

/// Numbers of an option, separated by commas; `none` for none.
public struct NumberList: ExpressibleByArgument, Sendable, Hashable {
    public var numbers: [Int]

    public init(_ numbers: [Int]) { self.numbers = numbers }

    public init?(argument: String) {
        if argument == "none" {
            numbers = []
            return
        }
        numbers = []
        for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
            guard let count = Int(part), count >= 0 else { return nil }
            numbers.append(count)
        }
    }

    public var defaultValueDescription: String {
        numbers.isEmpty ? "none" : numbers.map(String.init).joined(separator: ",")
    }
}
