import Testing

@testable import Wire

/// Messages damaged in every way that comes to mind: they are refused, or they are other valid messages.
@Suite struct MutationTests {
    @Test(arguments: Family.allCases)
    func damageIsRefusedOrValid(_ family: Family) throws {
        var random = SeededGenerator(seed: 41)
        var outcomes: [String: Int] = [:]
        for _ in 0..<12 {
            let samples = try family.samples(&random)
            for _ in 0..<400 {
                let sample = samples[random.int(0...samples.count - 1)].map(\.bytes)
                let other = samples[random.int(0...samples.count - 1)].map(\.bytes)
                let damaged = random.damage(sample, with: other)
                outcomes[try outcome(family, damaged), default: 0] += 1
            }
        }
        // The damage is neither so heavy that nothing is read nor so light that nothing is found.
        #expect(outcomes["valid", default: 0] > 100)
        for kind in ["malformedHeader", "unknownFields", "version", "missing", "frameCount"] {
            #expect(outcomes[kind, default: 0] > 0, "\(kind) among \(outcomes)")
        }
    }

    private func outcome(_ family: Family, _ frames: [[UInt8]]) throws -> String {
        let encoded: [Frame]
        do {
            encoded = try family.reencode(frames.map { Frame($0) })
        } catch let error as WireError {
            #expect(!error.description.isEmpty)
            return error.kind
        }
        // What was understood is said the same way ever after.
        let again = try family.reencode(encoded)
        #expect(again.map(\.bytes) == encoded.map(\.bytes))
        return "valid"
    }
}

extension SeededGenerator {
    fileprivate mutating func damage(_ message: [[UInt8]], with other: [[UInt8]]) -> [[UInt8]] {
        var frames = message
        for _ in 0..<int(1...3) {
            switch int(0...9) {
            case 0: frames.insert((0..<int(0...8)).map { _ in UInt8(truncatingIfNeeded: next()) }, at: int(0...frames.count))
            case 1 where frames.count > 1: frames.remove(at: int(0...frames.count - 1))
            default:
                guard !frames.isEmpty else { continue }
                // Mostly the header: it has the structure.
                let index = int(0...2) > 0 ? 0 : int(0...frames.count - 1)
                frames[index] = damage(frames[index], with: other[0])
            }
        }
        return frames
    }

    private mutating func damage(_ bytes: [UInt8], with other: [UInt8]) -> [UInt8] {
        guard !bytes.isEmpty else { return other }
        var result = bytes
        let place = int(0...bytes.count - 1)
        switch int(0...6) {
        case 0, 1: result[place] ^= 1 << int(0...7)
        case 2: result[place] = UInt8(truncatingIfNeeded: next())
        case 3: result.removeSubrange(place...)
        case 4: result.insert(contentsOf: (0..<int(1...4)).map { _ in UInt8(truncatingIfNeeded: next()) }, at: place)
        case 5: result.removeSubrange(place..<min(bytes.count, place + int(1...6)))
        // Protobuf merges what is said twice, at every level.
        default: result = Array(result[..<(int(0...1) == 0 ? place : bytes.count)] + other[int(0...other.count - 1)...])
        }
        return result
    }
}
