/// What the chunks of one stream have in common, written once. A token's chunk is the choice that it belongs to between these bytes.
struct ChunkFrame: Sendable {
    /// Up to the elements of `choices`, with what begins a server-sent event.
    private let beginning: [UInt8]
    /// From the end of `choices` on, without the usage.
    private let ending: [UInt8]
    private let report: UsageReport

    /// - Parameter kind: the chunks' `object`.
    init(_ head: AnswerHead, kind: String, _ report: UsageReport) {
        var beginning = ServerSentEvents.beginning
        JSONText.object(head.membersBeforeChoices(kind)).write(to: &beginning)
        beginning.removeLast()
        beginning += #","choices":["#.utf8
        var ending = Array("]".utf8)
        for member in head.membersAfterChoices {
            ending.append(UInt8(ascii: ","))
            member.write(to: &ending)
        }
        (self.beginning, self.ending, self.report) = (beginning, ending, report)
    }

    /// Appends the chunk of one choice.
    func write(_ choice: JSONText, _ usage: Usage, to bytes: inout [UInt8]) {
        bytes += beginning
        choice.write(to: &bytes)
        switch report {
        case .never: end(usage: nil, &bytes)
        case .last: end(usage: .null, &bytes)
        case .always: end(usage: usage.json, &bytes)
        }
    }

    /// Appends the last chunk, which has no choice, if the usage is to be told.
    func writeLast(_ usage: Usage, to bytes: inout [UInt8]) {
        guard report != .never else { return }
        bytes += beginning
        end(usage: usage.json, &bytes)
    }

    /// The chunk of a choice that shows a text and nothing else; `nil` where each chunk has a usage of its own.
    ///
    /// - Parameter choice: the choice with this as its text.
    func textChunk(_ choice: (JSONText) -> JSONText) -> TextChunk? {
        guard report != .always else { return nil }
        var bytes: [UInt8] = []
        write(choice(.verbatim([TextChunk.mark])), Usage(), to: &bytes)
        return TextChunk(bytes)
    }

    private func end(usage: JSONText?, _ bytes: inout [UInt8]) {
        bytes += ending
        if let usage {
            bytes.append(UInt8(ascii: ","))
            JSONText.Member(name: "usage", value: usage).write(to: &bytes)
        }
        bytes.append(UInt8(ascii: "}"))
        bytes += ServerSentEvents.end
    }
}

/// A chunk whose text is still to be written between what stands before and behind it: nearly all of a stream are such.
struct TextChunk: Sendable {
    /// In place of the text. Nowhere else in JSON, which would escape it.
    fileprivate static let mark: UInt8 = 0

    private let before: [UInt8]
    private let behind: [UInt8]

    fileprivate init(_ bytes: [UInt8]) {
        let parts = bytes.split(separator: Self.mark, omittingEmptySubsequences: false)
        precondition(parts.count == 2, "one text in a chunk, not \(parts.count - 1)")
        (before, behind) = (Array(parts[0]), Array(parts[1]))
    }

    func write(_ text: String, to bytes: inout [UInt8]) {
        bytes += before
        JSONText.write(text, to: &bytes)
        bytes += behind
    }
}
