/// Names the KV of one parked query between role and shell; never used twice in the life of a role.
public struct ParkID: Sendable, Hashable {
    public let rawValue: UInt64
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// A query that was taken out of the batch, or out of the line before it, while its KV lies outside of the pool.
struct ParkedRow: Sendable {
    enum State: Sendable {
        /// The shell copies its blocks, which stay referenced until then.
        case storing
        case stored
        /// To be resumed here with this budget of blocks, as soon as there are enough.
        case wanted(budget: Int)
        /// The shell fills new blocks.
        case restoring
        /// To be sent elsewhere; the shell brings it where it can be read from.
        case loading(KVDestination)
        case sending(Migration)
    }

    /// Its block table is empty but while it is stored or restored.
    var row: DecodeRow
    /// The attempt that the store knows it by; `row` goes by a newer one after a change of destination.
    let storedAs: AttemptID
    let tier: ParkingLot.Tier
    let byteCount: Int
    var state = State.storing
    /// Cancelled while the shell was at work on it; goes when that is over.
    var isUnwanted = false

    init(_ row: DecodeRow, tier: ParkingLot.Tier, byteCount: Int) {
        self.row = row
        self.tier = tier
        self.byteCount = byteCount
        storedAs = row.attempt
    }

    /// What the shell has to copy in or out. A block that has room but no token yet does not count.
    func contents(_ id: ParkID, _ configuration: DecodeRole.Configuration) -> ParkedKV {
        let count = configuration.geometry.blockCount(forTokens: row.position)
        return ParkedKV(
            id: id, epoch: configuration.clusterEpoch, attempt: storedAs, tokenCount: row.position, tier: tier,
            blocks: Array(row.blockTable.prefix(count)))
    }

    /// The token that was sampled last and has no KV yet, as a commit tells it.
    var next: TokenEvent { TokenEvent(attempt: row.attempt, index: row.index - 1, token: row.input) }
}

/// The KV of one query on its way to the parking store or back: `blocks` in all layers, the last one filled as far as
/// `tokenCount` says.
public struct ParkedKV: Sendable, Hashable {
    public var id: ParkID
    public var epoch: ClusterEpoch
    /// Under which it was parked; the store keeps it in the wire's format, which names it.
    public var attempt: AttemptID
    public var tokenCount: Int
    public var tier: ParkingLot.Tier
    public var blocks: [BlockID]

    public init(
        id: ParkID, epoch: ClusterEpoch, attempt: AttemptID, tokenCount: Int, tier: ParkingLot.Tier, blocks: [BlockID]
    ) {
        self.id = id
        self.epoch = epoch
        self.attempt = attempt
        self.tokenCount = tokenCount
        self.tier = tier
        self.blocks = blocks
    }
}

/// A parked query on its way to another worker: the same transfer as a prefill worker's, with everything ready at once.
struct Migration: Sendable {
    let destination: KVDestination
    var transfer: OutgoingTransfer

    init(to destination: KVDestination, geometry: KVGeometry, tokenCount: Int, timings: TransferTimings, at now: Instant) {
        self.destination = destination
        let blockCount = geometry.blockCount(forTokens: tokenCount)
        transfer = OutgoingTransfer(
            layerCount: geometry.layerCount, blockCount: blockCount, timings: timings, at: now)
        for layer in 0..<geometry.layerCount {
            transfer.add(LayerBlockRange(layer: layer, first: 0, count: blockCount))
        }
        transfer.end()
    }
}
