import ClusterCore
import Generation

/// What is where in the cluster, told by its events and drawn as lines of text.
struct DemoBoard {
    fileprivate struct Request {
        var title: String
        var priority: Priority
        var promptCount = 0
        var tokenCount = 0
        var place = Place.waiting
        var submitted: Duration
        var firstToken: Duration?
    }

    fileprivate enum Place: Equatable {
        case waiting
        case prefill(WorkerID)
        case transfer(WorkerID)
        case whole(WorkerID)
        case parked(WorkerID)
        case row(WorkerID, Int)
        case done(String)
    }

    /// Names of the prompts by submission, for people.
    private var titles: [String]
    private var requests: [RequestID: Request] = [:]
    private var order: [RequestID] = []
    private var workers: [WorkerID: WorkerRole]
    private let rowCount: Int

    /// - Parameters:
    ///   - titles: of the prompts, in the order in which they will be submitted.
    ///   - workers: that have joined already.
    ///   - rowCount: rows to draw of each batch.
    init(titles: [String], workers: [WorkerStatus], rowCount: Int) {
        self.titles = titles
        self.workers = Dictionary(workers.map { ($0.worker, $0.role) }, uniquingKeysWith: { $1 })
        self.rowCount = rowCount
    }

    mutating func apply(_ event: ClusterEvent) {
        switch event.kind {
        case .workerJoined(let worker, let role): workers[worker] = role
        case .workerLost(let worker, _): workers[worker] = nil
        default: break
        }
        guard let id = event.request else { return }
        if case .submitted(let promptCount, let priority) = event.kind {
            let title = titles.indices.contains(order.count) ? titles[order.count] : "\(id)"
            requests[id] = Request(
                title: title, priority: priority, promptCount: promptCount, submitted: event.time)
            order.append(id)
        }
        requests[id]?.follow(event)
    }
}

extension DemoBoard.Request {
    fileprivate mutating func follow(_ event: ClusterEvent) {
        switch event.kind {
        case .prefillStarted(let worker): place = .prefill(worker)
        case .firstToken(let worker):
            firstToken = firstToken ?? event.time
            tokenCount = max(tokenCount, 1)
            if case .prefill = place { place = .transfer(worker) }
        case .kvWhole(let worker): place = .whole(worker)
        case .embedded(let worker, let row): place = .row(worker, row)
        case .token(let index): tokenCount = max(tokenCount, Int(index) + 1)
        case .parked(let worker): place = .parked(worker)
        case .resumed(let worker): place = .whole(worker)
        case .retried: place = .waiting
        case .finished(let reason): place = .done("finished (\(reason.rawValue))")
        case .failed(let code): place = .done("failed (\(code.rawValue))")
        case .submitted, .assigned, .left, .workerJoined, .workerLost: break
        }
    }
}

// MARK: - Drawing

extension DemoBoard {
    /// The cluster now, as lines of at most `width` characters.
    func frame(width: Int) -> [String] {
        let sorted = workers.sorted { $0.key < $1.key }
        var lines: [String] = ["waiting for a worker:  " + names { $0 == .waiting }]
        for (worker, _) in sorted where workers[worker]?.computesPrompts == true {
            lines.append("\(worker) prefills:   " + names { $0 == .prefill(worker) })
        }
        lines.append("KV on its way:         " + names { if case .transfer = $0 { true } else { false } })
        for (worker, _) in sorted where workers[worker]?.decodes == true {
            lines.append("\(worker), KV whole:     " + names { $0 == .whole(worker) })
            lines.append("\(worker), parked:       " + names { $0 == .parked(worker) })
            for row in 0..<rowCount { lines.append("  row \(row) │ " + rowText(worker, row)) }
        }
        let finished = order.filter { if case .done = requests[$0]?.place { true } else { false } }
        lines.append("finished: \(finished.count) of \(titles.count)")
        return lines.map { String($0.prefix(width)) }
    }

    private func names(where matches: (Place) -> Bool) -> String {
        let found = order.compactMap { requests[$0] }.filter { matches($0.place) }
        return found.isEmpty ? "–" : found.map(\.title).joined(separator: ", ")
    }

    private func rowText(_ worker: WorkerID, _ row: Int) -> String {
        guard let request = order.lazy.compactMap({ requests[$0] }).first(where: { $0.place == .row(worker, row) })
        else { return "·" }
        let bar = String(repeating: "▪", count: min(40, (request.tokenCount + 3) / 4))
        let title = request.title.padded(to: 24)
        return "\(title) \(request.priority.name.padded(to: 6)) \(String(request.tokenCount).leftPadded(to: 4)) tokens \(bar)"
    }

    /// One event as a line, for output that is not a terminal; `nil` for what would only be noise there.
    func line(for event: ClusterEvent) -> String? {
        let name = event.request.flatMap { requests[$0]?.title } ?? ""
        let what: String
        switch event.kind {
        case .token, .assigned: return nil
        case .submitted(let count, let priority): what = "submitted, \(count) tokens, priority \(priority.name)"
        case .prefillStarted(let worker): what = "prefill starts on \(worker)"
        case .firstToken(let worker): what = "first token from \(worker)"
        case .kvWhole(let worker): what = "KV whole on \(worker)"
        case .embedded(let worker, let row): what = "embedded into row \(row) of \(worker)"
        case .left(let worker, let row): what = "left row \(row) of \(worker)"
        case .parked(let worker): what = "parked on \(worker)"
        case .resumed(let worker): what = "resumes on \(worker)"
        case .retried(let why): what = "tried again: \(why)"
        case .finished(let reason): what = "finished (\(reason.rawValue))"
        case .failed(let code): what = "failed (\(code.rawValue))"
        case .workerJoined(let worker, let role): what = "\(worker) joined for \(role.rawValue)"
        case .workerLost(let worker, let why): what = "\(worker) lost: \(why)"
        }
        let time = String(Int(event.time.milliseconds)).leftPadded(to: 7)
        return "\(time) ms  " + (name.isEmpty ? "" : name.padded(to: 24) + " ") + what
    }
}

extension Priority {
    var name: String {
        switch self {
        case .low: "low"
        case .normal: "normal"
        case .high: "high"
        }
    }
}

extension String {
    func padded(to width: Int) -> String {
        count >= width ? String(prefix(width)) : self + String(repeating: " ", count: width - count)
    }

    func leftPadded(to width: Int) -> String {
        count >= width ? self : String(repeating: " ", count: width - count) + self
    }
}
