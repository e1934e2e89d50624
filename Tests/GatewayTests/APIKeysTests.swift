import Foundation
import Testing

@testable import Gateway

@Suite struct APIKeysTests {
    @Test func withoutKeysEverybodyMayAsk() {
        #expect(APIKeys().admit(authorization: nil))
        #expect(APIKeys().admit(authorization: "Bearer x"))
    }

    @Test func onlyTheKeysThemselves() {
        var keys = APIKeys()
        keys.add(key: "one")
        keys.add(key: "two words")
        #expect(keys.admit(authorization: "Bearer one"))
        #expect(keys.admit(authorization: "BEARER  one"))
        #expect(keys.admit(authorization: "Bearer two words"))
        for wrong in [nil, "", "one", "Bearer", "Bearer ", "Bearer on", "Bearer onee", "Bearer One", "Token one"] {
            #expect(!keys.admit(authorization: wrong), "\(wrong ?? "nothing")")
        }
    }

    @Test func aFileHoldsDigests() throws {
        let digest = String(APIKeys.fileLine(for: "one").dropLast())
        // As sha256sum has it.
        #expect(digest == "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed")
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("keys-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try "# keys\n\n\(digest.uppercased())  alice\n".write(toFile: path, atomically: true, encoding: .utf8)
        var keys = APIKeys()
        try keys.add(file: path)
        #expect(keys.admit(authorization: "Bearer one"))
        #expect(!keys.admit(authorization: "Bearer \(digest)"))
        for bad in ["xyz", String(repeating: "g", count: 64), String(digest.dropLast()), "+" + digest.dropFirst()] {
            try "\(digest)\n\(bad)\n".write(toFile: path, atomically: true, encoding: .utf8)
            #expect { try keys.add(file: path) } throws: { "\($0)".contains("line 2") }
        }
        #expect(throws: APIKeyFileError.self) { try keys.add(file: path + ".none") }
    }
}
