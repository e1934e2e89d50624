import Crypto
import Foundation
import Kernels

/// Where packed weights are kept between runs, for all processes of a host to map.
public enum WeightCache: Sendable, Hashable {
    /// Beside the model, or where the user's caches are if that cannot be written; nowhere for a model that is packed in no time.
    case automatic
    case off
    case directory(String)

    /// Models below it are packed in less time than it takes to look for a file.
    static let leastByteCount = 32 << 20

    /// What became of it, for people to read.
    public enum Outcome: Sendable, Hashable, CustomStringConvertible {
        /// Mapped from a file that was there.
        case mapped(path: String)
        /// Packed into a file, then mapped.
        case packed(path: String)
        /// Packed into memory of this process's own.
        case inMemory(reason: String)

        public var description: String {
            switch self {
            case .mapped(let path): "mapped from \(path)"
            case .packed(let path): "packed into \(path)"
            case .inMemory(let reason): "packed in memory (\(reason))"
            }
        }
    }

    /// Files to try, in order.
    func candidates(model: String, layout: WeightLayout) -> [String] {
        let name = "\(layout.format.rawValue)-\(Self.digest(layout.description).prefix(12)).packed"
        switch self {
        case .off: return []
        case .directory(let directory): return [directory + "/" + Self.distinct(model) + "-" + name]
        case .automatic:
            guard layout.byteCount >= Self.leastByteCount else { return [] }
            let isDirectory = !GGUFFile.isCandidate(model), model = URL(fileURLWithPath: model)
            let beside = isDirectory ? model : model.deletingLastPathComponent()
            let prefix = isDirectory ? "" : model.lastPathComponent + "-"
            return [beside.appendingPathComponent(".baton/" + prefix + name).path]
                + Self.userCaches.map { $0 + "/" + Self.distinct(model.path) + "-" + name }
        }
    }

    private static var userCaches: [String] {
        let environment = ProcessInfo.processInfo.environment
        if let caches = environment["XDG_CACHE_HOME"], caches.hasPrefix("/") { return [caches + "/baton"] }
        return environment["HOME"].map { [$0 + "/.cache/baton"] } ?? []
    }

    /// Models of one name in different places have different files.
    private static func distinct(_ model: String) -> String {
        let url = URL(fileURLWithPath: model).standardizedFileURL
        return url.lastPathComponent + "-" + digest(url.path).prefix(8)
    }

    static func digest(_ text: String) -> String {
        SHA256.hash(data: Array(text.utf8)).map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }
}

/// Packed weights in memory, and how they got there.
struct LoadedWeights {
    var memory: Memory
    /// Hexadecimal, see ``ModelHash``.
    var modelHash: String
    var outcome: WeightCache.Outcome
}

extension WeightCache {
    /// Maps the weights from a file of an earlier run; or packs them into one, while others wait for it; or, where none can be
    /// written, into memory.
    /// - Throws: ``ModelError`` for a checkpoint that cannot be used, `KernelError` if memory is refused.
    func load(_ loader: WeightLoader, progress: (Double) -> Void) throws -> LoadedWeights {
        let checkpoint = loader.checkpoint
        var reason = "no cache wanted"
        for path in candidates(model: checkpoint.path, layout: loader.layout) {
            do {
                return try PackedFile(path: path, loader: loader).open(progress: progress)
            } catch let error as PackedFileError {
                reason = "\(error)"
            }
        }
        let memory = try Memory(byteCount: loader.layout.byteCount)
        try loader.pack(into: memory, progress: progress)
        return LoadedWeights(memory: memory, modelHash: try loader.modelHash(), outcome: .inMemory(reason: reason))
    }
}
