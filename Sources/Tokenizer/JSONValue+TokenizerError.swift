import JSONReader

extension JSONDocument {
    /// A file of the tokenizer's.
    static func file(_ name: String, _ source: [UInt8]) throws(TokenizerError) -> JSONDocument {
        do { return try JSONDocument(file: name, source: source) } catch { throw .malformedJSON(file: name, error) }
    }
}

/// Values as the tokenizer's files have to hold them, with errors that name their path.
extension JSONValue {
    // MARK: Errors

    func invalid(_ defect: TokenizerError.Defect) -> TokenizerError {
        .invalid(file: document.file, key: path, value: shown, defect: defect)
    }

    func unsupported() -> TokenizerError {
        .unsupported(file: document.file, key: path, value: shown)
    }

    func wrongType(expected: String) -> TokenizerError {
        .wrongType(file: document.file, key: path, expected: expected, found: shown)
    }

    // MARK: Scalars

    /// The bytes of a string, valid UTF-8.
    func bytes() throws(TokenizerError) -> ArraySlice<UInt8> {
        guard let utf8 else { throw wrongType(expected: "a string") }
        return utf8
    }

    func string() throws(TokenizerError) -> String {
        String(decoding: try bytes(), as: UTF8.self)
    }

    /// A string of exactly one Unicode scalar, as its UTF-8.
    func character() throws(TokenizerError) -> [UInt8] {
        let text = try string()
        guard text.unicodeScalars.count == 1 else { throw invalid(.notOneCharacter) }
        return Array(text.utf8)
    }

    func bool() throws(TokenizerError) -> Bool {
        guard let boolean else { throw wrongType(expected: "true or false") }
        return boolean
    }

    /// An integer in `0..<limit`; `defect` is what to call one outside.
    func integer(below limit: Int, else defect: TokenizerError.Defect) throws(TokenizerError) -> Int {
        let expected = "a non-negative integer"
        guard let digits else { throw wrongType(expected: expected) }
        var value = 0
        for byte in digits {
            if byte == UInt8(ascii: "-") { throw invalid(defect) }
            guard byte >= 0x30 && byte <= 0x39 else { throw wrongType(expected: expected) }
            value = value * 10 + Int(byte - 0x30)
            // The limit is checked at each digit, so that `value` cannot overflow.
            guard value < limit else { throw invalid(defect) }
        }
        return value
    }

    // MARK: Containers

    /// Refuses a component made of more steps than any tokenizer has: a few bytes of pattern can cost megabytes of code.
    func checkStepCount() throws(TokenizerError) {
        guard descendantCount <= 1024 else { throw invalid(.tooManySteps) }
    }

    func elements() throws(TokenizerError) -> JSONArray {
        guard let array else { throw wrongType(expected: "an array") }
        return array
    }

    func members() throws(TokenizerError) -> JSONObject {
        guard let object else { throw wrongType(expected: "an object") }
        return object
    }

    /// The member `name`, or `nil` if it is absent or null.
    func optional(_ name: String) throws(TokenizerError) -> JSONValue? {
        try members()[name].flatMap { $0.isNull ? nil : $0 }
    }

    func required(_ name: String) throws(TokenizerError) -> JSONValue {
        guard let value = try optional(name) else { throw .missingKey(file: document.file, key: path(ofMember: name)) }
        return value
    }

    func bool(_ name: String, default fallback: Bool) throws(TokenizerError) -> Bool {
        try optional(name)?.bool() ?? fallback
    }
}
