import JSONReader

/// What a template is given: JSON, with members in the order in which they came.
public indirect enum TemplateValue: Sendable, Hashable {
    public struct Member: Sendable, Hashable {
        public var key: String
        public var value: TemplateValue

        public init(_ key: String, _ value: TemplateValue) {
            self.key = key
            self.value = value
        }
    }

    case null
    case boolean(Bool)
    case integer(Int)
    /// The digits of an integer that `Int` does not hold, which templates can print.
    case wideInteger(String)
    case number(Double)
    case string(String)
    case array([TemplateValue])
    /// No two members have the same key.
    case object([Member])

    public subscript(key: String) -> TemplateValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key.utf8.elementsEqual(key.utf8) }?.value
    }
}

extension TemplateValue {
    /// - Precondition: the value is no deeper than ``JSONDocument/greatestDepth``, which no document is.
    public init(_ json: JSONValue) {
        switch json.kind {
        case .null: self = .null
        case .true: self = .boolean(true)
        case .false: self = .boolean(false)
        case .string: self = .string(json.text ?? "")
        case .number: self = Self.number(String(decoding: json.digits ?? [], as: UTF8.self))
        case .array: self = .array(json.array.map { $0.map(TemplateValue.init) } ?? [])
        case .object: self = .object(json.object.map { $0.map { Member($0.key.text ?? "", TemplateValue($0.value)) } } ?? [])
        }
    }

    /// As Python reads it: an integer unless it has a fraction or an exponent, and infinity if it is too large for a double.
    private static func number(_ digits: String) -> TemplateValue {
        if let integer = Int(digits) { return .integer(integer) }
        if digits.utf8.contains(where: { ".eE".utf8.contains($0) }) {
            return .number(Double(digits) ?? (digits.hasPrefix("-") ? -.infinity : .infinity))
        }
        return .wideInteger(digits)
    }
}

extension Value {
    init(_ value: TemplateValue, _ allowance: Allowance, level: Int = 0) throws(Fault) {
        guard level < TemplateLimits.valueDepth else {
            throw Fault(.limit, "a value nested more than \(TemplateLimits.valueDepth) levels deep")
        }
        try allowance.step()
        switch value {
        case .null: self = .null
        case .boolean(let flag): self = .boolean(flag)
        case .integer(let number): self = .integer(number)
        case .wideInteger(let digits): self = .wideInteger(Text(digits))
        case .number(let number): self = .float(number)
        case .string(let string): self = .text(string)
        case .array(let elements):
            var items: [Value] = []
            items.reserveCapacity(elements.count)
            for element in elements { items.append(try Value(element, allowance, level: level + 1)) }
            self = try .list(of: items, allowance)
        case .object(let members):
            var builder = DictionaryBuilder(allowance)
            for member in members { try builder.set(.text(member.key), Value(member.value, allowance, level: level + 1)) }
            self = .dictionary(try builder.build())
        }
    }
}

extension TemplateValue {
    /// Messages whose calls have their arguments as values. The API carries them as JSON in a string; templates print them with `tojson`,
    /// which would quote that once more. What is not JSON stays a string.
    public func parsingToolArguments() -> TemplateValue {
        mapping { message in
            message.mappingMember("tool_calls") { calls in
                calls.mapping { call in
                    call.mappingMember("function") { $0.mappingMember("arguments") { $0.parsed } }
                }
            }
        }
    }

    private var parsed: TemplateValue {
        guard case .string(let text) = self else { return self }
        do {
            let value = TemplateValue(try JSONDocument(file: "arguments", source: Array(text.utf8)).root)
            if case .object = value { return value }
            return self
        } catch {
            return self
        }
    }

    private func mapping(_ transform: (TemplateValue) -> TemplateValue) -> TemplateValue {
        guard case .array(let elements) = self else { return self }
        return .array(elements.map(transform))
    }

    private func mappingMember(_ key: String, _ transform: (TemplateValue) -> TemplateValue) -> TemplateValue {
        guard case .object(let members) = self else { return self }
        return .object(members.map { $0.key == key ? Member(key, transform($0.value)) : $0 })
    }
}
