import Generation

/// A request from acceptance to its terminal event, or a part of one.
///
/// A request for several choices has a part for the prompt, which is what the client knows, and one for each choice. The
/// prompt is computed once, for all choices that follow it; where its KV is whole they part. From then on each choice is
/// served like a request of its own, but for the blocks of the prompt that it shares.
struct ServingRequest: Sendable {
    enum Part: Sendable, Hashable {
        /// A request with a single choice.
        case whole
        /// What choices, open or not, have in common.
        case prompt(choices: [RequestID])
        case choice(of: RequestID)
    }

    /// What a choice has to do with the blocks of its prompt on its decode worker.
    enum Sharing: Sendable, Hashable {
        case none
        case shares
        /// Is charged for them.
        case keeps
    }

    let id: RequestID
    let part: Part
    let key: ClientRequestKey
    /// The prompt, followed by the tokens emitted so far.
    var tokens: [TokenID]
    let promptCount: Int
    let sampling: SamplingParameters
    let stop: StopConditions
    let logprobs: Int?
    /// The prompt is to be scored, with so many of the most probable tokens in each place.
    let promptLogprobs: Int?
    let constraint: Constraint?
    let cacheSalt: String
    let group: GroupID?
    var rank: Rank
    private let priority: Priority
    let deadline: Instant?

    var phase: Phase = .queued(holder: nil)
    /// Of a choice.
    var sharing = Sharing.none
    /// Choices of a prompt that have not ended.
    var openChoices = 0
    /// The prefill going on, of a prompt, has told the first token of each choice.
    var hasForked = false
    /// Tokens of the prompt that the client has, with their scores.
    var scoredCount = 0
    /// Attempts so far; the latest is the current one.
    var ordinal: UInt32 = 0
    /// Tokens emitted before the KV that is computed or sent now, whatever attempt it goes by.
    var emittedBeforePrefill = 0
    /// Tokens of the prompt that its prefill worker has to compute, as far as known; what it counts as work for.
    var prefillWork = 0
    /// Tokens emitted before the current attempt.
    var emittedBeforeAttempt = 0
    /// Attempts in a row that brought no token.
    var fruitlessAttempts = 0
    /// Whom the next attempt should rather not meet again.
    var avoided: (prefill: Int?, decode: Int?) = (nil, nil)
    /// Whole blocks of its prompt, once it has been in line; for placement.
    var prefixNames: [PrefixName] = []
    /// Its decode worker counts them once for all queries that have them.
    var sharesBlocks = false
    var record: ServingRecord

    init(
        _ request: ClientRequest, id: RequestID, part: Part = .whole, group: GroupID? = nil, precedence: Int64 = 0,
        at now: Instant
    ) {
        self.id = id
        self.part = part
        key = request.key
        tokens = request.prompt
        promptCount = request.prompt.count
        sampling = request.sampling
        stop = request.stop
        logprobs = request.logprobs.map(Int.init)
        promptLogprobs = request.promptLogprobs.map(Int.init)
        constraint = request.constraint
        cacheSalt = request.cacheSalt
        self.group = group
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
        /// A choice that its prompt is being computed for, or will be.
        case following
        /// A prompt whose choices have gone on. Whoever computed it may have something of it still.
        case divided(holder: KVHolder?)
    }

    struct Route: Sendable {
        /// Where the KV comes from; `nil` once nothing of it is left there.
        var source: KVHolder?
        /// `nil`: nothing is decoded, the prefill says all that is wanted.
        var decode: Int?
        /// Blocks charged to the decode worker.
        var charge: Int

        /// One mixed worker does both: there is no KV elsewhere, and no transfer.
        var isLocal: Bool { decode.map { source == .prefill($0) } ?? false }
        /// It was parked there, and goes on there.
        var isResumption: Bool { decode.map { source == .parked($0) } ?? false }
    }

    struct Decoding: Sendable {
        var route: Route
        /// Tokens that overtook the first one, which comes from the prefill worker.
        var early: [ScoredToken] = []
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
    var knowsFirstToken: Bool { isPrompt ? hasForked : emittedCount > emittedBeforePrefill }
    var isPrompt: Bool { if case .prompt = part { true } else { false } }
    var isChoice: Bool { if case .choice = part { true } else { false } }
    /// What the client knows it by.
    var family: RequestID { if case .choice(let prompt) = part { prompt } else { id } }
    var choices: [RequestID] { if case .prompt(let choices) = part { choices } else { [] } }
    var awaitsScores: Bool { promptLogprobs != nil && !isChoice && scoredCount < promptCount }
    /// One token at most is still to come, which a prefill says.
    var endsWithPrefill: Bool { emittedCount + 1 >= stop.maxTokens }
    /// Tokens of the whole answer and its prompt at most.
    var greatestLength: Int { promptCount + Int(stop.maxTokens) }

    var order: SequenceOrder {
        SequenceOrder(
            attempt: attempt, tokens: Array(tokens[..<(promptCount + emittedBeforePrefill)]), promptCount: promptCount,
            sampling: sampling, stop: stop, logprobs: logprobs,
            scoring: awaitsScores ? promptLogprobs.map { PromptScoring(top: $0, first: max(1, scoredCount)) } : nil,
            constraint: constraint, cacheSalt: cacheSalt, priority: rank.priority, precedence: rank.precedence)
    }

    /// Blocks of the decode worker for a sequence of `count` tokens: its KV now and some room to grow, but not more
    /// than the whole answer can ever need; for several choices, one of them.
    func budget(forTokens count: Int, geometry: KVGeometry, growth: Int) -> Int {
        let now = geometry.blockCount(forTokens: count)
        let more = isPrompt ? openChoices * (growth + 1) : growth
        return max(now, min(now + more, geometry.blockCount(forTokens: greatestLength)))
    }

    /// Blocks of the prompt that all choices read and none writes.
    func sharedBlocks(_ geometry: KVGeometry) -> Int { promptCount / geometry.blockSize }

    /// Blocks that are this request's to pay for.
    func ownBlocks(forTokens count: Int, _ geometry: KVGeometry) -> Int {
        geometry.blockCount(forTokens: count) - (sharing == .shares ? sharedBlocks(geometry) : 0)
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
        case .queued(let holder), .pausing(let holder), .divided(let holder): holder
        case .prefilling(let route), .transferring(let route): route.source
        case .decoding(let decoding): decoding.route.source
        case .following: nil
        }
    }

    /// The prefill worker that has something to do with the request.
    var prefill: Int? { if case .prefill(let worker)? = holder { worker } else { nil } }

    var route: ServingRequest.Route? {
        switch self {
        case .queued, .pausing, .following, .divided: nil
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
        case .prefilling, .transferring, .decoding, .following, .divided: false
        }
    }

    /// Nothing of the request is left where its KV came from.
    mutating func forgetHolder() {
        switch self {
        case .queued: self = .queued(holder: nil)
        case .pausing: self = .pausing(holder: nil)
        case .divided: self = .divided(holder: nil)
        case .following: break
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
        case .queued, .pausing, .following, .divided: preconditionFailure("\(self) is charged to nobody")
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
    /// Tokens of the prompt whose KV was there then.
    var cachedCount = 0
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
