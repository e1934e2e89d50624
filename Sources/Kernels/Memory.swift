#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

/// Page-aligned memory, returned with the object: anonymous, zeroed and in huge pages where the system has them, or a file's.
///
/// Unchecked: the address and the size never change; who may write when is the owner's contract.
public final class Memory: @unchecked Sendable {
    public let base: UnsafeMutableRawPointer
    public let byteCount: Int
    private let mappedCount: Int

    public init(byteCount: Int) throws(KernelError) {
        precondition(byteCount >= 0, "negative size \(byteCount)")
        let page = 4096
        let (padded, overflow) = max(byteCount, 1).addingReportingOverflow(page - 1)
        guard !overflow else { throw .outOfMemory(byteCount: byteCount) }
        mappedCount = padded / page * page
        let address = mmap(nil, mappedCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let address, address != MAP_FAILED else { throw .outOfMemory(byteCount: byteCount) }
        madvise(address, mappedCount, Int32(MADV_HUGEPAGE))
        base = address
        self.byteCount = byteCount
    }

    /// Bytes of an open file from `offset` (a multiple of the page size) on, shared by every process that maps them. Those that
    /// are mapped to be read must not be written.
    public init(file descriptor: Int32, offset: Int, byteCount: Int, writable: Bool) throws(KernelError) {
        precondition(byteCount >= 1 && offset >= 0 && offset % 4096 == 0, "\(byteCount) bytes from \(offset)")
        let address = mmap(nil, byteCount, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, descriptor, off_t(offset))
        guard let address, address != MAP_FAILED else { throw .outOfMemory(byteCount: byteCount) }
        // All pages at once, which is cheaper than one by one; older systems do it one by one.
        madvise(address, byteCount, writable ? 23 : 22) // MADV_POPULATE_WRITE, MADV_POPULATE_READ
        base = address
        self.byteCount = byteCount
        mappedCount = byteCount
    }

    /// Gives the pages that lie within these bytes back to the system; they read as zeros afterwards. Memory of a huge page
    /// of which only a part is given back is taken by the system when it needs some.
    public func discard(from offset: Int, byteCount count: Int) {
        precondition(offset >= 0 && count >= 0 && offset + count <= mappedCount, "\(count) bytes from \(offset) of \(mappedCount)")
        let page = 4096
        let (start, end) = ((offset + page - 1) / page * page, (offset + count) / page * page)
        if start < end { madvise(base + start, end - start, Int32(MADV_DONTNEED)) }
    }

    deinit { munmap(base, mappedCount) }

    func floats(at offset: Int = 0) -> UnsafeMutablePointer<Float> {
        (base + offset).assumingMemoryBound(to: Float.self)
    }
}
