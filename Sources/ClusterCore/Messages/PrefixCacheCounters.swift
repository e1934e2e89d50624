/// What a worker's prefix cache holds, and what it has done since the worker registered.
public struct PrefixCacheCounters: Sendable, Hashable {
    /// Levels that are told apart; the last is that one and all deeper ones.
    public static let levelCount = 3

    /// Tokens of prompts that were to be computed here, and how many of them were found (as vLLM counts both).
    public var queriedTokens: UInt64
    public var hitTokens: UInt64
    /// Those found, by level in the tree of the prompts that are known when they are found: the first level goes from the first token
    /// to where prompts that begin alike first differ, the second from there to where those of one branch differ, and so on.
    /// As many as ``levelCount``.
    public private(set) var hitLevels: [UInt64]
    /// Blocks of KV that were to be received, and how many of them were here already, so that nobody sent them.
    public var transferBlocks: UInt64
    public var heldBlocks: UInt64
    /// Blocks that made room for others.
    public var evictions: UInt64
    /// Blocks of a group that had to go before its members had ended.
    public var prematureEvictions: UInt64
    /// Blocks that hold a prefix and belong to nobody now: these make room when it is needed.
    public var cachedBlocks: Int
    /// Blocks that stay for groups.
    public var pinnedBlocks: Int

    /// - Parameter hitLevels: further ones are 0.
    /// - Precondition: there are not more of them than ``levelCount``.
    public init(
        queriedTokens: UInt64 = 0, hitTokens: UInt64 = 0, hitLevels: [UInt64] = [], transferBlocks: UInt64 = 0, heldBlocks: UInt64 = 0,
        evictions: UInt64 = 0, prematureEvictions: UInt64 = 0, cachedBlocks: Int = 0, pinnedBlocks: Int = 0
    ) {
        self.queriedTokens = queriedTokens
        self.hitTokens = hitTokens
        precondition(hitLevels.count <= Self.levelCount, "\(hitLevels.count) levels")
        self.hitLevels = hitLevels + Array(repeating: 0, count: Self.levelCount - hitLevels.count)
        self.transferBlocks = transferBlocks
        self.heldBlocks = heldBlocks
        self.evictions = evictions
        self.prematureEvictions = prematureEvictions
        self.cachedBlocks = cachedBlocks
        self.pinnedBlocks = pinnedBlocks
    }

    /// - Parameter level: from 0 on.
    mutating func noteHits(_ tokens: Int, level: Int) {
        hitTokens += UInt64(tokens)
        hitLevels[min(level, Self.levelCount - 1)] += UInt64(tokens)
    }
}

/// Names a block of KV by the tokens in it and all before it, under a salt: equal for equal prefixes, on every worker.
///
/// 64 bits, and no secret: two prefixes may share a name. It serves to guess where a prefix lies; whoever has the KV
/// compares tokens before it uses any, so that a wrong guess costs time and never changes an answer.
public struct PrefixName: Sendable, Hashable, CustomStringConvertible {
    public let rawValue: UInt64
    public init(_ rawValue: UInt64) { self.rawValue = rawValue }
    public var description: String { "p" + String(rawValue, radix: 16) }
}

/// What came into a worker's prefix cache and what left it, in the order in which it happened: first what left.
public struct PrefixChanges: Sendable, Hashable {
    /// Names in one message, of each kind.
    public static let maxCount = 1024

    public var evicted: [PrefixName]
    public var stored: [PrefixName]

    public init(evicted: [PrefixName] = [], stored: [PrefixName] = []) {
        self.evicted = evicted
        self.stored = stored
    }
}
