/// Reads a `multipart/form-data` body (RFC 7578) piece by piece. Keeps no more than a part's headers, or as many bytes as a
/// delimiter has.
struct MultipartReader: Sendable {
    private static let mostHeaderBytes = 16 << 10
    private static let mostParts = 64

    enum Event: Sendable, Hashable {
        /// A part begins; `fileName` is that of a file.
        case part(name: String, fileName: String?)
        /// The next bytes of the part.
        case content([UInt8])
        case endOfPart
    }

    private enum State: Sendable {
        /// Before the first delimiter, or within a part.
        case content(isPart: Bool)
        case afterDelimiter
        case headers
        /// Behind the last delimiter.
        case done
    }

    private let delimiter: [UInt8]
    /// A body may begin with its delimiter, whose line end then is missing.
    private var buffer: [UInt8] = [0x0D, 0x0A]
    private var state = State.content(isPart: false)
    private var partCount = 0

    /// - Throws: 415 if the type is another one, 400 if it has no usable boundary.
    init(contentType: String?) throws(APIError) {
        let fields = HeaderParameters(contentType ?? "")
        guard fields.value == "multipart/form-data" else {
            throw APIError(
                415, "the body must be a form: send \"Content-Type: multipart/form-data; boundary=…\"", code: "unsupported_media_type")
        }
        guard let boundary = fields["boundary"], (1...70).contains(boundary.utf8.count) else {
            throw Self.malformed("Content-Type has no boundary of 1 to 70 characters")
        }
        delimiter = Array("\r\n--\(boundary)".utf8)
    }

    /// Whether the last delimiter was read.
    var isDone: Bool { if case .done = state { true } else { false } }

    mutating func take(_ bytes: [UInt8]) throws(APIError) -> [Event] {
        buffer += bytes
        var events: [Event] = []
        while try step(&events) {}
        return events
    }

    /// - Returns: whether there may be more to do with what is there.
    private mutating func step(_ events: inout [Event]) throws(APIError) -> Bool {
        switch state {
        case .content(let isPart):
            let found = find(delimiter)
            let end = found ?? max(0, buffer.count - delimiter.count + 1)
            if isPart, end > 0 { events.append(.content(Array(buffer[..<end]))) }
            buffer.removeFirst(end)
            guard found != nil else { return false }
            buffer.removeFirst(delimiter.count)
            if isPart { events.append(.endOfPart) }
            state = .afterDelimiter
        case .afterDelimiter:
            // A delimiter's line may end in blanks.
            while let first = buffer.first, first == 0x20 || first == 0x09 { buffer.removeFirst() }
            guard buffer.count >= 2 else { return false }
            let mark = buffer.prefix(2)
            guard mark == [0x2D, 0x2D] || mark == [0x0D, 0x0A] else { throw Self.malformed("a delimiter is followed by other text") }
            buffer.removeFirst(2)
            state = mark == [0x2D, 0x2D] ? .done : .headers
        case .headers:
            let found = find([0x0D, 0x0A, 0x0D, 0x0A])
            guard found ?? buffer.count <= Self.mostHeaderBytes else { throw Self.malformed("a part has too many headers") }
            guard let end = found else { return false }
            partCount += 1
            guard partCount <= Self.mostParts else { throw Self.malformed("has more than \(Self.mostParts) parts") }
            events.append(try Self.part(headers: String(decoding: buffer.prefix(end), as: UTF8.self)))
            buffer.removeFirst(end + 4)
            state = .content(isPart: true)
        case .done:
            buffer = []
            return false
        }
        return true
    }

    private func find(_ pattern: [UInt8]) -> Int? {
        var start = 0
        while start + pattern.count <= buffer.count {
            guard let candidate = buffer[start...].firstIndex(of: pattern[0]), candidate + pattern.count <= buffer.count else { return nil }
            if buffer[candidate..<candidate + pattern.count].elementsEqual(pattern) { return candidate }
            start = candidate + 1
        }
        return nil
    }

    private static func part(headers: String) throws(APIError) -> Event {
        for line in headers.split(separator: "\r\n") {
            guard let colon = line.firstIndex(of: ":"), line[..<colon].lowercased() == "content-disposition" else { continue }
            let fields = HeaderParameters(String(line[line.index(after: colon)...]))
            guard fields.value == "form-data", let name = fields["name"] else { break }
            return .part(name: name, fileName: fields["filename"])
        }
        throw malformed("a part has no \"Content-Disposition: form-data; name=…\"")
    }

    static func malformed(_ problem: String) -> APIError {
        APIError(400, "the body is not a form: \(problem)", code: "invalid_multipart")
    }
}

/// The value of a header and its parameters: `form-data; name="file"`.
struct HeaderParameters {
    /// In lower case.
    private(set) var value: String
    private var parameters: [String: String] = [:]

    init(_ text: String) {
        var rest = text[...]
        value = Self.trimmed(rest.prefix { $0 != ";" }).lowercased()
        rest = rest.drop { $0 != ";" }
        while rest.popFirst() != nil {
            let name = Self.trimmed(rest.prefix { $0 != "=" && $0 != ";" }).lowercased()
            rest = rest.drop { $0 != "=" && $0 != ";" }
            guard rest.first == "=" else { continue }
            rest = rest.dropFirst().drop { $0 == " " }
            var content = ""
            if rest.first == "\"" {
                rest.removeFirst()
                while let character = rest.popFirst(), character != "\"" {
                    content.append(character == "\\" ? rest.popFirst() ?? "\\" : character)
                }
                rest = rest.drop { $0 != ";" }
            } else {
                content = Self.trimmed(rest.prefix { $0 != ";" })
                rest = rest.drop { $0 != ";" }
            }
            if parameters[name] == nil { parameters[name] = content }
        }
    }

    subscript(name: String) -> String? { parameters[name] }

    private static func trimmed(_ text: Substring) -> String {
        var text = text.drop { $0 == " " || $0 == "\t" }
        while text.last == " " || text.last == "\t" { text.removeLast() }
        return String(text)
    }
}
