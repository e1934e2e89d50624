/// A piece of a template's source.
struct Token: Sendable {
    enum Kind: Sendable, Equatable {
        /// Text outside of tags.
        case data(Text)
        case variableBegin, variableEnd, blockBegin, blockEnd
        case name(String)
        case string(Text)
        case integer(Int)
        case float(Double)
        case symbol(Symbol)
        case end
    }

    enum Symbol: String, Sendable, CaseIterable {
        case floorDivide = "//", power = "**", equal = "==", notEqual = "!=", greaterOrEqual = ">=", lessOrEqual = "<="
        case plus = "+", minus = "-", divide = "/", multiply = "*", modulo = "%", tilde = "~"
        case openBracket = "[", closeBracket = "]", openParenthesis = "(", closeParenthesis = ")"
        case openBrace = "{", closeBrace = "}", greater = ">", less = "<", assign = "=", dot = ".", colon = ":"
        case pipe = "|", comma = ",", semicolon = ";"
    }

    let kind: Kind
    /// In bytes from the start of the source.
    let offset: Int

    /// How errors call it.
    var shown: String {
        switch kind {
        case .data: "text"
        case .variableBegin: "'{{'"
        case .variableEnd: "'}}'"
        case .blockBegin: "'{%'"
        case .blockEnd: "'%}'"
        case .name(let name): "'\(name)'"
        case .string: "a string"
        case .integer(let value): "'\(value)'"
        case .float(let value): "'\(value)'"
        case .symbol(let symbol): "'\(symbol.rawValue)'"
        case .end: "the end of the template"
        }
    }
}
