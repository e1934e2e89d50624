import Generation
import Grammar

extension OutputConstraint {
    /// As a request states it.
    public init(_ constraint: Constraint) {
        switch constraint.kind {
        case .jsonObject: self = .jsonObject
        case .jsonSchema: self = .jsonSchema(constraint.source)
        case .regex: self = .regex(constraint.source)
        case .grammar: self = .grammar(constraint.source)
        }
    }
}
