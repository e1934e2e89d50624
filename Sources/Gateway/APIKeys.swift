import Crypto
import Foundation

/// Who may ask. Holds digests alone: whoever reads this process's memory or the file finds no key.
public struct APIKeys: Sendable, Hashable {
    private struct Key: Sendable, Hashable {
        /// SHA-256.
        var digest: [UInt8]
        var limits = TenantLimits()
    }

    private var keys: [Key] = []

    public init() {}

    /// Whether everybody may ask.
    public var isEmpty: Bool { keys.isEmpty }

    /// Of each key, by the index that ``admit(authorization:)`` tells.
    var limits: [TenantLimits] { keys.map(\.limits) }

    public mutating func add(key: String) { keys.append(Key(digest: Self.digest(of: key))) }

    /// - Parameter hexadecimal: 64 digits.
    /// - Returns: whether they are that.
    public mutating func add(digest hexadecimal: some StringProtocol, limits: TenantLimits = TenantLimits()) -> Bool {
        let digits = Array(hexadecimal.utf8)
        guard digits.count == 64 else { return false }
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: 64, by: 2) {
            guard digits[index] != UInt8(ascii: "+"), digits[index] != UInt8(ascii: "-"),
                let byte = UInt8(String(decoding: digits[index...index + 1], as: UTF8.self), radix: 16)
            else { return false }
            bytes.append(byte)
        }
        keys.append(Key(digest: bytes, limits: limits))
        return true
    }

    /// Reads a file of digests: one a line, as `sha256sum` writes them. What follows on the line is a limit where it has a `=`
    /// (see ``TenantLimits``), and else a name for people.
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
            var limits = TenantLimits()
            for field in fields.dropFirst() where field.contains("=") {
                guard let problem = limits.take(field) else { continue }
                throw APIKeyFileError(path: path, problem: "line \(number + 1): \(problem)")
            }
            guard limits.queuedRequests == nil || limits.concurrentRequests != nil else {
                throw APIKeyFileError(
                    path: path, problem: "line \(number + 1): \(TenantLimits.names[1]) only goes with \(TenantLimits.names[0])")
            }
            guard add(digest: first, limits: limits) else {
                throw APIKeyFileError(path: path, problem: "line \(number + 1): expected the 64 hexadecimal digits of a SHA-256")
            }
        }
    }

    public enum Admission: Sendable, Hashable {
        /// There are no keys.
        case anybody
        /// The key with this index, in the order in which they were added.
        case key(Int)
        case nobody
    }

    /// Whose key the value of an `Authorization` header carries. Takes the same time for every wrong key.
    public func admit(authorization: String?) -> Admission {
        guard !isEmpty else { return .anybody }
        guard let authorization, let space = authorization.firstIndex(of: " "),
            authorization[..<space].lowercased() == "bearer"
        else { return .nobody }
        let key = authorization[space...].drop { $0 == " " }
        let given = Self.digest(of: String(key))
        var admission = Admission.nobody
        for (index, key) in keys.enumerated() {
            // All bytes of all digests, whatever the first ones say.
            var difference: UInt8 = 0
            for (left, right) in zip(key.digest, given) { difference |= left ^ right }
            if difference == 0 { admission = .key(index) }
        }
        return admission
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
