/// Jinja's grammar (3.1), by recursive descent. What it knows beyond chat templates (blocks, inheritance, imports, recursive loops) is
/// refused by name.
struct Parser {
    private let tokens: [Token]
    private var index = 0
    private var nesting = 0
    /// Names read so far in each body that asks for them.
    private var usedNames: [Set<String>] = []
    /// Whether `break` and `continue` have a loop here.
    private var isInLoop = false

    init(tokens: [Token]) { self.tokens = tokens }

    mutating func parseTemplate() throws(Fault) -> [Statement] {
        try parseBody(until: [])
    }

    // MARK: Tokens

    /// The last token is the end, and nothing advances over it.
    var current: Token { tokens[index] }
    var following: Token { tokens[min(index + 1, tokens.count - 1)] }

    @discardableResult
    mutating func advance() -> Token {
        defer { index = min(index + 1, tokens.count - 1) }
        return tokens[index]
    }

    func isName(_ name: String) -> Bool { current.kind == .name(name) }
    func isSymbol(_ symbol: Token.Symbol) -> Bool { current.kind == .symbol(symbol) }

    mutating func skip(_ name: String) -> Bool {
        guard isName(name) else { return false }
        advance()
        return true
    }

    mutating func skip(_ symbol: Token.Symbol) -> Bool {
        guard isSymbol(symbol) else { return false }
        advance()
        return true
    }

    mutating func expect(_ kind: Token.Kind) throws(Fault) {
        guard current.kind == kind else {
            throw unexpected("expected \(Token(kind: kind, offset: 0).shown)")
        }
        advance()
    }

    mutating func expect(_ symbol: Token.Symbol) throws(Fault) { try expect(.symbol(symbol)) }

    mutating func expectName() throws(Fault) -> String {
        guard case .name(let name) = current.kind else { throw unexpected("expected a name") }
        advance()
        return name
    }

    func unexpected(_ expected: String) -> Fault {
        Fault(.syntax, "\(expected), found \(current.shown)", at: current.offset)
    }

    // MARK: Bounds

    /// What `body` parses lies one level deeper.
    mutating func nested<Result>(_ body: (inout Parser) throws(Fault) -> Result) throws(Fault) -> Result {
        guard nesting < TemplateLimits.sourceDepth else {
            throw Fault(.limit, "nested more than \(TemplateLimits.sourceDepth) levels deep", at: current.offset)
        }
        nesting += 1
        defer { nesting -= 1 }
        return try body(&self)
    }

    func make(_ kind: Expression.Kind, at offset: Int, over children: [Expression] = []) throws(Fault) -> Expression {
        let height = 1 + children.reduce(0) { max($0, $1.height) }
        guard height <= TemplateLimits.sourceDepth else {
            throw Fault(.limit, "an expression of more than \(TemplateLimits.sourceDepth) levels", at: offset)
        }
        return Expression(kind, offset: offset, height: height)
    }

    mutating func noteUse(of name: String) {
        for index in usedNames.indices { usedNames[index].insert(name) }
    }

    /// What `body` parses, and the names it reads.
    mutating func notingUses<Result>(_ body: (inout Parser) throws(Fault) -> Result) throws(Fault) -> (Result, Set<String>) {
        usedNames.append([])
        let result: Result
        do {
            result = try body(&self)
        } catch {
            usedNames.removeLast()
            throw error
        }
        return (result, usedNames.removeLast())
    }

    // MARK: Bodies

    /// Statements up to a tag that begins with one of `ends`, which stays; without ends, all there are.
    mutating func parseBody(until ends: [String]) throws(Fault) -> [Statement] {
        try nested { parser throws(Fault) in
            var statements: [Statement] = []
            while true {
                let token = parser.current
                switch token.kind {
                case .data(let text):
                    parser.advance()
                    statements.append(Statement(kind: .text(text), offset: token.offset))
                case .variableBegin:
                    parser.advance()
                    statements.append(Statement(kind: .print(try parser.parseTuple()), offset: token.offset))
                    try parser.expect(.variableEnd)
                case .blockBegin:
                    if case .name(let name) = parser.following.kind, ends.contains(name) {
                        parser.advance()
                        return statements
                    }
                    parser.advance()
                    statements.append(try parser.parseStatement(at: token.offset))
                    try parser.expect(.blockEnd)
                case .end where ends.isEmpty: return statements
                default:
                    let tags = ends.map { "'\($0)'" }.joined(separator: " or ")
                    throw Fault(.syntax, "the template ends, but \(tags) is missing", at: token.offset)
                }
            }
        }
    }

    /// The rest of a tag and the statements after it, up to the name of the tag that ends them, which stays.
    mutating func parseBlock(until ends: [String]) throws(Fault) -> [Statement] {
        _ = skip(.colon)
        try expect(.blockEnd)
        return try parseBody(until: ends)
    }

    /// The same, with the ending tag's name taken.
    mutating func parseBlock(upTo end: String) throws(Fault) -> [Statement] {
        let body = try parseBlock(until: [end])
        advance()
        return body
    }

    mutating func parseLoopBody(until ends: [String], isInLoop: Bool) throws(Fault) -> [Statement] {
        let outer = self.isInLoop
        self.isInLoop = isInLoop
        defer { self.isInLoop = outer }
        return try parseBlock(until: ends)
    }

    func checkInLoop(_ name: String, at offset: Int) throws(Fault) {
        guard isInLoop else { throw Fault(.syntax, "'\(name)' outside of a loop", at: offset) }
    }
}
