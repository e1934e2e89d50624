/// What one rendering may take. No template and no conversation makes it take more.
public struct TemplateLimits: Sendable, Hashable {
    /// Expressions and statements evaluated, elements visited, values compared.
    public var steps: Int
    /// Bytes of all texts, lists and dictionaries made on the way, sixteen for each element.
    public var workBytes: Int
    /// Bytes of the rendered text.
    public var outputBytes: Int
    /// Expressions, statements and macro calls within one another.
    public var depth: Int

    public init(steps: Int = 10_000_000, workBytes: Int = 256 << 20, outputBytes: Int = 16 << 20, depth: Int = 250) {
        self.steps = steps
        self.workBytes = workBytes
        self.outputBytes = outputBytes
        self.depth = depth
    }

    /// Bytes of a template's source.
    static let sourceBytes = 1 << 20
    /// Expressions and statements within one another in a template's source, and of operators in one chain.
    static let sourceDepth = 100
    /// Containers within one another; whoever prints, compares or frees a value recurses as deep.
    static let valueDepth = 200
}

/// What is left of the ``TemplateLimits`` of a rendering.
final class Allowance {
    private let limits: TemplateLimits
    private var steps = 0
    private var workBytes = 0

    init(_ limits: TemplateLimits) { self.limits = limits }

    func step(_ count: Int = 1) throws(Fault) {
        let (sum, overflow) = steps.addingReportingOverflow(count)
        guard !overflow, sum <= limits.steps else { throw Fault(.limit, "more than \(limits.steps) steps") }
        steps = sum
    }

    /// To be called before the bytes are allocated.
    func make(bytes count: Int) throws(Fault) {
        let (sum, overflow) = workBytes.addingReportingOverflow(count)
        guard !overflow, sum <= limits.workBytes else {
            throw Fault(.limit, "more than \(limits.workBytes) bytes of intermediate values")
        }
        workBytes = sum
    }

    func make(elements count: Int) throws(Fault) {
        let (bytes, overflow) = count.multipliedReportingOverflow(by: 16)
        try make(bytes: overflow ? .max : bytes)
    }
}
