import Crypto
import Foundation
import Kernels
#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

/// Packed weights in a file: a header of ``headerByteCount`` bytes and more, then the bytes of a ``WeightLayout``, free of
/// addresses, so that every process maps the same pages.
///
/// The header says which layout and which checkpoint the bytes are of, and holds a checksum for each piece of them and one of
/// its own. A file that is damaged, of another layout or of another checkpoint is packed anew. The checkpoint is known by its
/// hash; as long as size, inode and times of its files are those of the time of packing, the hash is not computed again.
struct PackedFile {
    let path: String
    let loader: WeightLoader

    static let page = 4096
    /// Bytes under one checksum.
    static let piece = 8 << 20
    private static let magic = Array("BATONPK1".utf8)

    private var layout: WeightLayout { loader.layout }
    private var pieceCount: Int { (layout.byteCount + Self.piece - 1) / Self.piece }
    /// Magic, layout, model hash, sources, payload's length, checksums, own checksum.
    private var headerByteCount: Int { 8 + 3 * 32 + 8 + 4 * pieceCount + 4 }
    private var payloadOffset: Int { (headerByteCount + Self.page - 1) / Self.page * Self.page }
    private var fileByteCount: Int { payloadOffset + layout.byteCount }

    /// - Throws: ``PackedFileError`` if there is no such file and none can be made, ``ModelError`` for a bad checkpoint.
    func open(progress: (Double) -> Void) throws -> LoadedWeights {
        if let found = try mapped(.mapped(path: path)) { return found }
        try prepareDirectory()
        // Whoever holds the lock packs; the others wait, and find its file.
        let lock = try Descriptor(path + ".lock", O_RDWR | O_CREAT)
        while flock(lock.number, LOCK_EX) != 0 { guard errno == EINTR else { throw PackedFileError(path) } }
        if let found = try mapped(.mapped(path: path)) { return found }
        try pack(progress: progress)
        guard let made = try mapped(.packed(path: path)) else { throw PackedFileError(path, "does not read back as written") }
        return made
    }

    private func prepareDirectory() throws {
        let directory = URL(fileURLWithPath: path).deletingLastPathComponent().path
        do { try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true) } catch {
            throw PackedFileError(directory, "\(error.localizedDescription)")
        }
    }

    /// Writes a new file under another name, and puts it in place when it is whole.
    private func pack(progress: (Double) -> Void) throws {
        let temporary = "\(path).\(getpid()).part"
        do {
            let file = try Descriptor(temporary, O_RDWR | O_CREAT | O_TRUNC)
            // A page that the disk has no room for could not be refused later.
            let code = posix_fallocate(file.number, 0, off_t(fileByteCount))
            guard code == 0 else { throw PackedFileError(temporary, String(cString: strerror(code))) }
            let memory = try Memory(file: file.number, offset: payloadOffset, byteCount: layout.byteCount, writable: true)
            try loader.pack(into: memory, progress: progress)
            let header = header(modelHash: try loader.modelHash(), sources: try sources(), checksums: checksums(of: memory))
            guard header.withUnsafeBytes({ pwrite(file.number, $0.baseAddress, $0.count, 0) }) == header.count else {
                throw PackedFileError(temporary)
            }
            guard rename(temporary, path) == 0 else { throw PackedFileError(path) }
            removePredecessors()
        } catch {
            unlink(temporary)
            throw error
        }
    }

    /// Files of the same model and format with layouts of other versions; who has them mapped keeps them.
    private func removePredecessors() {
        let url = URL(fileURLWithPath: path), directory = url.deletingLastPathComponent(), own = url.lastPathComponent
        // All but the digest of the layout, which is 12 digits.
        let prefix = own.dropLast(".packed".count + 12)
        for name in (try? FileManager.default.contentsOfDirectory(atPath: directory.path)) ?? []
        where name.hasPrefix(prefix) && name.hasSuffix(".packed") && name.count == own.count && name != own {
            unlink(directory.appendingPathComponent(name).path)
            unlink(directory.appendingPathComponent(name + ".lock").path)
        }
    }

    // Reading

    /// The weights in the file, if it is there and theirs.
    private func mapped(_ outcome: WeightCache.Outcome) throws -> LoadedWeights? {
        guard let file = try? Descriptor(path, O_RDONLY) else { return nil }
        var status = stat()
        guard fstat(file.number, &status) == 0, Int(status.st_size) == fileByteCount else { return nil }
        var header = [UInt8](repeating: 0, count: headerByteCount)
        guard header.withUnsafeMutableBytes({ pread(file.number, $0.baseAddress, $0.count, 0) }) == header.count,
              let fields = Fields(header, pieceCount: pieceCount), fields.layout == layoutDigest, fields.byteCount == layout.byteCount
        else { return nil }
        if fields.sources != (try sources()), fields.modelHash != Self.bytes(ofHash: try loader.modelHash()) { return nil }
        let memory = try Memory(file: file.number, offset: payloadOffset, byteCount: layout.byteCount, writable: false)
        guard checksums(of: memory) == fields.checksums else { return nil }
        return LoadedWeights(memory: memory, modelHash: Self.hash(ofBytes: fields.modelHash), outcome: outcome)
    }

    private struct Fields {
        var layout: [UInt8], modelHash: [UInt8], sources: [UInt8]
        var byteCount: Int
        var checksums: [UInt32]

        /// `nil` if the header is not one, or damaged.
        init?(_ bytes: [UInt8], pieceCount: Int) {
            func integer(_ offset: Int, _ count: Int) -> UInt64 {
                (0..<count).reduce(0) { $0 | UInt64(bytes[offset + $1]) << UInt64(8 * $1) }
            }
            let end = bytes.count - 4
            guard Array(bytes[..<8]) == PackedFile.magic,
                  UInt32(integer(end, 4)) == Checksum.crc32c(Array(bytes[..<end])) else { return nil }
            layout = Array(bytes[8..<40])
            modelHash = Array(bytes[40..<72])
            sources = Array(bytes[72..<104])
            byteCount = Int(clamping: integer(104, 8))
            checksums = (0..<pieceCount).map { UInt32(integer(112 + 4 * $0, 4)) }
        }
    }

    // Writing

    private func header(modelHash: String, sources: [UInt8], checksums: [UInt32]) -> [UInt8] {
        func bytes<Number: FixedWidthInteger>(_ value: Number) -> [UInt8] { withUnsafeBytes(of: value.littleEndian, Array.init) }
        var header = Self.magic + layoutDigest + Self.bytes(ofHash: modelHash) + sources + bytes(UInt64(layout.byteCount))
        for checksum in checksums { header += bytes(checksum) }
        return header + bytes(Checksum.crc32c(header))
    }

    private var layoutDigest: [UInt8] { Array(SHA256.hash(data: Array(layout.description.utf8))) }

    /// Digest of size, inode and times of the checkpoint's files.
    private func sources() throws -> [UInt8] {
        var text = ""
        for path in loader.checkpoint.filePaths {
            var status = stat()
            guard stat(path, &status) == 0 else { throw ModelError(path, value: String(cString: strerror(errno)), .unreadable) }
            text += "\(path) \(status.st_size) \(status.st_ino) \(status.st_mtim) \(status.st_ctim)\n"
        }
        return Array(SHA256.hash(data: Array(text.utf8)))
    }

    private func checksums(of memory: Memory) -> [UInt32] {
        var lanes = [[(piece: Int, value: UInt32)]](repeating: [], count: loader.threads)
        loader.team.forEachRange(of: pieceCount, chunk: 1, lanes: &lanes) { range, lane in
            for piece in range {
                let begin = piece * Self.piece, end = min(begin + Self.piece, memory.byteCount)
                lane.append((piece, Checksum.crc32c(UnsafeRawBufferPointer(start: memory.base + begin, count: end - begin))))
            }
        }
        return lanes.joined().sorted { $0.piece < $1.piece }.map(\.value)
    }

    private static func bytes(ofHash text: String) -> [UInt8] {
        let digits = Array(text.utf8).map { UInt8(clamping: Character(UnicodeScalar($0)).hexDigitValue ?? 0) }
        return stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    private static func hash(ofBytes bytes: [UInt8]) -> String {
        bytes.map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
    }
}

/// Why packed weights are not kept in a file.
struct PackedFileError: Error, CustomStringConvertible {
    let path: String
    let problem: String

    init(_ path: String, _ problem: String = String(cString: strerror(errno))) {
        self.path = path
        self.problem = problem
    }

    var description: String { "\(path): \(problem)" }
}

/// An open file, closed with the value.
private struct Descriptor: ~Copyable {
    let number: Int32

    init(_ path: String, _ flags: Int32) throws(PackedFileError) {
        number = open(path, flags | O_CLOEXEC, 0o644)
        guard number >= 0 else { throw PackedFileError(path) }
    }

    deinit { close(number) }
}
