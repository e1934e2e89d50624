import Grammar
import Testing

@Suite struct CacheTests {
    @Test func theLeastRecentlyUsedLeaves() {
        var cache = GrammarCache<Int>(capacity: 2)
        let keys = ["a", "b", "c"].map { OutputConstraint.regex($0) }
        cache.insert(1, for: keys[0])
        cache.insert(2, for: keys[1])
        let used = cache.entry(of: keys[0])
        #expect(used == 1)
        cache.insert(3, for: keys[2])
        #expect(cache.count == 2)
        let left = keys.map { cache.entry(of: $0) }
        #expect(left == [1, nil, 3])
        let changed = cache.update(keys[0]) { entry in
            entry += 10
            return entry
        }
        #expect(changed == 11)
        let missing = cache.update(keys[1]) { $0 }
        #expect(missing == nil)
        cache.remove(keys[0])
        #expect(cache.count == 1)
    }

    @Test func equalSourcesOfDifferentKindsAreDifferentConstraints() {
        #expect(OutputConstraint.regex("a") != .grammar("a"))
        #expect(OutputConstraint.jsonSchema("{}") == .jsonSchema("{}"))
    }
}
