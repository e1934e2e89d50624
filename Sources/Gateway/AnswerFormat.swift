import ClusterCore
import Generation

/// How the events of an answer are put into JSON: whole, or chunk by chunk.
protocol AnswerFormat: Sendable {
    /// Takes an event and appends what a stream sends for it: server-sent events, or nothing.
    mutating func stream(_ event: AnswerEvent, to bytes: inout [UInt8])
    /// Appends what a stream ends with, when every choice has ended.
    func endStream(to bytes: inout [UInt8])
    /// Takes an event of an answer that is sent whole.
    mutating func take(_ event: AnswerEvent)
    /// The whole answer, when every choice has ended.
    func whole() -> JSONText

    var usage: Usage { get }
}

/// The chunks of a stream tell the usage in the last one, in all, or nowhere.
enum UsageReport: Sendable, Hashable {
    case never
    case last
    case always

    init(_ shared: SharedParameters) {
        self = shared.includesUsageAlways ? .always : shared.includesUsage ? .last : .never
    }
}
