import CProtobufC
import CWire
import ClusterCore
import Generation

private typealias ControlHeader = Baton__ControlHeader

extension ControlMessage: FramedMessage {
    public func frames() throws(WireError) -> [Frame] {
        let arena = Arena()
        var payload: [Frame] = []
        let header: UnsafeMutablePointer<ControlHeader> = arena.make(baton__control_header__init) { header in
            header.version = Header.version
            switch self {
            case .worker(let envelope, let message):
                header.set(envelope)
                payload = header.set(message, arena)
            case .coordinator(let envelope, let message):
                header.set(envelope)
                payload = header.set(message, arena)
            case .heartbeatHello(let worker):
                header.body_case = BATON__CONTROL_HEADER__BODY_HEARTBEAT_HELLO
                header.heartbeat_hello = arena.make(baton__heartbeat_hello__init) { $0.worker = arena.text(worker.name) }
            case .ping(let ping): header.set(ping, arena)
            case .pong(let pong): header.set(pong, arena)
            }
        }
        return [try Header.pack(header, message: "control")] + payload
    }

    public init(frames: [Frame]) throws(WireError) {
        guard let first = frames.first else {
            throw .frameCount(message: "control", expected: 1, actual: 0)
        }
        self = try Header.unpack(
            first, message: "control", with: baton__control_header__unpack
        ) { (header: UnsafeMutablePointer<ControlHeader>) throws(WireError) -> ControlMessage in
            try ControlMessage(header.pointee, payload: Array(frames.dropFirst()))
        }
    }

    private init(_ header: ControlHeader, payload: [Frame]) throws(WireError) {
        let reader = FieldReader("control")
        try reader.version(header.version)
        let envelope = Envelope(
            clusterEpoch: ClusterEpoch(header.cluster_epoch), workerEpoch: WorkerEpoch(header.worker_epoch),
            sequence: header.sequence)
        switch header.body_case {
        case BATON__CONTROL_HEADER__BODY_HEARTBEAT_HELLO:
            try reader.frameCount(payload, 0)
            let hello = try reader.required(header.heartbeat_hello, "heartbeat_hello").pointee
            self = .heartbeatHello(try reader.worker(hello.worker))
        case BATON__CONTROL_HEADER__BODY_PING:
            try reader.frameCount(payload, 0)
            let ping = try reader.required(header.ping, "ping").pointee
            self = .ping(
                Ping(
                    clusterEpoch: envelope.clusterEpoch, workerEpoch: envelope.workerEpoch, sequence: ping.sequence,
                    controlSent: ping.control_sent))
        case BATON__CONTROL_HEADER__BODY_PONG:
            try reader.frameCount(payload, 0)
            let pong = try reader.required(header.pong, "pong").pointee
            self = .pong(
                Pong(
                    worker: try reader.worker(pong.worker), clusterEpoch: envelope.clusterEpoch,
                    workerEpoch: envelope.workerEpoch, sequence: pong.sequence, controlSent: pong.control_sent,
                    load: try reader.load(pong.load)))
        default:
            if let message = try WorkerMessage(header, payload: payload) {
                self = .worker(envelope, message)
            } else if let message = try CoordinatorMessage(header, envelope, payload: payload) {
                self = .coordinator(envelope, message)
            } else {
                throw .missing(message: "control", field: "body")
            }
        }
    }
}

extension Baton__ControlHeader {
    fileprivate mutating func set(_ envelope: Envelope) {
        cluster_epoch = envelope.clusterEpoch.rawValue
        worker_epoch = envelope.workerEpoch.rawValue
        sequence = envelope.sequence
    }

    fileprivate mutating func set(_ ping: Ping, _ arena: Arena) {
        cluster_epoch = ping.clusterEpoch.rawValue
        worker_epoch = ping.workerEpoch.rawValue
        body_case = BATON__CONTROL_HEADER__BODY_PING
        self.ping = arena.make(baton__ping__init) {
            $0.sequence = ping.sequence
            $0.control_sent = ping.controlSent
        }
    }

    fileprivate mutating func set(_ pong: Pong, _ arena: Arena) {
        cluster_epoch = pong.clusterEpoch.rawValue
        worker_epoch = pong.workerEpoch.rawValue
        body_case = BATON__CONTROL_HEADER__BODY_PONG
        self.pong = arena.make(baton__pong__init) {
            $0.worker = arena.text(pong.worker.name)
            $0.sequence = pong.sequence
            $0.control_sent = pong.controlSent
            $0.load = arena.load(pong.load)
        }
    }
}
