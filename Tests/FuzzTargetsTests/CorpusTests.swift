import Foundation
import FuzzTargets
import Testing

/// What `make fuzz` starts from, and what it once found, through the parsers.
@Suite struct CorpusTests {
    private static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Fixtures/fuzz")

    private static func corpus(of target: FuzzTarget) throws -> [(name: String, bytes: [UInt8])] {
        let directory = fixtures.appendingPathComponent(target.rawValue)
        return try FileManager.default.contentsOfDirectory(atPath: directory.path).sorted().map { name in
            (name, Array(try Data(contentsOf: directory.appendingPathComponent(name))))
        }
    }

    @Test("Every input is read or refused in time, and those that are called valid are read", arguments: FuzzTarget.allCases)
    func replay(target: FuzzTarget) throws {
        let corpus = try Self.corpus(of: target)
        var refusedCount = 0
        for (name, bytes) in corpus {
            var outcome = FuzzOutcome.accepted
            let duration = ContinuousClock().measure { outcome = bytes.withUnsafeBytes(target.run) }
            switch outcome {
            case .accepted: break
            case .refused(let message):
                refusedCount += 1
                #expect(!name.hasPrefix("valid-"), "\(name): \(message)")
                #expect(!message.isEmpty)
            case .broken(let what): Issue.record("\(name): \(what)")
            }
            #expect(duration < .seconds(5), "\(name)")
        }
        #expect(corpus.count { $0.name.hasPrefix("valid-") } > 0 && refusedCount > 0)
    }

    @Test("Mutations stay within their limit and lead to both ends", arguments: FuzzTarget.allCases)
    func mutations(target: FuzzTarget) throws {
        let valid = try Self.corpus(of: target).filter { $0.name.hasPrefix("valid-") && $0.bytes.count < 8192 }
        var outcomes: [Bool: Int] = [:]
        for seed in 0..<1000 as Range<UInt64> {
            let sample = valid[Int(seed) % valid.count].bytes
            let mutated = target.mutate(sample, seed: seed, atMost: 16_384) { bytes in
                bytes.isEmpty ? [0] : Array(bytes.dropLast()) + [bytes[bytes.count - 1] ^ 1]
            }
            #expect(mutated.count <= 16_384)
            switch mutated.withUnsafeBytes(target.run) {
            case .accepted: outcomes[true, default: 0] += 1
            case .refused: outcomes[false, default: 0] += 1
            case .broken(let what): Issue.record("seed \(seed): \(what)")
            }
        }
        #expect(outcomes[true, default: 0] > 20 && outcomes[false, default: 0] > 20, "\(outcomes)")
    }
}
