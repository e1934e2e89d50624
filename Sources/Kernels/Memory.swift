#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

/// Anonymous, zeroed, page-aligned memory in huge pages where the system has them; returned with the object.
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

    deinit { munmap(base, mappedCount) }

    func floats(at offset: Int = 0) -> UnsafeMutablePointer<Float> {
        (base + offset).assumingMemoryBound(to: Float.self)
    }
}
