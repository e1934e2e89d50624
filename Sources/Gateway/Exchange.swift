import Logging

/// One request and what belongs to it while it is answered.
struct Exchange: Sendable {
    /// The client's `X-Request-Id`, or one of ours.
    var id: String
    /// Carries the id.
    var logger: Logger
    /// Of the client; ends when it goes.
    var watch: ConnectionWatch
    /// Whose key was sent; `nil` where nobody needs one.
    var tenant: Tenant?
    var arrival = ContinuousClock.now

    /// When the client's time is over; it runs from the arrival of the request.
    func end(of parameters: SharedParameters) -> ContinuousClock.Instant? { parameters.timeout.map { arrival + $0 } }

    /// A client's own id is taken if it is short and printable, so that no log line can be forged with it.
    static func id(given: String?, random: UInt64) -> String {
        if let given, (1...128).contains(given.utf8.count), given.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) { return given }
        return identifier("req-", random)
    }

    /// `prefix` and 16 hexadecimal digits.
    static func identifier(_ prefix: String, _ random: UInt64) -> String {
        let digits = String(random, radix: 16)
        return prefix + String(repeating: "0", count: 16 - digits.count) + digits
    }
}
