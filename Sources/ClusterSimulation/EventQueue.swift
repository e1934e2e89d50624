import ClusterCore

/// What is going to happen, by time; first come, first served among equals.
struct EventQueue<Event> {
    private struct Entry {
        var time: Int64
        var order: UInt64
        var slot: Int
    }

    private var heap: [Entry] = []
    /// Events wait here, so that the heap moves small entries only.
    private var events: [Event?] = []
    private var vacant: [Int] = []
    private var nextOrder: UInt64 = 0

    var count: Int { heap.count }

    mutating func push(_ event: Event, at time: Instant) {
        let slot: Int
        if let reused = vacant.popLast() {
            slot = reused
            events[slot] = event
        } else {
            slot = events.count
            events.append(event)
        }
        heap.append(Entry(time: time.nanoseconds, order: nextOrder, slot: slot))
        nextOrder += 1
        rise(heap.count - 1)
    }

    mutating func pop() -> (time: Instant, event: Event)? {
        guard let first = heap.first, let event = events[first.slot] else { return nil }
        events[first.slot] = nil
        vacant.append(first.slot)
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            sink(0)
        }
        return (Instant(nanoseconds: first.time), event)
    }

    private func precedes(_ a: Int, _ b: Int) -> Bool {
        (heap[a].time, heap[a].order) < (heap[b].time, heap[b].order)
    }

    private mutating func rise(_ start: Int) {
        var index = start
        while index > 0, precedes(index, (index - 1) / 2) {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    private mutating func sink(_ start: Int) {
        var index = start
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2] where child < heap.count && precedes(child, least) {
                least = child
            }
            guard least != index else { return }
            heap.swapAt(index, least)
            index = least
        }
    }
}
