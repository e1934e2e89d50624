import Generation

// Vector shaping: what the dense layout does at the boundary, and block tables do not.
extension DecodeRole {
    private var tensor: [DenseShaping.Row] {
        batch.slots.compactMap { $0.map { DenseShaping.Row(padding: $0.padding.count, blocks: $0.blockTable.count) } }
    }

    /// Whether a query can enter the tensor without anybody giving way. An empty batch has no padding to find room for.
    func hasRoomToAlign(_ row: DecodeRow) -> Bool {
        guard configuration.layout == .dense, !batch.isEmpty else { return true }
        let blocks = max(row.blockTable.count, configuration.geometry.blockCount(forTokens: row.position + 1))
        let growth = max(0, blocks - row.blockTable.count - row.reserved)
        let needed = DenseShaping.insertion(of: blocks, into: tensor).blocksNeeded(rows: batch.count)
        return needed + growth <= pool.availableCount
    }

    /// Pads the row that has just entered, or all others to its length. There is room.
    mutating func align(_ slot: Int, into actions: inout [Action]) {
        guard configuration.layout == .dense, let row = batch.slots[slot] else { return }
        let others = batch.slots.indices.filter { $0 != slot && batch.slots[$0] != nil }
        let rows = others.compactMap { batch.slots[$0] }.map {
            DenseShaping.Row(padding: $0.padding.count, blocks: $0.blockTable.count)
        }
        let shaping = DenseShaping.insertion(of: row.blockTable.count, into: rows)
        pad(slot, by: shaping.padding, into: &actions)
        for other in others { pad(other, by: shaping.change, into: &actions) }
    }

    /// Takes a row out of the batch; its padding comes free.
    mutating func takeRow(_ slot: Int) -> DecodeRow {
        var row = batch.remove(slot)
        counters.batch.removals += 1
        pool.release(row.padding)
        row.padding = []
        return row
    }

    private mutating func pad(_ slot: Int, by count: Int, into actions: inout [Action]) {
        guard count > 0, let row = batch.slots[slot] else { return }
        guard let added = try? pool.allocate(count) else {
            preconditionFailure("no room to pad slot \(slot) by \(count): \(pool)")
        }
        apply(DenseShaping.move(padding: row.padding, blockTable: row.blockTable, adding: added), slot, into: &actions)
    }

    /// Trims the padding that all rows share.
    /// - Returns: whether blocks have come free.
    @discardableResult
    mutating func trim(into actions: inout [Action]) -> Bool {
        guard configuration.layout == .dense, let shaping = DenseShaping.trim(tensor) else { return false }
        rowsAtShaping = max(rowsAtShaping ?? 0, batch.count)
        for slot in batch.slots.indices {
            guard let row = batch.slots[slot] else { continue }
            let placement = DenseShaping.move(
                padding: row.padding, blockTable: row.blockTable, removing: -shaping.change)
            apply(placement, slot, into: &actions)
        }
        return true
    }

    private mutating func apply(_ placement: DenseShaping.Placement, _ slot: Int, into actions: inout [Action]) {
        precondition(
            placement.blockTable.allSatisfy { pool.referenceCount(of: $0) == 1 }, "\(placement) writes to shared blocks")
        batch.place(slot, padding: placement.padding, blockTable: placement.blockTable)
        pool.release(placement.freed)
        actions += placement.copies.map { .copyBlock(from: $0.from, to: $0.to) }
        counters.batch.blocksCopied += UInt64(placement.copies.count)
        counters.batch.bytesCopied += UInt64(placement.copies.count * bytesPerBlock)
    }

    private var bytesPerBlock: Int { configuration.geometry.bytesPerLayerBlock * configuration.geometry.layerCount }
}
