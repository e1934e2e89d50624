import Foundation

/// The share of long work that is done, on standard error: in place on a terminal, once at the end elsewhere.
public struct ProgressLine: Sendable {
    let title: String
    private let isTerminal = isatty(STDERR_FILENO) == 1

    public init(title: String) { self.title = title }

    public func show(_ share: Double) {
        guard isTerminal else { return }
        FileHandle.standardError.write(Data("\r\(title): \(Int(share * 100)) %\u{1B}[K".utf8))
    }

    /// Takes the line away.
    public func clear() {
        guard isTerminal else { return }
        FileHandle.standardError.write(Data("\r\u{1B}[K".utf8))
    }

    public func finish() {
        FileHandle.standardError.write(Data("\(isTerminal ? "\r" : "")\(title): done\(isTerminal ? "\u{1B}[K" : "")\n".utf8))
    }
}
