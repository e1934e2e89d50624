import Generation

/// What travels from a prefill worker to a decode worker. The bytes of `blocks` travel beside the message.
public enum KVMessage: Sendable, Hashable {
    /// Asks for credit. Repeated until credit or a refusal comes, so that it may overtake the grant; again whenever
    /// the sender has run out of credit, and as a sign of life while it has nothing to send.
    case open(KVOpen)
    /// One or more consecutive layer blocks of one layer, one or more in each payload frame.
    case blocks(KVBlocks)
    /// All layer blocks were sent; carries the token sampled from the prompt. Repeated until acknowledged.
    case commit(KVCommit)
    /// The sender gives the transfer up.
    case abort(ClusterEpoch, AttemptID)
}

/// What travels back.
public enum KVReply: Sendable, Hashable {
    /// The sender may have sent, in total since `open`, `limit` layer blocks. Absolute, so that a repeated, lost or
    /// reordered reply neither adds nor loses credit. `held` first blocks of the sequence are there already, in every layer:
    /// they must not be sent. The same in every reply to an attempt.
    case credit(ClusterEpoch, AttemptID, limit: Int, held: Int = 0)
    /// These layer blocks did not arrive whole: send them again (they use credit of their own).
    case missing(ClusterEpoch, AttemptID, [LayerBlockRange])
    /// The KV is whole; the sender may free its own.
    case complete(ClusterEpoch, AttemptID)
    /// No such grant (any more), or it does not fit what was announced.
    case refused(ClusterEpoch, AttemptID, String)
}

public struct KVOpen: Sendable, Hashable {
    public var epoch: ClusterEpoch
    public var attempt: AttemptID
    public var modelHash: String
    public var geometry: KVGeometry
    /// Tokens whose KV will be sent.
    public var tokenCount: Int
    /// Layer blocks sent so far under this attempt: 0 at first. A repeated message tells the receiver so of those
    /// that got lost, whose credit would otherwise never come back.
    public var sent: Int

    public init(
        epoch: ClusterEpoch, attempt: AttemptID, modelHash: String, geometry: KVGeometry, tokenCount: Int,
        sent: Int = 0
    ) {
        self.epoch = epoch
        self.attempt = attempt
        self.modelHash = modelHash
        self.geometry = geometry
        self.tokenCount = tokenCount
        self.sent = sent
    }
}

/// Consecutive blocks `[first, first + count)` of a sequence (indexes into its block table) in one layer.
public struct LayerBlockRange: Sendable, Hashable {
    public var layer: Int
    public var first: Int
    public var count: Int

    public init(layer: Int, first: Int, count: Int) {
        self.layer = layer
        self.first = first
        self.count = count
    }
}

public struct KVBlocks: Sendable, Hashable {
    public var epoch: ClusterEpoch
    public var attempt: AttemptID
    /// Of the whole transfer, as in ``KVOpen``: the last block may hold fewer tokens than the block size.
    public var tokenCount: Int
    public var range: LayerBlockRange

    /// Layer blocks that a sender puts into one message at most.
    public static let greatestCount = 32

    public init(epoch: ClusterEpoch, attempt: AttemptID, tokenCount: Int, range: LayerBlockRange) {
        self.epoch = epoch
        self.attempt = attempt
        self.tokenCount = tokenCount
        self.range = range
    }
}

public struct KVCommit: Sendable, Hashable {
    public var epoch: ClusterEpoch
    public var attempt: AttemptID
    public var tokenCount: Int
    /// Place in the answer of the tokens sampled from the KV.
    public var index: Int32
    /// The first to be decoded: one, or one for each choice.
    public var next: [NextToken]

    public init(epoch: ClusterEpoch, attempt: AttemptID, tokenCount: Int, index: Int32, next: [NextToken]) {
        self.epoch = epoch
        self.attempt = attempt
        self.tokenCount = tokenCount
        self.index = index
        self.next = next
    }

    public init(epoch: ClusterEpoch, attempt: AttemptID, tokenCount: Int, next: TokenEvent) {
        self.init(
            epoch: epoch, attempt: attempt, tokenCount: tokenCount, index: next.index,
            next: [NextToken(request: next.attempt.request, token: next.token)])
    }
}

/// A token that was sampled from a prompt, and whose answer it begins or continues.
public struct NextToken: Sendable, Hashable {
    public var request: RequestID
    public var token: TokenID

    public init(request: RequestID, token: TokenID) {
        self.request = request
        self.token = token
    }
}
