import CKernels
import COpenBLAS
#if canImport(Glibc)
import Glibc
#else
import Musl
#endif

/// OpenBLAS, loaded when it is first wanted: programs that compute without it neither carry it nor wait for its start, and it
/// can be told which kernels to use, which it reads from the environment while it loads.
///
/// Debian's takes AVX-512 processors that it does not know for Haswells, whose kernels are slower and depend on the batch. A
/// core type that the environment names already stays.
struct OpenBLASLibrary: Sendable {
    typealias Product = @convention(c) (
        CBLAS_ORDER, CBLAS_TRANSPOSE, CBLAS_TRANSPOSE, Int32, Int32, Int32, Float, UnsafePointer<Float>?, Int32,
        UnsafePointer<Float>?, Int32, Float, UnsafeMutablePointer<Float>?, Int32
    ) -> Void

    /// `cblas_sgemm`
    let product: Product
    /// Name of the kernels in use, e.g. `SkylakeX`.
    let core: String

    static let shared = Result { () throws(KernelError) in try OpenBLASLibrary() }

    private static let file = "libopenblas.so.0"

    private init() throws(KernelError) {
        if bk_kernels_for(BK_AVX512F) != nil { setenv("OPENBLAS_CORETYPE", "SkylakeX", 0) }
        setenv("OPENBLAS_NUM_THREADS", "1", 1) // Our team splits the outputs.
        guard let library = dlopen(Self.file, RTLD_NOW | RTLD_LOCAL) else {
            throw .openBLAS(dlerror().map { String(cString: $0) } ?? Self.file)
        }
        guard let product = dlsym(library, "cblas_sgemm"), let core = dlsym(library, "openblas_get_corename") else {
            throw .openBLAS("\(Self.file) has no cblas_sgemm")
        }
        self.product = unsafeBitCast(product, to: Product.self)
        let name = unsafeBitCast(core, to: (@convention(c) () -> UnsafePointer<CChar>?).self)()
        self.core = name.map { String(cString: $0) } ?? "unknown"
    }
}
