import CProtobufC
import CWire
import ClusterCore

extension Arena {
    func prefixCache(_ counters: PrefixCacheCounters) -> UnsafeMutablePointer<Baton__PrefixCache> {
        make(baton__prefix_cache__init) {
            $0.queried_tokens = counters.queriedTokens
            $0.hit_tokens = counters.hitTokens
            $0.transfer_blocks = counters.transferBlocks
            $0.held_blocks = counters.heldBlocks
            $0.evictions = counters.evictions
            $0.premature_evictions = counters.prematureEvictions
            $0.cached_blocks = UInt32(clamping: counters.cachedBlocks)
            $0.pinned_blocks = UInt32(clamping: counters.pinnedBlocks)
            $0.n_hit_levels = counters.hitLevels.count
            $0.hit_levels = array(counters.hitLevels)
        }
    }
}

extension FieldReader {
    func prefixCache(_ pointer: UnsafeMutablePointer<Baton__PrefixCache>?) throws(WireError) -> PrefixCacheCounters {
        // One that keeps no prefixes has nothing to say of them.
        guard let counters = pointer?.pointee else { return PrefixCacheCounters() }
        guard counters.n_hit_levels <= PrefixCacheCounters.levelCount else {
            throw .value(message: message, field: "hit_levels", value: "\(counters.n_hit_levels) levels")
        }
        return PrefixCacheCounters(
            queriedTokens: counters.queried_tokens, hitTokens: counters.hit_tokens,
            hitLevels: (0..<counters.n_hit_levels).map { counters.hit_levels[$0] },
            transferBlocks: counters.transfer_blocks, heldBlocks: counters.held_blocks, evictions: counters.evictions,
            prematureEvictions: counters.premature_evictions,
            cachedBlocks: try count(counters.cached_blocks, "cached_blocks"),
            pinnedBlocks: try count(counters.pinned_blocks, "pinned_blocks"))
    }

    func started(_ pointer: UnsafeMutablePointer<Baton__PrefillStarted>?) throws(WireError) -> WorkerMessage {
        let started = try required(pointer, "prefill_started").pointee
        return .prefillStarted(
            try attempt(started.attempt), cachedCount: try count(started.cached_count, "cached_count"))
    }

    func prefixes(
        _ pointer: UnsafeMutablePointer<Baton__PrefixesChanged>?, _ payload: [Frame]
    ) throws(WireError) -> PrefixChanges {
        let changed = try required(pointer, "prefixes_changed").pointee
        let limit = 0...PrefixChanges.maxCount
        return PrefixChanges(
            evicted: try PrefixNames.names(payload[0], count: try count(changed.evicted, "evicted", in: limit)),
            stored: try PrefixNames.names(payload[1], count: try count(changed.stored, "stored", in: limit)))
    }

    func group(_ group: UInt64, prefixCount: UInt32) throws(WireError) -> GroupMembership? {
        guard group != 0 else { return nil }
        return GroupMembership(
            group: GroupID(group), prefixCount: try count(prefixCount, "group_prefix_count", in: 1...Int(Int32.max)))
    }

    func prefixGroup(_ submit: Baton__Submit) throws(WireError) -> PrefixGroup {
        let range = 1...Int(Int32.max)
        return PrefixGroup(
            id: submit.group, prefixCount: Int32(try count(submit.group_prefix_count, "group_prefix_count", in: range)),
            memberCount: Int32(try count(submit.group_member_count, "group_member_count", in: range)))
    }
}

/// Names of prefixes, 64 bits each, little-endian.
enum PrefixNames {
    static func frames(_ changes: PrefixChanges) -> [Frame] { [frame(changes.evicted), frame(changes.stored)] }

    private static func frame(_ names: [PrefixName]) -> Frame {
        Frame(names.map(\.rawValue.littleEndian).withUnsafeBytes { [UInt8]($0) })
    }

    static func names(_ frame: Frame, count: Int) throws(WireError) -> [PrefixName] {
        let size = MemoryLayout<UInt64>.size
        guard frame.count == count * size else {
            throw .payloadLength(message: "prefixes", expected: count * size, actual: frame.count)
        }
        return frame.withUnsafeBytes { bytes in
            (0..<count).map {
                PrefixName(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: $0 * size, as: UInt64.self)))
            }
        }
    }
}
