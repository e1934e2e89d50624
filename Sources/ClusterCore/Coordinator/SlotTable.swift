/// Values by key, each in a numbered slot that stays its own until it is removed. Slots are small, dense and reused,
/// so that others can index arrays by them; iteration goes by slot and is the same in every process.
struct SlotTable<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private var slots: [(key: Key, value: Value)?] = []
    private var slotOfKey: [Key: Int] = [:]
    private var vacant: [Int] = []

    var count: Int { slotOfKey.count }
    var isEmpty: Bool { slotOfKey.isEmpty }
    /// All slots, vacant ones included.
    var indices: Range<Int> { slots.indices }

    func slot(of key: Key) -> Int? { slotOfKey[key] }
    func isOccupied(_ slot: Int) -> Bool { slots[slot] != nil }

    /// The slot must be occupied.
    subscript(slot: Int) -> Value {
        get { entry(slot).value }
        _modify {
            guard slots[slot] != nil else { preconditionFailure("slot \(slot) is vacant") }
            yield &slots[slot]!.value
        }
    }

    func key(at slot: Int) -> Key { entry(slot).key }

    /// The key must be new.
    mutating func insert(_ value: Value, for key: Key) -> Int {
        let slot: Int
        if let reused = vacant.popLast() {
            slot = reused
            slots[slot] = (key, value)
        } else {
            slot = slots.count
            slots.append((key, value))
        }
        let former = slotOfKey.updateValue(slot, forKey: key)
        precondition(former == nil, "\(key) is in slot \(String(describing: former)) already")
        return slot
    }

    @discardableResult
    mutating func remove(_ slot: Int) -> Value {
        let (key, value) = entry(slot)
        slots[slot] = nil
        slotOfKey[key] = nil
        vacant.append(slot)
        return value
    }

    /// Occupied slots, ascending.
    var occupied: [Int] { slots.indices.filter { slots[$0] != nil } }

    func checkInvariants() {
        precondition(slotOfKey.count + vacant.count == slots.count, "\(slotOfKey.count) + \(vacant.count) slots")
        for slot in occupied { precondition(slotOfKey[key(at: slot)] == slot, "\(key(at: slot)) is not in \(slot)") }
    }

    private func entry(_ slot: Int) -> (key: Key, value: Value) {
        guard let entry = slots[slot] else { preconditionFailure("slot \(slot) is vacant") }
        return entry
    }
}
