import Crypto
import Kernels

/// Identity of a model's weights and configuration: SHA-256 over `config.json` (or a GGUF file's metadata) and over name,
/// type, shape and contents of every tensor in order of names, so that it does not depend on how a checkpoint is sharded.
///
/// Contents enter as the digests of their 8 MiB pieces, which are computed on all threads: with SHA instructions a
/// gigabyte costs about half a second of one core, less than reading it.
enum ModelHash {
    static let piece = 8 << 20

    static func compute(config: [UInt8], checkpoint: CheckpointIndex, team: ThreadTeam, threads: Int) -> String {
        var pieces: [Piece] = []
        var hasher = SHA256()
        hasher.update(data: Array(SHA256.hash(data: config)))
        for name in checkpoint.names {
            guard let (tensor, bytes) = checkpoint.tensor(name) else { continue }
            hasher.update(data: Array("\(name)\u{0}\(tensor.type.rawValue)\u{0}\(tensor.shape)\u{0}".utf8))
            for start in stride(from: 0, to: bytes.count, by: piece) {
                pieces.append(Piece(tensor: name, range: start..<min(start + piece, bytes.count)))
            }
        }
        for digest in digests(of: pieces, checkpoint: checkpoint, team: team, threads: threads) { hasher.update(data: digest) }
        return hasher.finalize().map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }

    private struct Piece: Sendable {
        var tensor: String
        var range: Range<Int>
    }

    private static func digests(
        of pieces: [Piece], checkpoint: CheckpointIndex, team: ThreadTeam, threads: Int
    ) -> [[UInt8]] {
        var lanes = [[(piece: Int, digest: [UInt8])]](repeating: [], count: threads)
        team.forEachRange(of: pieces.count, chunk: 1, lanes: &lanes) { range, lane in
            for i in range {
                guard let bytes = checkpoint.tensor(pieces[i].tensor)?.bytes else { continue }
                let digest = SHA256.hash(data: UnsafeRawBufferPointer(rebasing: bytes[pieces[i].range]))
                lane.append((i, Array(digest)))
            }
        }
        return lanes.joined().sorted { $0.piece < $1.piece }.map(\.digest)
    }
}
