import Crypto
import Foundation

/// Which programs and which model were measured: results of others are no substitute.
public enum BuildIdentity {
    /// - Parameters:
    ///   - programs: files whose contents matter.
    ///   - model: identity of the model.
    /// - Returns: 16 hexadecimal digits.
    /// - Throws: an error of Foundation if a program cannot be read.
    public static func of(programs: [URL], model: String) throws -> String {
        var hasher = SHA256()
        for program in programs {
            hasher.update(data: Data(program.lastPathComponent.utf8))
            hasher.update(data: Data(SHA256.hash(data: try Data(contentsOf: program, options: .mappedIfSafe))))
        }
        hasher.update(data: Data(model.utf8))
        return hasher.finalize().prefix(8).map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }
}
