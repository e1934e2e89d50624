import ClusterCore
import Inference
import Logging
import Transport
import Wire

/// A worker's way to its ``ParkingStore``, which lives on a thread of its own: copying KV stops neither sockets nor engine.
///
/// Things are done in the order in which they are asked for. Belongs to the socket thread, on which `then` is called.
final class ParkingDesk {
    private let thread: SocketThread
    private let store: ConfinedThread<ParkingStore>
    private let modelHash: String
    /// What is being sent to other workers.
    private var loaded: [ParkID: ParkingStore.Layers] = [:]

    init(thread: SocketThread, store: ConfinedThread<ParkingStore>, modelHash: String) {
        self.thread = thread
        self.store = store
        self.modelHash = modelHash
    }

    /// - Parameter then: is told whether it is stored, and what that took.
    func park(_ kv: ParkedKV, then: @escaping @Sendable (Bool, Duration) -> Void) {
        store.submit { [thread] store in
            let began = ContinuousClock.now, isStored = store.park(kv), time = began.duration(to: .now)
            thread.run { then(isStored, time) }
        }
    }

    /// - Parameter then: is told whether it is there as it was, and what that took.
    func restore(_ kv: ParkedKV, then: @escaping @Sendable (Bool, Duration) -> Void) {
        store.submit { [thread] store in
            let began = ContinuousClock.now, isIntact = store.restore(kv), time = began.duration(to: .now)
            thread.run { then(isIntact, time) }
        }
    }

    /// Brings what is parked to where ``payload(of:_:)`` finds it: the caller gives it to ``keep(_:_:)``.
    func load(_ id: ParkID, then: @escaping @Sendable (ParkingStore.Layers?) -> Void) {
        store.submit { [thread] store in
            let layers = store.layers(of: id)
            thread.run { then(layers) }
        }
    }

    func keep(_ layers: ParkingStore.Layers, _ id: ParkID) { loaded[id] = layers }

    /// Layer blocks of what was loaded, as a message to another worker carries them.
    func payload(of id: ParkID, _ blocks: KVBlocks) -> KVPayload? {
        guard let frames = loaded[id]?[blocks.range.layer] else { return nil }
        // The first frame is the header under which it was parked.
        let start = 1 + blocks.range.first
        return KVPayload(
            resending: Array(frames[start..<start + blocks.range.count]), of: blocks, modelHash: modelHash)
    }

    func discard(_ id: ParkID) {
        loaded[id] = nil
        store.submit { $0.discard(id) }
    }

    func discardAll() {
        loaded = [:]
        store.submit { $0.discardAll() }
    }

    func stop() { store.stop() }
}

extension ConfinedThread<ParkingStore> {
    static func start(
        _ configuration: WorkerConfiguration, _ facts: WorkerEngine.Facts, logger: Logger
    ) async throws -> ConfinedThread<ParkingStore> {
        let (kv, modelHash, directory) = (facts.kv, facts.identity.modelHash, configuration.parkingDirectory)
        return try await start(name: "parking") {
            ParkingStore(kv: kv, modelHash: modelHash, directory: directory, logger: logger)
        }
    }
}
