/// Who belongs to the cluster.
public struct Membership: Sendable {
    public struct Configuration: Sendable, Hashable {
        public var pingInterval: Duration
        /// Unanswered pings after which a worker gets no new work.
        public var suspectAfterMisses: Int
        /// Silence after which a worker is given up.
        public var lostAfter: Duration
        /// Time that a control message may be under way after a heartbeat told of it.
        public var linkPatience: Duration
        /// How long a lost worker is remembered for ``ClusterStatus``.
        public var rememberLost: Duration
        /// `nil`: as the first worker that registers.
        public var numerics: NumericsClass?
        public var geometry: KVGeometry?

        public init(
            pingInterval: Duration = .milliseconds(250), suspectAfterMisses: Int = 2, lostAfter: Duration = .seconds(3),
            linkPatience: Duration = .seconds(1), rememberLost: Duration = .seconds(60),
            numerics: NumericsClass? = nil, geometry: KVGeometry? = nil
        ) {
            self.pingInterval = pingInterval
            self.suspectAfterMisses = suspectAfterMisses
            self.lostAfter = lostAfter
            self.linkPatience = linkPatience
            self.rememberLost = rememberLost
            self.numerics = numerics
            self.geometry = geometry
        }
    }
}
