import CKernels

/// The kernels of one instruction set. Chosen once; every matrix and forward pass of a process uses the same.
///
/// Unchecked: C function pointers are not Sendable to the compiler, but this table of them is constant.
public struct KernelSet: @unchecked Sendable, Hashable, CustomStringConvertible {
    public enum Instructions: String, Sendable, Hashable, CaseIterable {
        case scalar, avx2, avx2vnni, avx512f, avx512vnni, avx512bf16, amxbf16

        fileprivate var isa: bk_isa {
            switch self {
            case .scalar: BK_SCALAR
            case .avx2: BK_AVX2
            case .avx2vnni: BK_AVX2VNNI
            case .avx512f: BK_AVX512F
            case .avx512vnni: BK_AVX512VNNI
            case .avx512bf16: BK_AVX512BF16
            case .amxbf16: BK_AMXBF16
            }
        }
    }

    public let instructions: Instructions
    let table: bk_kernels

    public static func == (a: KernelSet, b: KernelSet) -> Bool { a.instructions == b.instructions }
    public func hash(into hasher: inout Hasher) { hasher.combine(instructions) }
    public var description: String { instructions.rawValue }

    /// The kernels of `instructions`.
    /// - Throws: ``KernelError/unavailable(_:available:)`` if this processor or build lacks them.
    public init(_ instructions: Instructions) throws(KernelError) {
        guard let table = bk_kernels_for(instructions.isa) else {
            throw .unavailable(instructions.rawValue, available: Self.available.map(\.rawValue))
        }
        self.instructions = instructions
        self.table = table.pointee
    }

    /// Whether products of bfloat16, with matrices and in attention, go by pairs, which round differently from single ones: by
    /// `vdpbf16ps`, or by tiles (``multipliesTiles``).
    public var multipliesPairs: Bool { instructions == .avx512bf16 || instructions == .amxbf16 }

    /// Whether products of bfloat16, and with matrices of int8, go by tiles (`TDPBF16PS`, `TDPBSUD`); those of bfloat16 round differently from
    /// single ones and from pairs.
    public var multipliesTiles: Bool { instructions == .amxbf16 }

    /// Rows that a kernel takes together at most, so that a product cut into multiples of them leaves none of them half empty.
    func tileHeight(for format: NumberFormat) -> Int { multipliesTiles && format != .float32 ? 16 : 6 }

    /// The instruction sets that this processor and build have, slowest first.
    public static var available: [Instructions] {
        Instructions.allCases.filter { bk_kernels_for($0.isa) != nil }
    }

    /// Which kernels ``select(environment:)`` takes, and why; for people.
    public static func explanation(environment: [String: String]) -> String {
        let names = available.map(\.rawValue).joined(separator: ", ")
        if let name = environment["BATON_KERNELS"] { return "\(name), as BATON_KERNELS says (this processor has \(names))" }
        return "\(available.last?.rawValue ?? "scalar"), the best that this processor has (of \(names))"
    }

    /// The fastest, or the one that `BATON_KERNELS` names.
    public static func select(environment: [String: String]) throws(KernelError) -> KernelSet {
        if let name = environment["BATON_KERNELS"] {
            guard let instructions = Instructions(rawValue: name) else {
                throw .unknown(name, known: Instructions.allCases.map(\.rawValue))
            }
            return try KernelSet(instructions)
        }
        return try KernelSet(available.last ?? .scalar)
    }

    /// Name of the arithmetic of matrix products, and of attention over pairs (``multipliesPairs``), part of the numerics class:
    /// `float32-fma`, `bf16-fma`, `bf16-dpbf16`, `bf16-amx`, `int8-g32` or `int8-g64`. Kernel sets of the same family give equal bits.
    /// - Parameter group: of int8 weights.
    public func family(for format: NumberFormat, group: ScaleGroup = .of64) -> String {
        switch format {
        case .float32: "float32-fma"
        case .bfloat16: "bf16-" + String(cString: table.bf16_family)
        case .int8: "int8-g\(group.rawValue)"
        }
    }
}

public enum KernelError: Error, Sendable, Hashable, CustomStringConvertible {
    case unknown(String, known: [String])
    case unavailable(String, available: [String])
    case unknownFloat32Path(String)
    case openBLAS(String)
    case outOfMemory(byteCount: Int)
    case threads(count: Int)
    case cores([Int], allowed: [Int])

    public var description: String {
        switch self {
        case .unknown(let name, let known):
            "BATON_KERNELS=\(name): unknown, expected one of \(known.joined(separator: ", "))"
        case .unavailable(let name, let available):
            "kernels '\(name)' are not available on this processor; available: \(available.joined(separator: ", "))"
        case .unknownFloat32Path(let name): "BATON_FLOAT32_GEMM=\(name): expected packed or openblas"
        case .openBLAS(let problem): "BATON_FLOAT32_GEMM=openblas: OpenBLAS cannot be loaded: \(problem)"
        case .outOfMemory(let byteCount): "the system refused \(byteCount) bytes of memory"
        case .cores(let cores, let allowed): "cores \(cores): this process may run on \(allowed)"
        case .threads(let count): "the system refused a team of \(count) threads"
        }
    }
}
