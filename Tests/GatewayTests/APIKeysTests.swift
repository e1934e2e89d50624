import Foundation
import Testing

@testable import Gateway

@Suite struct APIKeysTests {
    @Test func withoutKeysEverybodyMayAsk() {
        #expect(APIKeys().admit(authorization: nil) == .anybody)
        #expect(APIKeys().admit(authorization: "Bearer x") == .anybody)
    }

    @Test func onlyTheKeysThemselves() {
        var keys = APIKeys()
        keys.add(key: "one")
        keys.add(key: "two words")
        #expect(keys.admit(authorization: "Bearer one") == .key(0))
        #expect(keys.admit(authorization: "BEARER  one") == .key(0))
        #expect(keys.admit(authorization: "Bearer two words") == .key(1))
        for wrong in [nil, "", "one", "Bearer", "Bearer ", "Bearer on", "Bearer onee", "Bearer One", "Token one"] {
            #expect(keys.admit(authorization: wrong) == .nobody, "\(wrong ?? "nothing")")
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
        #expect(keys.admit(authorization: "Bearer one") == .key(0))
        #expect(keys.admit(authorization: "Bearer \(digest)") == .nobody)
        for bad in ["xyz", String(repeating: "g", count: 64), String(digest.dropLast()), "+" + digest.dropFirst()] {
            try "\(digest)\n\(bad)\n".write(toFile: path, atomically: true, encoding: .utf8)
            #expect { try keys.add(file: path) } throws: { "\($0)".contains("line 2") }
        }
        #expect(throws: APIKeyFileError.self) { try keys.add(file: path + ".none") }
    }

    @Test func aFileMayHoldLimits() throws {
        let digest = String(APIKeys.fileLine(for: "one").dropLast())
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("keys-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        func read(_ line: String) throws -> [TenantLimits] {
            try "\(digest) \(line)\n".write(toFile: path, atomically: true, encoding: .utf8)
            var keys = APIKeys()
            try keys.add(file: path)
            return keys.limits
        }
        #expect(try read("alice") == [TenantLimits()])
        #expect(try read("alice max-tokens-per-minute=600 max-concurrent-requests=2 max-queued-requests=0")
            == [TenantLimits(concurrentRequests: 2, queuedRequests: 0, tokensPerMinute: 600)])
        for (line, problem) in [
            ("max-requests=1", "limits are"), ("max-tokens-per-minute=0", "at least 1"), ("max-concurrent-requests=x", "not x"),
            ("max-concurrent-requests=-1", "at least 1"), ("max-queued-requests=1", "only goes with"),
            ("max-tokens-per-minute=99999999999999999999", "a number"),
        ] {
            #expect { try read(line) } throws: { "\($0)".contains("line 1") && "\($0)".contains(problem) }
        }
    }
}
