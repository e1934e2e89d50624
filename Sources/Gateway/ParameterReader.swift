import Foundation
import Generation
import JSONReader

/// The members of a request's body, by name and type. `null` is as good as absent, what nobody asks for is ignored.
struct ParameterReader {
    private var values: [String: JSONValue] = [:]
    /// What errors put before a name: empty, or the path of the object with a dot.
    private let prefix: String

    /// - Parameter names: of the members that are known here.
    init(_ object: JSONObject, names: Set<String>, prefix: String = "") {
        self.prefix = prefix
        for (key, value) in object where !value.isNull {
            // Longer ones are nobody's, and there may be many.
            guard let bytes = key.utf8, bytes.count <= 64 else { continue }
            let name = String(decoding: bytes, as: UTF8.self)
            if names.contains(name) { values[name] = value }
        }
    }

    subscript(name: String) -> JSONValue? { values[name] }

    func wrong(_ name: String, _ value: JSONValue, expected: String) -> APIError {
        APIError(
            400, "\(prefix)\(name): expected \(expected), not \(value.shown)", parameter: prefix + name, code: "invalid_type")
    }

    func invalid(_ name: String, _ problem: String) -> APIError { .invalid(prefix + name, problem) }

    func missing(_ name: String) -> APIError {
        APIError(400, "\(prefix)\(name): is required", parameter: prefix + name, code: "missing_required_parameter")
    }

    func text(_ name: String) throws(APIError) -> String? {
        guard let value = values[name] else { return nil }
        guard let text = value.text else { throw wrong(name, value, expected: "a string") }
        return text
    }

    func boolean(_ name: String) throws(APIError) -> Bool? {
        guard let value = values[name] else { return nil }
        guard let boolean = value.boolean else { throw wrong(name, value, expected: "true or false") }
        return boolean
    }

    func object(_ name: String) throws(APIError) -> JSONObject? {
        guard let value = values[name] else { return nil }
        guard let object = value.object else { throw wrong(name, value, expected: "an object") }
        return object
    }

    func integer(_ name: String, in range: ClosedRange<Int> = .min ... .max) throws(APIError) -> Int? {
        guard let value = values[name] else { return nil }
        guard let integer = Self.integer(value) else { throw wrong(name, value, expected: "an integer") }
        guard range.contains(integer) else { throw invalid(name, Self.bounds(range, integer)) }
        return integer
    }

    /// A number without fraction however it is written; `1.0` counts, as many clients write it so.
    static func integer(_ value: JSONValue) -> Int? {
        value.integer ?? value.number.flatMap { Int(exactly: $0) }
    }

    static func tokenID(_ value: JSONValue) -> TokenID? {
        integer(value).flatMap { TokenID(exactly: $0) }.flatMap { $0 >= 0 ? $0 : nil }
    }

    private static func bounds(_ range: ClosedRange<Int>, _ value: Int) -> String {
        switch (range.lowerBound, range.upperBound) {
        case (let least, .max): "must be at least \(least), but is \(value)"
        case (.min, let most): "must be at most \(most), but is \(value)"
        case (let least, let most): "must be \(least) to \(most), but is \(value)"
        }
    }

    func number(_ name: String, in range: ClosedRange<Double>? = nil) throws(APIError) -> Double? {
        guard let value = values[name] else { return nil }
        guard let number = value.number else { throw wrong(name, value, expected: "a number") }
        if let range, !range.contains(number) {
            throw invalid(name, "must be \(range.lowerBound) to \(range.upperBound), but is \(number)")
        }
        return number
    }

    /// A number as the sampler takes it. One too large for it becomes infinite, which no range allows.
    func float(_ name: String) throws(APIError) -> Float? { try number(name).map { Float($0) } }

    /// One string, or an array of them.
    func texts(_ name: String, atMost count: Int, bytes: Int) throws(APIError) -> [String] {
        guard let value = values[name] else { return [] }
        let elements = value.array.map { Array($0.prefix(count + 1)) } ?? [value]
        guard elements.count <= count else { throw invalid(name, "has more than \(count) strings") }
        var texts: [String] = []
        for element in elements {
            guard let text = element.text else { throw wrong(name, element, expected: "a string or an array of strings") }
            guard text.utf8.count <= bytes else { throw invalid(name, "has a string of more than \(bytes) bytes") }
            texts.append(text)
        }
        return texts
    }
}
