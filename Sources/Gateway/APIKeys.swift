import Crypto
import Foundation

/// Who may ask. Holds digests alone: whoever reads this process's memory or the file finds no key.
public struct APIKeys: Sendable, Hashable {
    /// SHA-256 of each key.
    private var digests: [[UInt8]] = []

    public init() {}

    /// Whether everybody may ask.
    public var isEmpty: Bool { digests.isEmpty }

    public mutating func add(key: String) { digests.append(Self.digest(of: key)) }

    /// - Parameter hexadecimal: 64 digits.
    /// - Returns: whether they are that.
    public mutating func add(digest hexadecimal: some StringProtocol) -> Bool {
        let digits = Array(hexadecimal.utf8)
        guard digits.count == 64 else { return false }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: 64, by: 2) {
            guard digits[index] != UInt8(ascii: "+"), digits[index] != UInt8(ascii: "-"),
                let byte = UInt8(String(decoding: digits[index...index + 1], as: UTF8.self), radix: 16)
            else { return false }
            bytes.append(byte)
        }
        digests.append(bytes)
        return true
    }

    /// Reads a file of digests: one a line, as `sha256sum` writes them; what follows on the line is a name for people.
    /// Empty lines and lines that begin with `#` say nothing.
    ///
    /// - Throws: ``APIKeyFileError``.
    public mutating func add(file path: String) throws(APIKeyFileError) {
        let text: String
        do {
            text = try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            throw APIKeyFileError(path: path, problem: "cannot be read: \(error.localizedDescription)")
        }
        for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let fields = line.split(whereSeparator: \.isWhitespace)
            guard let first = fields.first, !first.hasPrefix("#") else { continue }
            guard add(digest: first) else {
                throw APIKeyFileError(path: path, problem: "line \(number + 1): expected the 64 hexadecimal digits of a SHA-256")
            }
        }
    }

    /// Whether the value of an `Authorization` header carries one of the keys. Takes the same time for every wrong key.
    public func admit(authorization: String?) -> Bool {
        guard !isEmpty else { return true }
        guard let authorization, let space = authorization.firstIndex(of: " "),
            authorization[..<space].lowercased() == "bearer"
        else { return false }
        let key = authorization[space...].drop { $0 == " " }
        let given = Self.digest(of: String(key))
        var isKnown = false
        for digest in digests {
            // All bytes of all digests, whatever the first ones say.
            var difference: UInt8 = 0
            for (left, right) in zip(digest, given) { difference |= left ^ right }
            if difference == 0 { isKnown = true }
        }
        return isKnown
    }

    /// The line of a file that stands for `key`.
    public static func fileLine(for key: String) -> String {
        digest(of: key).map { String(Int($0) + 0x100, radix: 16).suffix(2) }.joined() + "\n"
    }

    private static func digest(of key: String) -> [UInt8] { Array(SHA256.hash(data: Array(key.utf8))) }
}

/// A file of key digests that cannot be used.
public struct APIKeyFileError: Error, Sendable, Hashable, CustomStringConvertible {
    public let path: String
    public let problem: String

    public var description: String { "\(path): \(problem)" }
}
