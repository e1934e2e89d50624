import JSONReader

/// Typed, bounded access to the members of a JSON object; every error names the file, the key and the value.
struct ConfigurationReader {
    let file: String
    let prefix: String
    let members: JSONObject
    /// What the file calls its keys, where that is not what they are called here.
    let names: [String: String]

    init(file: String, prefix: String = "", members: JSONObject, names: [String: String] = [:]) {
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

    init(contents: [UInt8], name: String, names: [String: String] = [:]) throws(ModelError) {
        let root = try JSONValue.root(of: contents, file: name)
        guard let members = root.object else { throw ModelError(name, value: root.shown, .wrongType) }
        self.init(file: name, members: members, names: names)
    }

    /// A member that is neither missing nor null.
    subscript(key: String) -> JSONValue? { members[key].flatMap { $0.isNull ? nil : $0 } }

    /// A member's key as the file has it.
    func name(of key: String) -> String { names[prefix + key] ?? prefix + key }

    func refuse(_ key: String, _ reason: ModelError.Reason) -> ModelError {
        ModelError(file, name(of: key), value: members[key]?.shown ?? "", reason)
    }

    func integer(_ key: String, in range: ClosedRange<Int>) throws(ModelError) -> Int? {
        guard let value = self[key] else { return nil }
        guard let number = value.integer else { throw refuse(key, .wrongType) }
        guard range.contains(number) else { throw refuse(key, .outOfRange) }
        return number
    }

    func requiredInteger(_ key: String, in range: ClosedRange<Int>) throws(ModelError) -> Int {
        guard let number = try integer(key, in: range) else { throw refuse(key, .missing) }
        return number
    }

    func number(_ key: String, in range: ClosedRange<Double>) throws(ModelError) -> Double? {
        guard let value = self[key] else { return nil }
        guard value.kind == .number else { throw refuse(key, .wrongType) }
        guard let number = value.number, range.contains(number) else { throw refuse(key, .outOfRange) }
        return number
    }

    func requiredNumber(_ key: String, in range: ClosedRange<Double>) throws(ModelError) -> Double {
        guard let number = try number(key, in: range) else { throw refuse(key, .missing) }
        return number
    }

    func flag(_ key: String) throws(ModelError) -> Bool? {
        guard let value = self[key] else { return nil }
        guard let flag = value.boolean else { throw refuse(key, .wrongType) }
        return flag
    }

    func text(_ key: String) throws(ModelError) -> String? {
        guard let value = self[key] else { return nil }
        guard let text = value.text else { throw refuse(key, .wrongType) }
        return text
    }

    func object(_ key: String) throws(ModelError) -> ConfigurationReader? {
        guard let value = self[key] else { return nil }
        guard let members = value.object else { throw refuse(key, .wrongType) }
        return ConfigurationReader(file: file, prefix: prefix + key + ".", members: members, names: names)
    }

    func array(_ key: String) throws(ModelError) -> JSONArray? {
        guard let value = self[key] else { return nil }
        guard let values = value.array else { throw refuse(key, .wrongType) }
        return values
    }
}

extension JSONValue {
    /// The document in a checkpoint's file.
    static func root(of contents: [UInt8], file: String) throws(ModelError) -> JSONValue {
        do { return try JSONDocument(file: file, source: contents).root } catch {
            throw ModelError(file, value: "\(error)", .malformed)
        }
    }
}
