import Testing

@testable import Jobs

@Suite struct LinePlannerTests {
    private func line(_ prompt: [Int32], _ maxTokens: Int = 8) -> LineOutline {
        LineOutline(prompt: prompt, maxTokens: maxTokens, hasFixedLength: true)
    }

    @Test func linesThatBeginAlikeRunTogether() async {
        let prefixes: [[Int32]] = (0..<4).map { group in (0..<64).map { Int32($0 * 7 + group * 1000) } }
        // Shuffled, with two lines that cannot be answered.
        var lines = (0..<40).map { line(prefixes[$0 * 3 % 4] + [Int32($0), 5]) }
        lines[11] = line([])
        lines[30] = line([], .max)
        let planned = await PrefixPlanner().groups(of: lines), order = planned.flatMap(\.members)
        #expect(order.sorted() == Array(0..<40))
        #expect(order.prefix(2) == [11, 30])
        let groups = order.dropFirst(2).map { lines[$0].prompt[0] }
        #expect(zip(groups, groups.dropFirst()).count { $0 != $1 } == 3)
        #expect(planned.dropFirst(2).map(\.prefixTokens) == [64, 64, 64, 64])
        #expect(await PrefixPlanner().groups(of: lines) == planned)
    }

    @Test func nothingHasAnOrderToo() async {
        #expect(await PrefixPlanner().groups(of: []).isEmpty)
        #expect(await PrefixPlanner().groups(of: [line([], 0)]) == [LineGroup(members: [0])])
        #expect(await PrefixPlanner().groups(of: [line([1], .max)]) == [LineGroup(members: [0])])
    }
}
