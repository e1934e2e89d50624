/// One run of a template.
final class Renderer {
    let allowance: Allowance
    let limits: TemplateLimits
    let date: TemplateDate?
    /// Where the operation under way stands in the source, in bytes.
    private(set) var position = 0
    var scope: Scope
    /// Texts under way: the output, and above it the blocks that are being captured.
    private var buffers: [[UInt8]] = [[]]
    /// Texts of the blocks that filters are being applied to.
    var captured: [Text] = []
    private var depth = 0
    /// What could refer to itself, to be emptied at the end.
    private var changeables: [any Changeable] = []

    init(variables: [(name: String, value: Value)], date: TemplateDate?, limits: TemplateLimits, allowance: Allowance) {
        self.allowance = allowance
        self.limits = limits
        self.date = date
        let globals = Scope(in: nil)
        for function in GlobalFunction.allCases { globals.values[function.rawValue] = .function(function) }
        let given = Scope(in: globals)
        for (name, value) in variables { given.values[name] = value }
        scope = Scope(in: given)
    }

    func render(_ template: [Statement]) throws(Fault) -> [UInt8] {
        defer { for changeable in changeables { changeable.clear() } }
        do {
            _ = try execute(template)
        } catch {
            throw Fault(error.kind, error.message, at: error.offset ?? position)
        }
        return buffers[0]
    }

    func keep(_ changeable: any Changeable) { changeables.append(changeable) }

    /// Says where what follows stands, for errors.
    func note(_ offset: Int) { position = offset }

    /// What `body` evaluates lies one level deeper.
    func nested<Result>(at offset: Int, _ body: () throws(Fault) -> Result) throws(Fault) -> Result {
        guard depth < limits.depth else { throw Fault(.limit, "more than \(limits.depth) levels deep", at: offset) }
        depth += 1
        defer { depth -= 1 }
        return try body()
    }

    // MARK: Output

    func write(_ text: Text) throws(Fault) {
        let last = buffers.count - 1
        guard text.bytes.count <= limits.outputBytes - buffers[last].count else {
            throw Fault(.limit, "more than \(limits.outputBytes) bytes of output")
        }
        try allowance.make(bytes: text.bytes.count)
        buffers[last] += text.bytes
    }

    /// What `body` writes.
    func capture(_ body: () throws(Fault) -> Flow) throws(Fault) -> (Text, Flow) {
        buffers.append([])
        let flow: Flow
        do {
            flow = try body()
        } catch {
            buffers.removeLast()
            throw error
        }
        return (Text(bytes: buffers.removeLast()), flow)
    }

    func inScope<Result>(_ new: Scope, _ body: () throws(Fault) -> Result) throws(Fault) -> Result {
        let outer = scope
        scope = new
        defer { scope = outer }
        return try body()
    }

    // MARK: Statements

    /// How a body ended.
    enum Flow { case toEnd, leaveLoop, nextIteration }

    func execute(_ statements: [Statement]) throws(Fault) -> Flow {
        for statement in statements {
            try allowance.step()
            let flow = try execute(statement)
            if flow != .toEnd { return flow }
        }
        return .toEnd
    }

    private func execute(_ statement: Statement) throws(Fault) -> Flow {
        switch statement.kind {
        case .text(let text):
            note(statement.offset)
            try write(text)
        case .print(let expression):
            let value = try evaluate(expression)
            note(expression.offset)
            try write(try value.printed(allowance))
        case .set(let target, let expression):
            let value = try evaluate(expression)
            note(statement.offset)
            try assign(value, to: target)
        case .leaveLoop: return .leaveLoop
        case .nextIteration: return .nextIteration
        case .macro(let definition):
            keep(scope)
            scope.values[definition.name] = .macro(MacroValue(definition, in: scope))
        default:
            return try nested(at: statement.offset) { () throws(Fault) in try executeBlock(statement) }
        }
        return .toEnd
    }

    private func executeBlock(_ statement: Statement) throws(Fault) -> Flow {
        switch statement.kind {
        case .conditional(let branches, let otherwise):
            for (condition, body) in branches where try evaluate(condition).isTrue { return try execute(body) }
            return try execute(otherwise)
        case .loop(let loop): return try execute(loop, at: statement.offset)
        case .setBlock(let target, let filter, let body):
            let (text, flow) = try capture { () throws(Fault) in try inScope(Scope(in: scope)) { () throws(Fault) in try execute(body) } }
            guard flow == .toEnd else { return flow }
            let value = try filter.map { filter throws(Fault) in try apply(filter, to: text) } ?? .string(text)
            note(statement.offset)
            try assign(value, to: target)
        case .filterBlock(let filter, let body):
            let (text, flow) = try capture { () throws(Fault) in try inScope(Scope(in: scope)) { () throws(Fault) in try execute(body) } }
            guard flow == .toEnd else { return flow }
            try write(try apply(filter, to: text).printed(allowance))
        case .with(let assignments, let body):
            let inner = Scope(in: scope)
            for (target, expression) in assignments {
                let value = try evaluate(expression)
                try inScope(inner) { () throws(Fault) in try assign(value, to: target) }
            }
            return try inScope(inner) { () throws(Fault) in try execute(body) }
        case .scope(let body): return try inScope(Scope(in: scope)) { () throws(Fault) in try execute(body) }
        case .callBlock(let definition, let call):
            keep(scope)
            let value = try evaluateCall(call, caller: .macro(MacroValue(definition, in: scope)))
            note(statement.offset)
            try write(try value.printed(allowance))
        default: break
        }
        return .toEnd
    }

    private func apply(_ filter: Expression, to text: Text) throws(Fault) -> Value {
        captured.append(text)
        defer { captured.removeLast() }
        return try evaluate(filter)
    }

    private func execute(_ loop: Statement.Loop, at offset: Int) throws(Fault) -> Flow {
        let iterable = try evaluate(loop.iterable)
        note(offset)
        var iterator = try iterable.elements(allowance)
        if let condition = loop.condition { iterator = filtered(iterator, by: condition, target: loop.target) }
        var context: LoopValue?
        if loop.usesLoop {
            let value = LoopValue(over: iterator, length: loop.condition == nil ? iterable.length : nil)
            keep(value)
            context = value
        }
        // Jinja runs `else` unless one round has come to its end.
        var isComplete = false
        let outer = scope
        defer { scope = outer }
        while true {
            note(offset)
            scope = outer
            let next = if let context { try context.next() } else { try iterator.next() }
            guard let element = next else { break }
            scope = Scope(in: outer)
            if let context { scope.values["loop"] = .loop(context) }
            try assign(element, to: loop.target)
            let flow = try execute(loop.body)
            if flow == .leaveLoop { break }
            if flow == .toEnd { isComplete = true }
        }
        scope = outer
        return !isComplete ? try inScope(Scope(in: outer)) { () throws(Fault) in try execute(loop.otherwise) } : .toEnd
    }

    /// `for … if`: the condition sees the target and what is outside of the loop, and runs when an element is asked for.
    private func filtered(_ source: IteratorValue, by condition: Expression, target: Statement.Target) -> IteratorValue {
        let outer = scope
        return IteratorValue(depth: source.depth) { [unowned self] () throws(Fault) in
            while let element = try source.next() {
                let inner = Scope(in: outer)
                let isWanted = try inScope(inner) { () throws(Fault) in
                    try assign(element, to: target)
                    return try evaluate(condition).isTrue
                }
                // What was taken apart comes back as a tuple.
                if isWanted { return try value(of: target, in: inner) ?? element }
            }
            return nil
        }
    }

    private func value(of target: Statement.Target, in scope: Scope) throws(Fault) -> Value? {
        switch target {
        case .name(let name): return scope.values[name]
        case .attribute: return nil
        case .tuple(let targets):
            var values: [Value] = []
            for target in targets { values.append(try value(of: target, in: scope) ?? .null) }
            return try .tuple(of: values, allowance)
        }
    }

    // MARK: Assignment

    func assign(_ value: Value, to target: Statement.Target) throws(Fault) {
        switch target {
        case .name(let name): scope.values[name] = value
        case .attribute(let name, let attribute):
            guard case .namespace(let namespace)? = scope.value(of: name) else {
                throw .failed("cannot assign attribute on non-namespace object")
            }
            try Self.checkAttribute(attribute)
            namespace[attribute] = value
        case .tuple(let targets):
            let iterator = try value.elements(allowance)
            var values: [Value] = []
            while values.count <= targets.count, let element = try iterator.next() { values.append(element) }
            guard values.count <= targets.count else { throw .failed("too many values to unpack (expected \(targets.count))") }
            guard values.count == targets.count else {
                throw .failed("not enough values to unpack (expected \(targets.count), got \(values.count))")
            }
            for (target, value) in zip(targets, values) { try assign(value, to: target) }
        }
    }

    static func checkAttribute(_ name: String) throws(Fault) {
        guard !name.hasPrefix("_") else { throw .failed("a namespace cannot hold '\(name)', which begins with an underscore") }
    }
}
