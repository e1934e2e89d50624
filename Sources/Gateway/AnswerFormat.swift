import ClusterCore
import Generation

/// How the events of an answer are put into JSON: whole, or chunk by chunk.
protocol AnswerFormat: Sendable {
    /// Takes an event and gives the chunks that a stream sends for it.
    mutating func chunks(for event: AnswerEvent) -> [JSONText]
    /// The last chunks of a stream, when every choice has ended.
    mutating func lastChunks() -> [JSONText]
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

    func chunk(_ chunk: JSONText, _ usage: Usage) -> JSONText {
        switch self {
        case .never: chunk
        case .last: chunk.adding("usage", .null)
        case .always: chunk.adding("usage", usage.json)
        }
    }
}
