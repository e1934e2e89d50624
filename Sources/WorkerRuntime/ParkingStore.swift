import ClusterCore
import Foundation
import Inference
import Logging
import Wire

/// The KV of parked queries, outside of the pool: in memory, or in files that vanish with the process.
///
/// Both hold the messages in which the KV would travel (``KVSending``), one for each layer, so what comes back passes the
/// checks of the wire: model, attempt, shape and checksum. Belongs to one thread (``ParkingDesk``).
public final class ParkingStore {
    /// Frames of one message for each layer.
    typealias Layers = [[Frame]]

    private enum Entry {
        case memory(Layers)
        case file(FileHandle)
    }

    private let kv: KVCache
    private let modelHash: String
    private let directory: String?
    private let logger: Logger
    private var entries: [ParkID: Entry] = [:]

    /// - Parameter directory: for the file tier; must exist and be writable.
    public init(kv: KVCache, modelHash: String, directory: String?, logger: Logger) {
        self.kv = kv
        self.modelHash = modelHash
        self.directory = directory
        self.logger = logger
    }

    /// Copies the blocks. False if that is not possible; the reason is in the log.
    public func park(_ parked: ParkedKV) -> Bool {
        do {
            let layers = try (0..<kv.layerCount).map { try message(parked, layer: $0).frames() }
            switch parked.tier {
            case .memory: entries[parked.id] = .memory(layers)
            case .file: entries[parked.id] = .file(try write(layers, parked.id))
            }
            return true
        } catch {
            logger.warning("cannot park \(parked.attempt), \(parked.tokenCount) tokens: \(error)")
            return false
        }
    }

    private func message(_ parked: ParkedKV, layer: Int) -> KVSending {
        let blocks = parked.message(layer: layer)
        let memory = parked.blocks.map { kv.bytes(layer: layer, block: Int32($0.rawValue)) }
        return .blocks(blocks, KVPayload(copying: memory, of: blocks, modelHash: modelHash))
    }

    /// Fills the blocks. False if what is stored is not what was parked; the blocks may then hold anything.
    public func restore(_ parked: ParkedKV) -> Bool {
        guard let layers = layers(of: parked.id), layers.count == kv.layerCount else { return false }
        for (layer, frames) in layers.enumerated() {
            let targets = parked.blocks.map { kv.mutableBytes(layer: layer, block: Int32($0.rawValue)) }
            guard case .blocks(let blocks, let payload)? = try? KVSending(frames: frames),
                blocks == parked.message(layer: layer),
                payload.copyVerifying(blocks, modelHash: modelHash, into: targets)
            else {
                logger.warning("what was parked of \(parked.attempt) is damaged in layer \(layer)")
                return false
            }
        }
        return true
    }

    /// What is stored, in memory; `nil` if it cannot be read.
    func layers(of id: ParkID) -> Layers? {
        switch entries[id] {
        case nil: return nil
        case .memory(let layers)?: return layers
        case .file(let file)?:
            do {
                try file.seek(toOffset: 0)
                return ParkingFile.layers(in: try file.readToEnd() ?? Data())
            } catch {
                logger.warning("cannot read what was parked: \(error)")
                return nil
            }
        }
    }

    public func discard(_ id: ParkID) {
        if case .file(let file)? = entries.removeValue(forKey: id) { try? file.close() }
    }

    func discardAll() {
        for id in Array(entries.keys) { discard(id) }
    }

    /// The file has no name: the system removes it when it is closed, also when this process dies.
    private func write(_ layers: Layers, _ id: ParkID) throws -> FileHandle {
        guard let directory else { throw CocoaError(.fileNoSuchFile) }
        let path = "\(directory)/parked-\(ProcessInfo.processInfo.processIdentifier)-\(id.rawValue).kv"
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
        let file = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        unlink(path)
        for frames in layers { try file.write(contentsOf: ParkingFile.record(of: frames)) }
        return file
    }
}

extension ParkedKV {
    /// The message that would carry one layer of it.
    fileprivate func message(layer: Int) -> KVBlocks {
        KVBlocks(
            epoch: epoch, attempt: attempt, tokenCount: tokenCount,
            range: LayerBlockRange(layer: layer, first: 0, count: blocks.count))
    }
}

/// Messages in a file, one after the other: count of frames, their lengths (four bytes each, little-endian), their bytes.
enum ParkingFile {
    static func record(of frames: [Frame]) -> Data {
        var data = Data()
        for number in [frames.count] + frames.map(\.count) {
            withUnsafeBytes(of: UInt32(clamping: number).littleEndian) { data.append(contentsOf: $0) }
        }
        for frame in frames { frame.withUnsafeBytes { data.append(contentsOf: $0) } }
        return data
    }

    /// `nil` if the file does not end where a message ends.
    static func layers(in data: Data) -> ParkingStore.Layers? {
        var rest = data[...]
        func take(_ count: Int) -> Data? {
            guard count <= rest.count else { return nil }
            defer { rest = rest.dropFirst(count) }
            return rest.prefix(count)
        }
        func number() -> Int? {
            take(4).map { bytes in bytes.reversed().reduce(0) { $0 << 8 | Int($1) } }
        }
        var layers: ParkingStore.Layers = []
        while !rest.isEmpty {
            guard let count = number(), count <= rest.count / 4 else { return nil }
            var lengths: [Int] = []
            for _ in 0..<count {
                guard let length = number() else { return nil }
                lengths.append(length)
            }
            var frames: [Frame] = []
            for length in lengths {
                guard let bytes = take(length) else { return nil }
                frames.append(Frame([UInt8](bytes)))
            }
            layers.append(frames)
        }
        return layers
    }
}
