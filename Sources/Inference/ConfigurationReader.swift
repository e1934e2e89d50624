/// Typed, bounded access to the members of a JSON object; every error names the file, the key and the value.
struct ConfigurationReader {
    let file: String
    let prefix: String
    let members: [String: JSON]
    /// What the file calls its keys, where that is not what they are called here.
    let names: [String: String]

    init(file: String, prefix: String = "", members: [String: JSON], names: [String: String] = [:]) {
        self.file = file
        self.prefix = prefix
        self.members = members
        self.names = names
    }

    /// The object in a JSON file of at most 4 MiB.
    init(path: String, name: String) throws(ModelError) {
        let contents = try MappedFile.contents(of: path, atMost: 4 << 20)
        try self.init(contents: contents, name: name)
    }

    init(contents: [UInt8], name: String) throws(ModelError) {
        let document: JSON
        do { document = try JSON(parsing: contents) } catch { throw ModelError(name, value: "\(error)", .malformed) }
        guard case .object(let members) = document else { throw ModelError(name, value: document.brief, .wrongType) }
        self.init(file: name, members: members)
    }

    /// A member that is neither missing nor null.
    subscript(key: String) -> JSON? {
        guard let value = members[key], value != .null else { return nil }
        return value
    }

    /// A member's key as the file has it.
    func name(of key: String) -> String { names[prefix + key] ?? prefix + key }

    func refuse(_ key: String, _ reason: ModelError.Reason) -> ModelError {
        ModelError(file, name(of: key), value: members[key]?.brief ?? "", reason)
    }

    func integer(_ key: String, in range: ClosedRange<Int>) throws(ModelError) -> Int? {
        guard let value = self[key] else { return nil }
        guard case .integer(let number) = value else { throw refuse(key, .wrongType) }
        guard range.contains(number) else { throw refuse(key, .outOfRange) }
        return number
    }

    func requiredInteger(_ key: String, in range: ClosedRange<Int>) throws(ModelError) -> Int {
        guard let number = try integer(key, in: range) else { throw refuse(key, .missing) }
        return number
    }

    func number(_ key: String, in range: ClosedRange<Double>) throws(ModelError) -> Double? {
        let number: Double
        switch self[key] {
        case nil: return nil
        case .integer(let value)?: number = Double(value)
        case .number(let value)?: number = value
        default: throw refuse(key, .wrongType)
        }
        guard range.contains(number) else { throw refuse(key, .outOfRange) }
        return number
    }

    func requiredNumber(_ key: String, in range: ClosedRange<Double>) throws(ModelError) -> Double {
        guard let number = try number(key, in: range) else { throw refuse(key, .missing) }
        return number
    }

    func flag(_ key: String) throws(ModelError) -> Bool? {
        guard let value = self[key] else { return nil }
        guard case .bool(let flag) = value else { throw refuse(key, .wrongType) }
        return flag
    }

    func text(_ key: String) throws(ModelError) -> String? {
        guard let value = self[key] else { return nil }
        guard case .string(let text) = value else { throw refuse(key, .wrongType) }
        return text
    }

    func object(_ key: String) throws(ModelError) -> ConfigurationReader? {
        guard let value = self[key] else { return nil }
        guard case .object(let members) = value else { throw refuse(key, .wrongType) }
        return ConfigurationReader(file: file, prefix: prefix + key + ".", members: members, names: names)
    }

    func array(_ key: String) throws(ModelError) -> [JSON]? {
        guard let value = self[key] else { return nil }
        guard case .array(let values) = value else { throw refuse(key, .wrongType) }
        return values
    }
}
