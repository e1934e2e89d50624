import CProtobufC
import CWire
import ClusterCore
import Generation

extension Arena {
    func event(_ event: ClusterEvent) -> UnsafeMutablePointer<Baton__Event> {
        make(baton__event__init) {
            $0.time_microseconds = event.time.microseconds
            $0.request = event.request?.rawValue ?? 0
            set(&$0, event.kind)
        }
    }

    private func set(_ event: inout Baton__Event, _ kind: ClusterEvent.Kind) {
        switch kind {
        case .submitted(let promptCount, let priority):
            event.kind_case = BATON__EVENT__KIND_SUBMITTED
            event.submitted = make(baton__event_submitted__init) {
                $0.prompt_count = UInt32(clamping: promptCount)
                $0.priority = Int32(priority.rawValue)
            }
        case .assigned(let prefill, let decode):
            event.kind_case = BATON__EVENT__KIND_ASSIGNED
            event.assigned = make(baton__event_assigned__init) {
                $0.prefill = text(prefill.name)
                $0.decode = text(decode.name)
            }
        case .prefillStarted(let worker):
            event.kind_case = BATON__EVENT__KIND_PREFILL_STARTED
            event.prefill_started = text(worker.name)
        case .firstToken(let worker):
            event.kind_case = BATON__EVENT__KIND_FIRST_TOKEN
            event.first_token = text(worker.name)
        case .kvWhole(let worker):
            event.kind_case = BATON__EVENT__KIND_KV_WHOLE
            event.kv_whole = text(worker.name)
        case .embedded(let worker, let row):
            event.kind_case = BATON__EVENT__KIND_EMBEDDED
            event.embedded = eventRow(worker, row)
        case .token(let index):
            event.kind_case = BATON__EVENT__KIND_TOKEN
            event.token = make(baton__event_token__init) { $0.index = UInt32(clamping: index) }
        case .left(let worker, let row):
            event.kind_case = BATON__EVENT__KIND_LEFT
            event.left = eventRow(worker, row)
        case .parked(let worker):
            event.kind_case = BATON__EVENT__KIND_PARKED
            event.parked = text(worker.name)
        case .resumed(let worker):
            event.kind_case = BATON__EVENT__KIND_RESUMED
            event.resumed = text(worker.name)
        case .retried(let why):
            event.kind_case = BATON__EVENT__KIND_RETRIED
            event.retried = text(why, atMost: 800)
        case .finished(let reason):
            event.kind_case = BATON__EVENT__KIND_FINISHED
            event.finished = make(baton__event_finished__init) { $0.reason = reason.wireValue }
        case .failed(let code):
            event.kind_case = BATON__EVENT__KIND_FAILED
            event.failed = text(code.rawValue)
        case .workerJoined(let worker, let role):
            event.kind_case = BATON__EVENT__KIND_WORKER_JOINED
            event.worker_joined = make(baton__event_joined__init) {
                $0.worker = text(worker.name)
                $0.role = role.wireValue
            }
        case .workerLost(let worker, let reason):
            event.kind_case = BATON__EVENT__KIND_WORKER_LOST
            event.worker_lost = make(baton__event_lost__init) {
                $0.worker = text(worker.name)
                $0.reason = text(reason, atMost: 800)
            }
        }
    }

    private func eventRow(_ worker: WorkerID, _ row: Int) -> UnsafeMutablePointer<Baton__EventRow> {
        make(baton__event_row__init) {
            $0.worker = text(worker.name)
            $0.row = UInt32(clamping: row)
        }
    }
}

extension FieldReader {
    func event(_ pointer: UnsafeMutablePointer<Baton__Event>?) throws(WireError) -> ClusterEvent {
        let event = try required(pointer, "event").pointee
        return ClusterEvent(
            time: .micros(event.time_microseconds), request: event.request == 0 ? nil : RequestID(event.request),
            kind: try kind(event))
    }

    private func kind(_ event: Baton__Event) throws(WireError) -> ClusterEvent.Kind {
        switch event.kind_case {
        case BATON__EVENT__KIND_SUBMITTED:
            let submitted = try required(event.submitted, "submitted").pointee
            return .submitted(
                promptCount: try count(submitted.prompt_count, "prompt_count"), try priority(submitted.priority))
        case BATON__EVENT__KIND_ASSIGNED:
            let assigned = try required(event.assigned, "assigned").pointee
            return .assigned(
                prefill: try worker(assigned.prefill, "prefill"), decode: try worker(assigned.decode, "decode"))
        case BATON__EVENT__KIND_PREFILL_STARTED: return .prefillStarted(try worker(event.prefill_started))
        case BATON__EVENT__KIND_FIRST_TOKEN: return .firstToken(try worker(event.first_token))
        case BATON__EVENT__KIND_KV_WHOLE: return .kvWhole(try worker(event.kv_whole))
        case BATON__EVENT__KIND_EMBEDDED:
            let row = try required(event.embedded, "embedded").pointee
            return .embedded(try worker(row.worker), row: try count(row.row, "row"))
        case BATON__EVENT__KIND_TOKEN:
            return .token(index: try index(try required(event.token, "token").pointee.index, "index"))
        case BATON__EVENT__KIND_LEFT:
            let row = try required(event.left, "left").pointee
            return .left(try worker(row.worker), row: try count(row.row, "row"))
        case BATON__EVENT__KIND_PARKED: return .parked(try worker(event.parked))
        case BATON__EVENT__KIND_RESUMED: return .resumed(try worker(event.resumed))
        case BATON__EVENT__KIND_RETRIED: return .retried(try text(event.retried, "retried"))
        case BATON__EVENT__KIND_FINISHED:
            return .finished(try finishReason(try required(event.finished, "finished").pointee.reason))
        case BATON__EVENT__KIND_FAILED: return .failed(try failureCode(event.failed))
        case BATON__EVENT__KIND_WORKER_JOINED:
            let joined = try required(event.worker_joined, "worker_joined").pointee
            return .workerJoined(try worker(joined.worker), try role(joined.role))
        case BATON__EVENT__KIND_WORKER_LOST:
            let lost = try required(event.worker_lost, "worker_lost").pointee
            return .workerLost(try worker(lost.worker), try text(lost.reason, "reason"))
        default: throw .missing(message: "event", field: "kind")
        }
    }
}
