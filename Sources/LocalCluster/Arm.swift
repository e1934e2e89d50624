/// A way to serve that is measured against the others; what each does is in docs/ARCHITECTURE.md.
public enum Arm: String, Sendable, Hashable, CaseIterable {
    case `static`
    case orca
    case orcaPadded = "orca-padded"
    case batonDense = "baton-dense"
    case baton
    case mixed

    /// Prompts are computed by workers of their own.
    public var isSeparated: Bool {
        switch self {
        case .baton, .batonDense: true
        case .static, .orca, .orcaPadded, .mixed: false
        }
    }
}
