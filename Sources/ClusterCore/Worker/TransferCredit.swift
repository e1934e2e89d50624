/// Flow control of a KV transfer, in layer blocks. Both halves count from the start of the transfer and speak of
/// absolute numbers, so that a message that is lost, repeated or overtaken does no harm.
public enum TransferCredit {
    /// What the sender may still send.
    public struct Sender: Sendable, Hashable {
        /// Layer blocks that may be sent in total.
        public private(set) var limit = 0
        /// Layer blocks sent.
        public private(set) var spent = 0

        public init() {}

        public var available: Int { limit - spent }

        /// A reply told of `limit`; an older and lower one changes nothing.
        public mutating func raise(to limit: Int) { self.limit = max(self.limit, limit) }

        public mutating func spend(_ count: Int) {
            precondition(count >= 0 && count <= available, "\(count) of \(available) layer blocks of credit spent")
            spent += count
        }

        public func checkInvariants() {
            precondition(spent >= 0 && spent <= limit, "\(spent) layer blocks sent with a limit of \(limit)")
        }
    }

    /// What the receiver lets the sender send: never more than `window` beyond what is accounted for.
    public struct Receiver: Sendable, Hashable {
        public let window: Int
        /// Layer blocks that arrived and are there, each counted once: what the network repeats was not sent.
        public private(set) var arrived = 0
        /// Layer blocks that the sender says it sent. Those lost on the way count only here.
        public private(set) var declared = 0

        public init(window: Int) {
            precondition(window > 0, "a window of \(window) layer blocks")
            self.window = window
        }

        /// Absolute credit for the sender. Both counts are at most what was sent, so this is at most `window` more.
        public var limit: Int {
            let (limit, overflow) = max(arrived, declared).addingReportingOverflow(window)
            return overflow ? .max : limit
        }

        public mutating func arrive(_ count: Int) {
            precondition(count >= 0, "\(count) layer blocks arrived")
            arrived += count
        }

        /// Layer blocks that had arrived were overwritten by a damaged message.
        public mutating func spoil(_ count: Int) {
            precondition(count >= 0 && count <= arrived, "\(count) of \(arrived) layer blocks spoiled")
            arrived -= count
        }

        public mutating func declare(sent: Int) { declared = max(declared, sent) }

        public func checkInvariants() {
            precondition(arrived >= 0 && declared >= 0 && limit >= window, "\(self)")
        }
    }
}
