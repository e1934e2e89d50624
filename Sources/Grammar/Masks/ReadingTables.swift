import Generation

/// Places in a grammar by number, with the place that each byte leads to once that is known: a walk through a trie then costs a
/// lookup a node.
struct ReadingTables: Sendable {
    private struct Place: Sendable {
        /// Ready to read.
        var threads: [Stacks.Link]
        var isEnd: Bool
        var demand: Int32
    }

    private let automaton: Automaton
    private var stacks: Stacks
    private var numbers: [[Stacks.Link]: Int32] = [:]
    private var places: [Place] = []
    /// By place, as in ``Place``: what a walk asks of each node.
    private var isEnd: [Bool] = []
    private var demands: [Int32] = []
    /// `[places, 256]`.
    private var steps: [Int32] = []
    /// Places that there is no room for, by depth in the trie: only the way to where a walk is need be known.
    private var passing: [Place?] = []

    private static let unknown: Int32 = -1
    private static let nowhere: Int32 = -2
    /// Each costs a kilobyte and a little.
    private static let greatestPlaceCount: Int32 = 1 << 12
    private static let greatestFrameCount = 1 << 14

    init(automaton: Automaton, stacks: Stacks = Stacks()) {
        self.automaton = automaton
        self.stacks = stacks
    }

    var byteCount: Int { steps.count * 4 + places.count * 96 + stacks.frameCount * 96 }

    /// Forgets all if much was learnt. Numbers of places do not outlive this.
    mutating func prepare() {
        guard Int32(places.count) >= Self.greatestPlaceCount || stacks.frameCount > Self.greatestFrameCount else { return }
        self = ReadingTables(automaton: automaton)
    }

    /// The place of `threads`, not yet ready to read.
    mutating func enter(_ threads: [Stacks.Link]) -> Int32 { number(of: threads, depth: 0) }

    private mutating func number(of kernel: [Stacks.Link], depth: Int) -> Int32 {
        if let known = numbers[kernel] { return known }
        let closure = stacks.closure(of: kernel, automaton)
        let demand = kernel.reduce(0) { max($0, stacks.demand(of: $1, automaton)) }
        let place = Place(threads: closure.threads, isEnd: closure.isEnd, demand: demand)
        let number = Int32(places.count)
        guard number < Self.greatestPlaceCount else {
            while passing.count <= depth { passing.append(nil) }
            passing[depth] = place
            return Self.greatestPlaceCount + Int32(depth)
        }
        numbers[kernel] = number
        places.append(place)
        isEnd.append(place.isEnd)
        demands.append(place.demand)
        steps.append(contentsOf: repeatElement(Self.unknown, count: 256))
        return number
    }

    private func place(_ number: Int32) -> Place? {
        number < Self.greatestPlaceCount ? places[Int(number)] : passing[Int(number - Self.greatestPlaceCount)]
    }

    /// - Parameter depth: of the node in the trie that is reached.
    private mutating func step(from number: Int32, _ byte: UInt8, depth: Int) -> Int32 {
        guard let place = place(number) else { return Self.nowhere }
        let kernel = stacks.step(place.threads, byte, automaton)
        let next = kernel.isEmpty ? Self.nowhere : self.number(of: kernel, depth: depth)
        if number < Self.greatestPlaceCount, next < Self.greatestPlaceCount { steps[Int(number) << 8 | Int(byte)] = next }
        return next
    }

    /// Reads what stands below a node of the trie.
    ///
    /// - Parameters:
    ///   - mask: gets the tokens that can be read to their last byte.
    ///   - ends: gets the nodes, those without descendants left out, at which the outermost rule may end.
    ///   - demand: is raised to the greatest nesting that any place on the way demands.
    mutating func read(
        below root: Int, from first: Int32, of vocabulary: TokenVocabulary, into mask: inout TokenMask, _ ends: inout [Int32],
        _ demand: inout Int32
    ) {
        let end = Int(vocabulary.nodes[root].end), rootDepth = Int(vocabulary.nodes[root].depth)
        if let place = place(first) {
            demand = max(demand, place.demand)
            if place.isEnd { ends.append(Int32(root)) }
        }
        var path = [Int32](repeating: first, count: TokenVocabulary.greatestTokenBytes + 1)
        var index = root + 1
        vocabulary.nodes.withUnsafeBufferPointer { nodes in
            while index < end {
                let node = nodes[index], depth = Int(node.depth) - rootDepth
                let from = path[depth - 1]
                var next = from < Self.greatestPlaceCount ? steps[Int(from) << 8 | Int(node.byte)] : Self.unknown
                if next == Self.unknown { next = step(from: from, node.byte, depth: depth) }
                guard next >= 0 else {
                    index = Int(node.end)
                    continue
                }
                path[depth] = next
                let firstToken = Int(node.firstToken), tokenEnd = Int(nodes[index + 1].firstToken)
                for place in firstToken..<tokenEnd { mask.insert(vocabulary.tokens[place]) }
                let isKept = next < Self.greatestPlaceCount
                demand = max(demand, isKept ? demands[Int(next)] : place(next)?.demand ?? 0)
                if isKept ? isEnd[Int(next)] : place(next)?.isEnd ?? false, Int(node.end) > index + 1 { ends.append(Int32(index)) }
                index += 1
            }
        }
    }
}
