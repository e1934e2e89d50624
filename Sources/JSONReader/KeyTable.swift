extension JSONDocument {
    /// The first key, in the order of the objects' text, that its object has already.
    func firstRepeatedKey() -> Int? {
        for index in nodes.indices where nodes[index].kind == .object && nodes[index].count > 1 {
            if let key = firstRepeatedKey(ofObject: index) { return key }
        }
        return nil
    }

    private func firstRepeatedKey(ofObject object: Int) -> Int? {
        let count = Int(nodes[object].count)
        var table = KeyTable(capacity: count)
        var key = object + 1
        for _ in 0..<count {
            guard table.insert(UInt32(key), of: self) else { return key }
            key = end(of: key + 1)
        }
        return nil
    }

    fileprivate func haveEqualBytes(_ left: Int, _ right: Int) -> Bool {
        guard nodes[left].count == nodes[right].count else { return false }
        return withBytes(of: left) { left in withBytes(of: right) { left.elementsEqual($0) } }
    }
}

/// The keys of one object by their bytes: open addressing with linear probing, six bytes a key. Hashing is seeded by
/// the process, so that no file can be written to make it slow.
private struct KeyTable {
    /// Small objects are compared key by key.
    private static let smallCount = 8
    private let isHashed: Bool
    /// Nodes of keys, by hash or in order; 0 is free, since node 0 is the root.
    private var slots: [UInt32] = []

    init(capacity: Int) {
        isHashed = capacity > Self.smallCount
        if isHashed { slots = Array(repeating: 0, count: capacity + capacity / 2) } else { slots.reserveCapacity(capacity) }
    }

    /// - Returns: `false` if a key with the same bytes is there already.
    mutating func insert(_ key: UInt32, of document: JSONDocument) -> Bool {
        guard isHashed else {
            guard !slots.contains(where: { document.haveEqualBytes(Int($0), Int(key)) }) else { return false }
            slots.append(key)
            return true
        }
        var hasher = Hasher()
        document.withBytes(of: Int(key)) { hasher.combine(bytes: $0) }
        var slot = Int(UInt(bitPattern: hasher.finalize()).multipliedFullWidth(by: UInt(slots.count)).high)
        while slots[slot] != 0 {
            if document.haveEqualBytes(Int(slots[slot]), Int(key)) { return false }
            slot = slot + 1 < slots.count ? slot + 1 : 0
        }
        slots[slot] = key
        return true
    }
}
