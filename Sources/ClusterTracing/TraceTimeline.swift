import ClusterCore
import Generation

/// Turns what the scheduler observes into spans.
///
/// A worker is a process of the viewer. Its tracks are the rows of its batch, each with the requests that held it one after
/// the other, and as many lanes for prompts as it ever computed side by side. KV on its way, and KV put aside, is a span of its
/// own beside the rows, the former from the start of the prefill until it was whole, and an arrow leads from the prompt to the row. The first process is
/// the cluster: requests from submission to end, and how many wait.
///
/// Remembers open requests and workers only, so that it may run for ever.
struct TraceTimeline: Sendable {
    /// Where a span is open.
    private struct Track: Hashable {
        var process: Int
        var thread: Int
    }

    private struct OpenRequest {
        var isWaiting = true
        /// Lane of its prefill.
        var prompt: Track?
        /// Process to which its KV is on the way.
        var transfer: Int?
        /// Worker to which it is assigned for decoding.
        var destination: Int?
        /// Process in whose store its KV is put aside.
        var parked: Int?
        /// An arrow was begun that no row has received.
        var hasArrow = false
        var row: Track?
    }

    private var processes: [WorkerID: Int] = [:]
    private var requests: [RequestID: OpenRequest] = [:]
    private var rows: [Track: RequestID] = [:]
    private var lanes: [Track: RequestID] = [:]
    private var named: Set<Track> = []
    private var waitingCount = 0
    private var records: [TraceRecord] = []
    private var time = 0.0
    private var isEmpty = true

    private static let cluster = 1
    /// First track of prompts, behind the rows.
    private static let firstLane = 1_000_000

    init() {}

    /// - Returns: what the event adds to the trace.
    mutating func take(_ event: ClusterEvent) -> [TraceRecord] {
        records = []
        // Never backwards: the viewer would drop the span.
        time = max(time, event.time.microseconds)
        introduce()
        if let request = event.request { take(event.kind, of: request) } else { take(event.kind) }
        return records
    }

    /// Closes whatever is open.
    /// - Parameter now: since the coordinator started.
    mutating func end(at now: Duration) -> [TraceRecord] {
        records = []
        time = max(time, now.microseconds)
        for request in requests.keys.sorted() { close(request) }
        return records
    }

    // MARK: Events

    private mutating func take(_ kind: ClusterEvent.Kind) {
        switch kind {
        case .workerJoined(let worker, let role): name(worker, role.rawValue)
        case .workerLost(let worker, let reason):
            let process = self.process(of: worker)
            add(.instant(name: "lost: \(reason)"), Track(process: process, thread: 0))
            for request in requests.keys.sorted() { leave(process, request) }
        default: break
        }
    }

    private mutating func take(_ kind: ClusterEvent.Kind, of request: RequestID) {
        switch kind {
        case .submitted: open(request)
        case .assigned(_, let decode): assign(request, to: decode)
        case .prefillStarted(let worker): beginPrompt(request, on: worker)
        case .firstToken: endPrompt(request)
        case .kvWhole: endTransfer(request)
        case .embedded(let worker, let row): beginRow(row, request, on: worker)
        case .left(let worker, let row): endRow(Track(process: process(of: worker), thread: row + 1), request)
        case .parked(let worker): park(request, on: worker)
        case .resumed: resume(request)
        case .retried(let reason): retry(request, reason)
        case .finished, .failed: close(request)
        case .token, .workerJoined, .workerLost: break
        }
    }

    private mutating func open(_ request: RequestID) {
        // One that was there before the trace began has no submission in it, and one cannot come twice.
        guard requests[request] == nil else { return }
        requests[request] = OpenRequest()
        addAsync(begin: true, "request \(request.rawValue)", "request", request, Self.cluster)
        addAsync(begin: true, "waiting", "request", request, Self.cluster)
        countWaiting(+1)
    }

    private mutating func assign(_ request: RequestID, to decode: WorkerID) {
        guard let open = requests[request] else { return }
        let destination = process(of: decode)
        requests[request]?.destination = destination
        guard open.isWaiting else { return }
        requests[request]?.isWaiting = false
        addAsync(begin: false, "waiting", "request", request, Self.cluster)
        countWaiting(-1)
    }

    private mutating func beginPrompt(_ request: RequestID, on worker: WorkerID) {
        guard let open = requests[request], open.prompt == nil else { return }
        let process = self.process(of: worker)
        var lane = Track(process: process, thread: Self.firstLane)
        while lanes[lane] != nil { lane.thread += 1 }
        lanes[lane] = request
        requests[request]?.prompt = lane
        name(lane, "prompts \(lane.thread - Self.firstLane)")
        add(.begin(name: "prefill \(request.rawValue)"), lane)
        if let destination = open.destination, destination != process, open.transfer == nil {
            requests[request]?.transfer = destination
            addAsync(begin: true, "KV of \(request.rawValue)", "KV", request, destination)
        }
    }

    private mutating func endPrompt(_ request: RequestID) {
        guard let lane = requests[request]?.prompt else { return }
        add(.flowStart(id: request.rawValue), lane)
        requests[request]?.hasArrow = true
        abandonPrompt(request)
    }

    /// Closes the span without an arrow.
    private mutating func abandonPrompt(_ request: RequestID) {
        guard let lane = requests[request]?.prompt else { return }
        requests[request]?.prompt = nil
        lanes[lane] = nil
        add(.end, lane)
    }

    private mutating func endTransfer(_ request: RequestID) {
        guard let process = requests[request]?.transfer else { return }
        requests[request]?.transfer = nil
        addAsync(begin: false, "KV of \(request.rawValue)", "KV", request, process)
    }

    private mutating func beginRow(_ row: Int, _ request: RequestID, on worker: WorkerID) {
        guard requests[request] != nil else { return }
        resume(request)
        let track = Track(process: process(of: worker), thread: row + 1)
        // The end of the one before was not told.
        if let former = rows[track] { endRow(track, former) }
        if let other = requests[request]?.row { endRow(other, request) }
        rows[track] = request
        requests[request]?.row = track
        name(track, "row \(row)")
        add(.begin(name: "request \(request.rawValue)"), track)
        if requests[request]?.hasArrow == true {
            requests[request]?.hasArrow = false
            add(.flowEnd(id: request.rawValue), track)
        }
        countRows(of: track.process)
    }

    private mutating func endRow(_ track: Track, _ request: RequestID) {
        guard rows[track] == request else { return }
        rows[track] = nil
        if requests[request]?.row == track { requests[request]?.row = nil }
        add(.end, track)
        countRows(of: track.process)
    }

    private mutating func park(_ request: RequestID, on worker: WorkerID) {
        guard let open = requests[request], open.parked == nil else { return }
        if let row = open.row { endRow(row, request) }
        let process = self.process(of: worker)
        requests[request]?.parked = process
        addAsync(begin: true, "parked \(request.rawValue)", "parked", request, process)
    }

    private mutating func resume(_ request: RequestID) {
        guard let process = requests[request]?.parked else { return }
        requests[request]?.parked = nil
        addAsync(begin: false, "parked \(request.rawValue)", "parked", request, process)
    }

    private mutating func retry(_ request: RequestID, _ reason: String) {
        guard let open = requests[request] else { return }
        releaseAll(request)
        add(.instant(name: "request \(request.rawValue) again: \(reason)"), Track(process: Self.cluster, thread: 0))
        guard !open.isWaiting else { return }
        requests[request]?.isWaiting = true
        addAsync(begin: true, "waiting", "request", request, Self.cluster)
        countWaiting(+1)
    }

    private mutating func close(_ request: RequestID) {
        guard let open = requests[request] else { return }
        releaseAll(request)
        if open.isWaiting {
            addAsync(begin: false, "waiting", "request", request, Self.cluster)
            countWaiting(-1)
        }
        addAsync(begin: false, "request \(request.rawValue)", "request", request, Self.cluster)
        requests[request] = nil
    }

    private mutating func releaseAll(_ request: RequestID) {
        abandonPrompt(request)
        endTransfer(request)
        resume(request)
        if let row = requests[request]?.row { endRow(row, request) }
        requests[request]?.hasArrow = false
    }

    /// What the request has on a worker that is gone.
    private mutating func leave(_ process: Int, _ request: RequestID) {
        guard let open = requests[request] else { return }
        if open.prompt?.process == process { abandonPrompt(request) }
        if open.transfer == process { endTransfer(request) }
        if open.parked == process { resume(request) }
        if let row = open.row, row.process == process { endRow(row, request) }
    }

    // MARK: Records

    private mutating func add(_ kind: TraceRecord.Kind, _ track: Track) {
        records.append(TraceRecord(kind: kind, time: time, process: track.process, thread: track.thread))
    }

    private mutating func addAsync(begin: Bool, _ name: String, _ category: String, _ request: RequestID, _ process: Int) {
        let id = request.rawValue, track = Track(process: process, thread: 0)
        add(
            begin ? .asyncBegin(name: name, category: category, id: id) : .asyncEnd(name: name, category: category, id: id), track)
    }

    private mutating func countWaiting(_ change: Int) {
        waitingCount += change
        add(.counter(name: "waiting", value: waitingCount), Track(process: Self.cluster, thread: 0))
    }

    private mutating func countRows(of process: Int) {
        add(.counter(name: "rows", value: rows.keys.count { $0.process == process }), Track(process: process, thread: 0))
    }

    private mutating func introduce() {
        guard isEmpty else { return }
        isEmpty = false
        add(.processName("cluster"), Track(process: Self.cluster, thread: 0))
        add(.processOrder(0), Track(process: Self.cluster, thread: 0))
    }

    private mutating func process(of worker: WorkerID) -> Int {
        if let known = processes[worker] { return known }
        name(worker, nil)
        return processes[worker] ?? Self.cluster
    }

    private mutating func name(_ worker: WorkerID, _ role: String?) {
        guard processes[worker] == nil else { return }
        let process = Self.cluster + 1 + processes.count
        processes[worker] = process
        add(.processName(role.map { "\(worker.name) (\($0))" } ?? worker.name), Track(process: process, thread: 0))
        add(.processOrder(process), Track(process: process, thread: 0))
    }

    private mutating func name(_ track: Track, _ name: String) {
        guard named.insert(track).inserted else { return }
        add(.threadName(name), track)
        add(.threadOrder(track.thread), track)
    }
}

extension Duration {
    fileprivate var microseconds: Double { Double(components.seconds) * 1e6 + Double(components.attoseconds) * 1e-12 }
}
