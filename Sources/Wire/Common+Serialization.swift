import CProtobufC
import CWire
import ClusterCore
import Generation

extension Arena {
    func attempt(_ attempt: AttemptID) -> UnsafeMutablePointer<Baton__Attempt> {
        make(baton__attempt__init) {
            $0.request = attempt.request.rawValue
            $0.ordinal = attempt.ordinal
        }
    }

    func tokenEvent(_ event: TokenEvent) -> UnsafeMutablePointer<Baton__TokenEvent> {
        make(baton__token_event__init) {
            $0.attempt = attempt(event.attempt)
            $0.index = UInt32(bitPattern: event.index)
            $0.token = UInt32(bitPattern: event.token)
        }
    }

    func geometry(_ geometry: KVGeometry) -> UnsafeMutablePointer<Baton__Geometry> {
        make(baton__geometry__init) {
            $0.layer_count = UInt32(clamping: geometry.layerCount)
            $0.block_size = UInt32(clamping: geometry.blockSize)
            $0.key_value_heads = UInt32(clamping: geometry.keyValueHeads)
            $0.head_dimension = UInt32(clamping: geometry.headDimension)
            $0.bytes_per_element = UInt32(clamping: geometry.bytesPerElement)
            $0.bytes_per_scale = UInt32(clamping: geometry.bytesPerScale)
        }
    }

    func numerics(_ numerics: NumericsClass) -> UnsafeMutablePointer<Baton__Numerics> {
        make(baton__numerics__init) {
            $0.model_hash = text(numerics.modelHash)
            $0.weight_format = text(numerics.weightFormat)
            $0.kv_format = text(numerics.kvFormat)
            $0.kernel_family = text(numerics.kernelFamily)
            $0.canary = numerics.canary
        }
    }

    func load(_ load: WorkerLoad) -> UnsafeMutablePointer<Baton__Load> {
        make(baton__load__init) {
            $0.referenced_blocks = UInt32(clamping: load.referencedBlocks)
            $0.rows = UInt32(clamping: load.rows)
            $0.waiting = UInt32(clamping: load.waiting)
            $0.steps = load.work.steps
            $0.shared_steps = load.work.sharedSteps
            $0.prefill_tokens = load.work.prefillTokens
            $0.decode_tokens = load.work.decodeTokens
            $0.scheduling = load.scheduling.map(\.wireValue) ?? 0
            $0.idle = idle(load.work.idle)
            $0.batch = batch(load.work.batch)
            $0.parking = parking(load.parking)
            $0.iteration_microseconds = load.iterationTime?.microseconds ?? 0
            $0.prefix_cache = prefixCache(load.prefixCache)
            $0.core_leases = coreLeases(load.coreLeases)
            $0.transfers = transfers(load.transfers)
            $0.row_limit = UInt32(clamping: load.rowLimit ?? 0)
            $0.memory_short = load.isMemoryShort ? 1 : 0
        }
    }

    private func parking(_ parking: ParkingLoad) -> UnsafeMutablePointer<Baton__Parking> {
        make(baton__parking__init) {
            $0.queries = UInt32(clamping: parking.queries)
            $0.memory_bytes = UInt64(clamping: parking.memoryBytes)
            $0.file_bytes = UInt64(clamping: parking.fileBytes)
            $0.parks = parking.parks
            $0.resumes = parking.resumes
            $0.migrations = parking.migrations
            $0.park_time = parking.parkTime.wireNanoseconds
            $0.resume_time = parking.resumeTime.wireNanoseconds
        }
    }

    private func transfers(_ counters: TransferCounters) -> UnsafeMutablePointer<Baton__Transfers> {
        make(baton__transfers__init) {
            $0.bytes = counters.bytes
            $0.microseconds = counters.time.microseconds
            $0.n_buckets = counters.buckets.count
            $0.buckets = array(counters.buckets)
        }
    }

    private func coreLeases(_ counters: CoreLeaseCounters) -> UnsafeMutablePointer<Baton__CoreLeases> {
        make(baton__core_leases__init) {
            $0.borrowed = counters.borrowed
            $0.borrowed_nanoseconds = counters.borrowedNanoseconds
            $0.waits = counters.waits
            $0.wait_nanoseconds = counters.waitNanoseconds
            $0.overdue_waits = counters.overdueWaits
        }
    }

    func sampling(_ sampling: SamplingParameters) -> UnsafeMutablePointer<Baton__Sampling> {
        make(baton__sampling__init) {
            $0.temperature = sampling.temperature
            $0.top_p = sampling.topP
            $0.top_k = UInt32(bitPattern: sampling.topK)
            $0.min_p = sampling.minP
            $0.repetition_penalty = sampling.repetitionPenalty
            $0.presence_penalty = sampling.presencePenalty
            $0.frequency_penalty = sampling.frequencyPenalty
            $0.seed = sampling.seed
            $0.choice = sampling.choice
        }
    }
}

extension FieldReader {
    func attempt(
        _ pointer: UnsafeMutablePointer<Baton__Attempt>?, _ field: String = "attempt"
    ) throws(WireError) -> AttemptID {
        let attempt = try required(pointer, field).pointee
        return AttemptID(request: RequestID(attempt.request), ordinal: attempt.ordinal)
    }

    func index(_ value: UInt32, _ field: String) throws(WireError) -> Int32 { Int32(try count(value, field)) }

    func tokenEvent(_ pointer: UnsafeMutablePointer<Baton__TokenEvent>?, _ field: String) throws(WireError) -> TokenEvent {
        let event = try required(pointer, field).pointee
        return TokenEvent(
            attempt: try attempt(event.attempt), index: try index(event.index, "index"),
            token: try index(event.token, "token"))
    }

    func geometry(_ pointer: UnsafeMutablePointer<Baton__Geometry>?) throws(WireError) -> KVGeometry {
        let geometry = try required(pointer, "geometry").pointee
        // Bounds far above any model, low enough that products of all cannot overflow.
        return KVGeometry(
            layerCount: try count(geometry.layer_count, "layer_count", in: 1...4096),
            blockSize: try count(geometry.block_size, "block_size", in: 1...4096),
            keyValueHeads: try count(geometry.key_value_heads, "key_value_heads", in: 1...4096),
            headDimension: try count(geometry.head_dimension, "head_dimension", in: 1...4096),
            bytesPerElement: try count(geometry.bytes_per_element, "bytes_per_element", in: 1...8),
            bytesPerScale: try count(geometry.bytes_per_scale, "bytes_per_scale", in: 0...8))
    }

    func numerics(_ pointer: UnsafeMutablePointer<Baton__Numerics>?) throws(WireError) -> NumericsClass {
        let numerics = try required(pointer, "numerics").pointee
        return NumericsClass(
            modelHash: try text(numerics.model_hash, "model_hash", maxBytes: 128),
            weightFormat: try text(numerics.weight_format, "weight_format", maxBytes: 64),
            kvFormat: try text(numerics.kv_format, "kv_format", maxBytes: 64),
            kernelFamily: try text(numerics.kernel_family, "kernel_family", maxBytes: 64), canary: numerics.canary)
    }

    func load(_ pointer: UnsafeMutablePointer<Baton__Load>?) throws(WireError) -> WorkerLoad {
        let load = try required(pointer, "load").pointee
        return WorkerLoad(
            referencedBlocks: try count(load.referenced_blocks, "referenced_blocks"),
            rows: try count(load.rows, "rows"), waiting: try count(load.waiting, "waiting"),
            iterationTime: load.iteration_microseconds == 0 ? nil : .micros(load.iteration_microseconds),
            rowLimit: load.row_limit == 0 ? nil : try count(load.row_limit, "row_limit"),
            isMemoryShort: load.memory_short != 0, parking: try parking(load.parking), transfers: try transfers(load.transfers),
            work: WorkCounters(
                steps: load.steps, sharedSteps: load.shared_steps, prefillTokens: load.prefill_tokens,
                decodeTokens: load.decode_tokens, idle: try idle(load.idle), batch: try batch(load.batch)),
            prefixCache: try prefixCache(load.prefix_cache), coreLeases: try coreLeases(load.core_leases), scheduling: try scheduling(load.scheduling))
    }

    private func coreLeases(_ pointer: UnsafeMutablePointer<Baton__CoreLeases>?) throws(WireError) -> CoreLeaseCounters {
        // One that shares no cores has nothing to say of them.
        guard let counters = pointer?.pointee else { return CoreLeaseCounters() }
        return CoreLeaseCounters(
            borrowed: counters.borrowed, borrowedNanoseconds: counters.borrowed_nanoseconds, waits: counters.waits,
            waitNanoseconds: counters.wait_nanoseconds, overdueWaits: counters.overdue_waits)
    }

    private func transfers(_ pointer: UnsafeMutablePointer<Baton__Transfers>?) throws(WireError) -> TransferCounters {
        // A worker that receives no KV has nothing to say of it.
        guard let counters = pointer?.pointee else { return TransferCounters() }
        guard counters.n_buckets <= TransferCounters.bounds.count + 1 else {
            throw .value(message: message, field: "buckets", value: "\(counters.n_buckets) buckets")
        }
        let buckets = (0..<counters.n_buckets).map { counters.buckets[$0] }
        return TransferCounters(bytes: counters.bytes, time: .micros(counters.microseconds), buckets: buckets)
    }

    private func parking(_ pointer: UnsafeMutablePointer<Baton__Parking>?) throws(WireError) -> ParkingLoad {
        // A worker that decodes nothing has nothing to say of it.
        guard let parking = pointer?.pointee else { return ParkingLoad() }
        return ParkingLoad(
            queries: try count(parking.queries, "queries"), memoryBytes: Int(clamping: parking.memory_bytes),
            fileBytes: Int(clamping: parking.file_bytes), parks: parking.parks, resumes: parking.resumes,
            migrations: parking.migrations, parkTime: try duration(parking.park_time, "park_time"),
            resumeTime: try duration(parking.resume_time, "resume_time"))
    }

    /// - Parameter biases: the frame that goes with it.
    func sampling(
        _ pointer: UnsafeMutablePointer<Baton__Sampling>?, biases: Frame
    ) throws(WireError) -> SamplingParameters {
        let sampling = try required(pointer, "sampling").pointee
        return SamplingParameters(
            temperature: sampling.temperature, topP: sampling.top_p, topK: Int32(bitPattern: sampling.top_k),
            minP: sampling.min_p, repetitionPenalty: sampling.repetition_penalty,
            presencePenalty: sampling.presence_penalty, frequencyPenalty: sampling.frequency_penalty,
            logitBias: try Payload.biases(biases, message: message), seed: sampling.seed, choice: sampling.choice)
    }

    func worker(_ data: ProtobufCBinaryData, _ field: String = "worker") throws(WireError) -> WorkerID {
        WorkerID(try text(data, field, maxBytes: 256))
    }

    func role(_ value: UInt32) throws(WireError) -> WorkerRole {
        switch value {
        case 1: return .prefill
        case 2: return .decode
        case 3: return .mixed
        default: throw .value(message: message, field: "role", value: "\(value)")
        }
    }

    func priority(_ value: Int32) throws(WireError) -> Priority {
        guard let priority = Priority(rawValue: Int(value)) else {
            throw .value(message: message, field: "priority", value: "\(value)")
        }
        return priority
    }

    func finishReason(_ value: UInt32) throws(WireError) -> FinishReason {
        switch value {
        case 1: return .stop
        case 2: return .length
        default: throw .value(message: message, field: "reason", value: "\(value)")
        }
    }
}

extension WorkerRole {
    var wireValue: UInt32 {
        switch self {
        case .prefill: 1
        case .decode: 2
        case .mixed: 3
        }
    }
}

extension FinishReason {
    var wireValue: UInt32 { self == .stop ? 1 : 2 }
}
