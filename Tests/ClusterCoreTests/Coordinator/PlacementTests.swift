import Testing

@testable import ClusterCore

@Suite struct PlacementTreeTests {
    @Test func agreesWithASearchOfAll() {
        var random = LinearCongruence(state: 42)
        var tree = PlacementTree()
        var offers: [PlacementTree.Offer?] = Array(repeating: nil, count: 37)
        for _ in 0..<3000 {
            let slot = random.below(37)
            offers[slot] = random.below(4) == 0
                ? nil : PlacementTree.Offer(load: random.below(8), room: random.below(10), reach: random.below(10))
            tree.set(slot, to: offers[slot])
            let (room, reach, avoided) = (random.below(10), random.below(10), random.below(37))
            let fitting = offers.indices.filter { index in
                offers[index].map { $0.room >= room && $0.reach >= reach } ?? false
            }
            func best(_ slots: [Int]) -> Int? { slots.min { (offers[$0]!.load, $0) < (offers[$1]!.load, $1) } }
            let expected = (best(fitting.filter { $0 != avoided }) ?? best(fitting)).map { offers[$0]!.load }
            let found = tree.lightest(room: room, reach: reach, avoiding: avoided)
            #expect(found.map { offers[$0]!.load } == expected)
            #expect(found.map { fitting.contains($0) } ?? true)
        }
        tree.checkInvariants()
    }
}

@Suite struct RequestQueueTests {
    @Test func servesByRankAndForgets() {
        var queue = RequestQueue()
        var waiting: Set<RequestID> = []
        for id in 1...200 {
            queue.insert(Rank(priority: Priority(rawValue: id % 3 - 1)!, request: RequestID(UInt64(id))))
            waiting.insert(RequestID(UInt64(id)))
        }
        for id in 1...190 {
            waiting.remove(RequestID(UInt64(id)))
            queue.forget { waiting.contains($0) }
        }
        var order: [UInt64] = []
        while queue.count > 0, let head = queue.head(isWaiting: { waiting.contains($0) }) {
            queue.removeHead()
            queue.checkInvariants()
            order.append(head.rawValue)
        }
        #expect(order == [191, 194, 197, 200, 193, 196, 199, 192, 195, 198])
    }
}

/// A small generator, equal in every run.
struct LinearCongruence {
    var state: UInt64
    mutating func below(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 33) % bound
    }
}
