#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

/// A file mapped read-only and private, unmapped with the object.
///
/// Unchecked: the bytes are never written. (A file that is truncated while it is mapped ends the process, as for every
/// program that maps files; weights are packed once at load and the map is dropped.)
final class MappedFile: @unchecked Sendable {
    let path: String
    let bytes: UnsafeRawBufferPointer

    init(path: String) throws(ModelError) {
        self.path = path
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw ModelError(path, value: String(cString: strerror(errno)), .unreadable) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw ModelError(path, value: "not a regular file", .unreadable)
        }
        let count = Int(status.st_size)
        if count == 0 {
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        let address = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0)
        guard let address, address != MAP_FAILED else { throw ModelError(path, value: String(cString: strerror(errno)), .unreadable) }
        bytes = UnsafeRawBufferPointer(start: address, count: count)
    }

    deinit {
        if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
    }

    /// Lets the system take the whole pages within `bytes` of some map; they are read again when needed.
    static func release(_ bytes: UnsafeRawBufferPointer) {
        guard let base = bytes.baseAddress else { return }
        let page = UInt(4096), begin = (UInt(bitPattern: base) + page - 1) / page * page
        let end = (UInt(bitPattern: base) + UInt(bytes.count)) / page * page
        guard begin < end, let first = UnsafeMutableRawPointer(bitPattern: begin) else { return }
        madvise(first, Int(end - begin), MADV_DONTNEED)
    }

    /// The whole of a small file.
    static func contents(of path: String, atMost limit: Int) throws(ModelError) -> [UInt8] {
        let file = try MappedFile(path: path)
        guard file.bytes.count <= limit else { throw ModelError(path, value: "\(file.bytes.count) bytes", .tooLarge) }
        return Array(file.bytes)
    }
}
