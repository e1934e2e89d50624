import Foundation

/// Prompts that begin alike in the ways in which those of people do: conversations that go on, and openings that many have in common.
///
/// Lengths and the burstiness of arrivals are those of a published trace. What prompts have in common is ours, since Azure's trace does
/// not tell and only Mooncake's does; it is stated in Mooncake's own format, by blocks of 512 tokens, so that the real one can take its place.
public struct ReuseTrace: Sendable, Hashable {
    public var shape: PublishedTrace
    /// Share of the requests that go on with a conversation, if one is short enough.
    public var continued: Double
    /// Openings of new conversations, each a block of 512 tokens; the first is the most usual one.
    public var openings: Int

    public static let azure = ReuseTrace(shape: .azureConversation, continued: 0.5, openings: 32)
    public static let mooncake = ReuseTrace(shape: .mooncakeConversation, continued: 0.5, openings: 32)

    /// Conversations that may still go on: the latest ones.
    private static let openConversations = 256

    /// - Returns: lines without times, in order.
    func lines(_ count: Int, seed: UInt64) -> [TraceLine] {
        var random = SeededRandom(seed: seed)
        // Of each conversation the ids of its whole blocks.
        var conversations: [[Int]] = []
        var lastID = openings
        return (0..<count).map { index in
            let input = max(1, Int(shape.inputs.length(at: random.unit()))), output = Int(shape.outputs.length(at: random.unit()))
            let wanted = input / TraceLine.blockLength
            let fits = conversations.indices.filter { conversations[$0].count <= wanted }
            let goesOn = random.unit() < continued, draw = random.unit(), opening = opening(random.unit())
            var ids = wanted > 0 ? [opening] : []
            var place: Int?
            if goesOn, !fits.isEmpty {
                place = fits[min(Int(draw * Double(fits.count)), fits.count - 1)]
                ids = place.map { conversations[$0] } ?? []
            }
            while ids.count < wanted {
                lastID += 1
                ids.append(lastID)
            }
            if let place { conversations.remove(at: place) }
            conversations.append(ids)
            if conversations.count > Self.openConversations { conversations.removeFirst() }
            // What fills no block is the request's own.
            return TraceLine(milliseconds: Double(index), inputLength: input, outputLength: max(1, output), hashIDs: ids)
        }
    }

    /// The n-th is asked for a 1/n-th as often as the first.
    private func opening(_ draw: Double) -> Int {
        let weights = (1...max(1, openings)).map { 1 / Double($0) }
        var rest = draw * weights.reduce(0, +)
        for (index, weight) in weights.enumerated() {
            rest -= weight
            if rest < 0 { return index }
        }
        return 0
    }
}
