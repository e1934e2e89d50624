import JSONReader

extension JSONText {
    /// What was read, to be written again. Numbers keep their digits. Its depth is bounded by the reader's.
    init(_ value: JSONValue) {
        switch value.kind {
        case .null: self = .null
        case .true: self = .boolean(true)
        case .false: self = .boolean(false)
        case .number: self = .verbatim(value.digits.map { Array($0) } ?? [])
        case .string: self = JSONText(value.text)
        case .array: self = .array(value.array.map { $0.map { JSONText($0) } } ?? [])
        case .object:
            self = .object(
                value.object.map { $0.map { Member(name: $0.key.text ?? "", value: JSONText($0.value)) } } ?? [])
        }
    }
}
