import ClusterCore
import Generation
import RequestAdmission

/// What the gateway is in front of: a cluster that takes requests, one process away from nothing.
public protocol ServingBackend: Sendable {
    var model: ServedModel { get }
    /// How a new request would be received at this moment; asked before any work is put into it.
    func reception() async -> Reception
    /// Hands requests over that belong together: when one of them fails, so do the others.
    ///
    /// - Returns: at once; what becomes of the requests comes as events.
    func submit(_ submissions: [Submission]) -> AnswerStream
    func status() async -> ClusterStatus
    func measurements() async -> ServingMetrics
    /// What there is for requests of the lowest priority besides all others.
    func room() async -> ClusterRoom
}

/// The model as clients see it.
public struct ServedModel: Sendable {
    public var name: String
    /// When it began to be served, in seconds since 1970.
    public var created: Int
    public var admission: Admission

    public init(name: String, created: Int, admission: Admission) {
        self.name = name
        self.created = created
        self.admission = admission
    }
}

public struct Reception: Sendable {
    /// Why it would be refused; `nil`: it would be taken.
    public var refusal: RequestFailure?
    /// What the workers' arithmetic has in common; `nil` before the first of them came.
    public var numerics: NumericsClass?

    public init(refusal: RequestFailure?, numerics: NumericsClass?) {
        self.refusal = refusal
        self.numerics = numerics
    }
}

extension ClusterStatus {
    /// Whether a new request would be served now.
    var isReady: Bool {
        func has(_ isWanted: (WorkerRole) -> Bool) -> Bool {
            workers.contains { $0.state == .ready && isWanted($0.role) }
        }
        return !draining && has(\.computesPrompts) && has(\.decodes)
    }
}

/// Something that happened to one of the requests.
public struct AnswerEvent: Sendable, Hashable {
    public enum Kind: Sendable, Hashable {
        /// Always first.
        case accepted(Acceptance)
        /// Tokens of the prompt from position `first` on, before any of an answer; only if their log-probabilities were
        /// asked for.
        case prompt(first: Int32, [ScoredToken])
        /// Consecutive tokens of a choice, and the text that they complete.
        case tokens(choice: Int32, firstIndex: Int32, [ScoredToken], text: String)
        /// Last of each choice.
        case finished(choice: Int32, Completion)
    }

    /// Index among the requests.
    public var request: Int
    public var kind: Kind
    /// When what it tells reached this process; `nil` if that is not known.
    public var arrival: ContinuousClock.Instant?

    public init(request: Int, kind: Kind, arrival: ContinuousClock.Instant? = nil) {
        self.request = request
        self.kind = kind
        self.arrival = arrival
    }
}
