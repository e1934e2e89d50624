import Generation

/// A request from acceptance to its terminal event.
struct ServingRequest: Sendable {
    let id: RequestID
    let key: ClientRequestKey
    /// The prompt, followed by the tokens emitted so far.
    var tokens: [TokenID]
    let promptCount: Int
    let sampling: SamplingParameters
    let stop: StopConditions
    var rank: Rank
    private let priority: Priority
    let deadline: Instant?

    var phase: Phase = .queued(holder: nil)
    /// Attempts so far; the latest is the current one.
    var ordinal: UInt32 = 0
    /// Tokens emitted before the KV that is computed or sent now, whatever attempt it goes by.
    var emittedBeforePrefill = 0
    /// Tokens emitted before the current attempt.
    var emittedBeforeAttempt = 0
    /// Attempts in a row that brought no token.
    var fruitlessAttempts = 0
    /// Whom the next attempt should rather not meet again.
    var avoided: (prefill: Int?, decode: Int?) = (nil, nil)
    var record: ServingRecord

    init(_ request: ClientRequest, id: RequestID, precedence: Int64 = 0, at now: Instant) {
        self.id = id
        key = request.key
        tokens = request.prompt
        promptCount = request.prompt.count
        sampling = request.sampling
        stop = request.stop
        priority = request.priority
        rank = Rank(precedence: precedence, priority: request.priority, request: id)
        deadline = request.deadline
        record = ServingRecord(submitted: now)
    }

    /// Where a request stands. Numbers are worker slots of ``Membership``.
    enum Phase: Sendable {
        /// Waits for workers. If somebody holds its KV, or computes it, a new destination will do.
        case queued(holder: KVHolder?)
        /// As `queued`, but not before its retry timer.
        case pausing(holder: KVHolder?)
        /// Somebody computes the prompt; the first token is not known.
        case prefilling(Route)
        /// The first token is known; the KV is not known to be whole on the decode side.
        case transferring(Route)
        /// The KV is whole on the decode side.
        case decoding(Decoding)
    }

    struct Route: Sendable {
        /// Where the KV comes from; `nil` once nothing of it is left there.
        var source: KVHolder?
        var decode: Int
        /// Blocks charged to the decode worker.
        var charge: Int

        /// One mixed worker does both: there is no KV elsewhere, and no transfer.
        var isLocal: Bool { source == .prefill(decode) }
        /// It was parked there, and goes on there.
        var isResumption: Bool { source == .parked(decode) }
    }

    struct Decoding: Sendable {
        var route: Route
        /// Tokens that overtook the first one, which comes from the prefill worker.
        var early: [TokenID] = []
    }

    /// A wait as long as the head start of a priority is worth that priority, to those who would displace it.
    mutating func raisePriority(headStart: Duration, at now: Instant) {
        guard headStart > .zero else { return }
        let steps = Int((now - record.submitted) / headStart)
        rank.priority = Priority(rawValue: min(priority.rawValue + steps, Priority.high.rawValue)) ?? .high
    }

    var attempt: AttemptID { AttemptID(request: id, ordinal: ordinal) }
    /// Its KV waits in a parking store.
    var isParked: Bool { if case .queued(.parked) = phase { true } else { false } }
    var emittedCount: Int { tokens.count - promptCount }
    /// Whether the prefill going on has told its token.
    var knowsFirstToken: Bool { emittedCount > emittedBeforePrefill }
    /// Tokens of the whole answer and its prompt at most.
    var greatestLength: Int { promptCount + Int(stop.maxTokens) }

    var order: SequenceOrder {
        SequenceOrder(
            attempt: attempt, tokens: Array(tokens[..<(promptCount + emittedBeforePrefill)]), promptCount: promptCount,
            sampling: sampling, stop: stop, priority: rank.priority, precedence: rank.precedence)
    }

    /// Blocks of the decode worker for a sequence of `count` tokens: its KV now and some room to grow, but not more
    /// than the whole answer can ever need.
    func budget(forTokens count: Int, geometry: KVGeometry, growth: Int) -> Int {
        let now = geometry.blockCount(forTokens: count)
        return max(now, min(now + growth, geometry.blockCount(forTokens: greatestLength)))
    }
}

/// Who has the KV of a request, or computes it, besides the decode worker that it is meant for. Numbers are worker slots.
enum KVHolder: Sendable, Hashable {
    /// A prefill worker, or a mixed worker for itself.
    case prefill(Int)
    /// The decode or mixed worker that parked it.
    case parked(Int)

    var worker: Int {
        switch self {
        case .prefill(let worker), .parked(let worker): worker
        }
    }
}

extension ServingRequest.Phase {
    var holder: KVHolder? {
        switch self {
        case .queued(let holder), .pausing(let holder): holder
        case .prefilling(let route), .transferring(let route): route.source
        case .decoding(let decoding): decoding.route.source
        }
    }

    /// The prefill worker that has something to do with the request.
    var prefill: Int? { if case .prefill(let worker)? = holder { worker } else { nil } }

    var route: ServingRequest.Route? {
        switch self {
        case .queued, .pausing: nil
        case .prefilling(let route), .transferring(let route): route
        case .decoding(let decoding): decoding.route
        }
    }

    var decode: Int? { route?.decode }
    /// A mixed worker is computing the prompt.
    var isLocal: Bool { route?.isLocal ?? false }

    var isWaiting: Bool {
        switch self {
        case .queued, .pausing: true
        case .prefilling, .transferring, .decoding: false
        }
    }

    /// Nothing of the request is left where its KV came from.
    mutating func forgetHolder() {
        switch self {
        case .queued: self = .queued(holder: nil)
        case .pausing: self = .pausing(holder: nil)
        case .prefilling(var route):
            route.source = nil
            self = .prefilling(route)
        case .transferring(var route):
            route.source = nil
            self = .transferring(route)
        case .decoding(var decoding):
            decoding.route.source = nil
            self = .decoding(decoding)
        }
    }

    mutating func setCharge(_ charge: Int) {
        switch self {
        case .queued, .pausing: preconditionFailure("\(self) is charged to nobody")
        case .prefilling(var route):
            route.charge = charge
            self = .prefilling(route)
        case .transferring(var route):
            route.charge = charge
            self = .transferring(route)
        case .decoding(var decoding):
            decoding.route.charge = charge
            self = .decoding(decoding)
        }
    }
}

/// When things happened to a request, and who did them; for the client's summary.
struct ServingRecord: Sendable {
    let submitted: Instant
    var prefillStarted: Instant?
    var firstToken: Instant?
    var kvWhole: Instant?
    var lastToken: Instant?
    /// Who computed the prompt last.
    var prefillWorker: WorkerID?
    /// Who decoded last; `nil` until a token came from a decode worker.
    var decodeWorker: WorkerID?

    init(submitted: Instant) { self.submitted = submitted }

    func timings(tokenCount: Int) -> Timings {
        let started = prefillStarted ?? submitted
        let first = firstToken ?? started
        let last = lastToken ?? first
        return Timings(
            queue: started - submitted, prefill: first - started,
            transfer: max(.zero, (kvWhole ?? first) - first), timeToFirstToken: first - submitted,
            timePerOutputToken: tokenCount > 1 ? (last - first) / (tokenCount - 1) : .zero)
    }
}
