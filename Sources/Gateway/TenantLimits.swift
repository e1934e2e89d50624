/// What the holder of an API key may have at a time. `nil` is no limit.
public struct TenantLimits: Sendable, Hashable {
    /// Requests that are worked on at the same time.
    public var concurrentRequests: Int?
    /// Further requests that may wait for one of these; none without a limit of the former.
    public var queuedRequests: Int?
    /// Tokens of prompts and answers together, on average. As many may be used at once after a minute of rest.
    public var tokensPerMinute: Int?

    public init(concurrentRequests: Int? = nil, queuedRequests: Int? = nil, tokensPerMinute: Int? = nil) {
        self.concurrentRequests = concurrentRequests
        self.queuedRequests = queuedRequests
        self.tokensPerMinute = tokensPerMinute
    }

    static let names = ["max-concurrent-requests", "max-queued-requests", "max-tokens-per-minute"]
    private static let greatest = 1_000_000_000_000

    /// Takes `NAME=NUMBER`.
    /// - Returns: what is wrong with it, if anything is.
    mutating func take(_ setting: some StringProtocol) -> String? {
        let parts = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let name = Self.names.firstIndex(of: String(parts[0])) else {
            return "\(setting): limits are \(Self.names.joined(separator: ", "))"
        }
        let least = name == 1 ? 0 : 1
        guard let number = Int(parts[1]), (least...Self.greatest).contains(number) else {
            return "\(parts[0]) must be a number of at least \(least), not \(parts[1])"
        }
        switch name {
        case 0: concurrentRequests = number
        case 1: queuedRequests = number
        default: tokensPerMinute = number
        }
        return nil
    }
}

/// How a tenant stands against its limits. A value without clock: time is handed in.
struct TenantAccount: Sendable {
    let limits: TenantLimits
    private(set) var running = 0
    private(set) var waiting = 0
    /// Tokens that may be used now; below zero after a long answer.
    private var balance: Double
    private var balancedAt: ContinuousClock.Instant

    init(_ limits: TenantLimits, at now: ContinuousClock.Instant) {
        self.limits = limits
        balance = Double(limits.tokensPerMinute ?? 0)
        balancedAt = now
    }

    enum Answer: Sendable, Hashable {
        case enters
        case waits
        /// Too many tokens lately, or requests now.
        case refused(String, retryAfter: Int)
    }

    /// A request has come.
    mutating func ask(at now: ContinuousClock.Instant) -> Answer {
        if let perMinute = limits.tokensPerMinute {
            settle(at: now)
            guard balance > 0 else {
                let pause = (1 - balance) * 60 / Double(perMinute)
                return .refused("\(perMinute) tokens per minute", retryAfter: Int(min(pause.rounded(.up), 3600)))
            }
        }
        guard let most = limits.concurrentRequests, !hasPlace else {
            running += 1
            return .enters
        }
        guard waiting < limits.queuedRequests ?? 0 else {
            let queue = limits.queuedRequests.map { " and \($0) waiting" } ?? ""
            return .refused("\(most) requests at a time\(queue)", retryAfter: APIError.retryPause)
        }
        waiting += 1
        return .waits
    }

    /// Whether another request may be worked on.
    var hasPlace: Bool { limits.concurrentRequests.map { running < $0 } ?? true }

    /// One that waited has the place of one that has ended.
    mutating func enterFromQueue() {
        waiting -= 1
        running += 1
    }

    mutating func leaveQueue() { waiting -= 1 }

    mutating func end() { running -= 1 }

    mutating func charge(_ tokens: Int, at now: ContinuousClock.Instant) {
        guard limits.tokensPerMinute != nil else { return }
        settle(at: now)
        balance -= Double(tokens)
    }

    private mutating func settle(at now: ContinuousClock.Instant) {
        let most = Double(limits.tokensPerMinute ?? 0)
        balance = min(most, balance + most * max(0, (now - balancedAt) / .seconds(60)))
        balancedAt = now
    }
}
