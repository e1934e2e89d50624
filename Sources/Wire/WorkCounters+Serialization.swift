import CProtobufC
import CWire
import ClusterCore

extension Arena {
    func idle(_ counters: IdleCounters) -> UnsafeMutablePointer<Baton__IdleCounters> {
        make(baton__idle_counters__init) {
            $0.padding = counters.padding
            $0.finished_rows = counters.finishedRows
            $0.waiting_rows = counters.waitingRows
        }
    }

    func batch(_ counters: BatchCounters) -> UnsafeMutablePointer<Baton__BatchCounters> {
        make(baton__batch_counters__init) {
            $0.embeds = counters.embeds
            $0.removals = counters.removals
            $0.waits = counters.waits
            $0.stall = counters.stall.wireNanoseconds
            $0.first_token_delay = counters.firstTokenDelay.wireNanoseconds
            $0.first_tokens = counters.firstTokens
            $0.longest_first_token_delay = counters.longestFirstTokenDelay.wireNanoseconds
            $0.shaping_time = counters.shapingTime.wireNanoseconds
            $0.shapings = counters.shapings
            $0.blocks_copied = counters.blocksCopied
            $0.bytes_copied = counters.bytesCopied
            $0.lent = counters.lent.wireNanoseconds
            $0.removal_time = counters.removalTime.wireNanoseconds
            $0.removal_ends = counters.removalEnds
            $0.yields = counters.yields
        }
    }
}

extension FieldReader {
    func idle(_ pointer: UnsafeMutablePointer<Baton__IdleCounters>?) throws(WireError) -> IdleCounters {
        let counters = try required(pointer, "idle").pointee
        return IdleCounters(
            padding: counters.padding, finishedRows: counters.finished_rows, waitingRows: counters.waiting_rows)
    }

    func batch(_ pointer: UnsafeMutablePointer<Baton__BatchCounters>?) throws(WireError) -> BatchCounters {
        let counters = try required(pointer, "batch").pointee
        return BatchCounters(
            embeds: counters.embeds, removals: counters.removals, waits: counters.waits,
            stall: try duration(counters.stall, "stall"),
            firstTokenDelay: try duration(counters.first_token_delay, "first_token_delay"),
            firstTokens: counters.first_tokens,
            longestFirstTokenDelay: try duration(counters.longest_first_token_delay, "longest_first_token_delay"),
            shapingTime: try duration(counters.shaping_time, "shaping_time"), shapings: counters.shapings,
            blocksCopied: counters.blocks_copied, bytesCopied: counters.bytes_copied, lent: try duration(counters.lent, "lent"),
            removalTime: try duration(counters.removal_time, "removal_time"), removalEnds: counters.removal_ends,
            yields: counters.yields)
    }

    func duration(_ nanoseconds: UInt64, _ field: String) throws(WireError) -> Duration {
        guard let value = Int64(exactly: nanoseconds) else {
            throw .value(message: message, field: field, value: "\(nanoseconds)")
        }
        return .nanoseconds(value)
    }

    func scheduling(_ value: UInt32) throws(WireError) -> Scheduling? {
        guard value != 0 else { return nil }
        guard let scheduling = Scheduling.allCases.first(where: { $0.wireValue == value }) else {
            throw .value(message: message, field: "scheduling", value: "\(value)")
        }
        return scheduling
    }
}

extension Scheduling {
    var wireValue: UInt32 {
        switch self {
        case .static: 1
        case .orca: 2
        case .orcaPadded: 3
        case .mixed: 4
        case .baton: 5
        case .batonDense: 6
        }
    }
}

extension Duration {
    /// Nothing below zero, and at most 292 years.
    var wireNanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, carry) = scaled.addingReportingOverflow(attoseconds / 1_000_000_000)
        return overflow || carry ? UInt64(Int64.max) : UInt64(max(0, sum))
    }
}
