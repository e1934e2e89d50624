import Generation

/// A binary heap of possible merges: lowest rank first, leftmost first among equals.
struct MergeQueue {
    struct Candidate {
        let rank: UInt32
        /// Index of the left symbol.
        let place: UInt32
        let result: TokenID

        fileprivate var key: UInt64 { UInt64(rank) << 32 | UInt64(place) }
    }

    private var heap: [Candidate]

    init(_ candidates: [Candidate]) {
        heap = candidates
        for index in stride(from: heap.count / 2 - 1, through: 0, by: -1) { siftDown(from: index) }
    }

    mutating func push(_ candidate: Candidate) {
        heap.append(candidate)
        var index = heap.count - 1
        while index > 0, heap[index].key < heap[(index - 1) / 2].key {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    mutating func pop() -> Candidate? {
        guard let first = heap.first, let last = heap.popLast() else { return nil }
        if !heap.isEmpty {
            heap[0] = last
            siftDown(from: 0)
        }
        return first
    }

    private mutating func siftDown(from start: Int) {
        var index = start
        while true {
            var child = 2 * index + 1
            guard child < heap.count else { return }
            if child + 1 < heap.count, heap[child + 1].key < heap[child].key { child += 1 }
            guard heap[child].key < heap[index].key else { return }
            heap.swapAt(index, child)
            index = child
        }
    }
}
