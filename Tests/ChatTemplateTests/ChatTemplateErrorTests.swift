import ChatTemplate
import Testing

@Suite struct ChatTemplateErrorTests {
    private func error(_ source: String, _ variables: String = "{}", limits: TemplateLimits = TemplateLimits()) throws -> ChatTemplateError {
        try #require(throws: ChatTemplateError.self) { _ = try render(source, variables, limits: limits) }
    }

    @Test(arguments: [
        ("a\n  {% if x %}\nb", ChatTemplateError.Kind.syntax, 3, 2, "'endif'"),
        ("{{ 'é' ~ }}", .syntax, 1, 10, "expected an expression"),
        ("x\r\n{{ a ! b }}", .syntax, 2, 6, "'!'"),
        ("{% nonsense %}", .syntax, 1, 4, "unknown tag 'nonsense'"),
        ("{{ (1, 2] }}", .syntax, 1, 9, "unexpected ']'"),
        ("{{ 'abc }}", .syntax, 1, 4, "never closed"),
        ("{# never", .syntax, 1, 1, "comment"),
        ("{% raw %}{% if %}", .syntax, 1, 1, "raw"),
        ("ab {{ x", .syntax, 1, 4, "never closed"),
        ("{% break %}", .syntax, 1, 4, "outside of a loop"),
        ("{% for x in y %}{% macro m() %}{% continue %}{% endmacro %}{% endfor %}", .syntax, 1, 35, "outside of a loop"),
        ("{% set true = 1 %}", .syntax, 1, 8, "cannot assign"),
        ("{% macro m(a=1, b) %}{% endmacro %}", .syntax, 1, 17, "without default"),
        ("{{ f(a=1, 2) }}", .syntax, 1, 5, "wrong order"),
        (#"{{ "\x4" }}"#, .syntax, 1, 5, "truncated escape"),
        ("\n{% include 'x' %}", .unsupported, 2, 4, "'include'"),
        ("{{ x | urlize }}", .unsupported, 1, 8, "filter 'urlize'"),
        ("{{ x is escaped }}", .unsupported, 1, 9, "test 'escaped'"),
        ("{% for x in y recursive %}{% endfor %}", .unsupported, 1, 15, "recursive"),
        ("{{ lipsum() }}", .unsupported, 1, 4, "lipsum"),
        ("{{ 99999999999999999999 }}", .unsupported, 1, 4, "64 bits"),
        (#"{{ "\ud83d" }}"#, .unsupported, 1, 5, "scalar"),
    ])
    func whatCannotBeReadIsNamedWithItsPlace(
        source: String, kind: ChatTemplateError.Kind, line: Int, column: Int, part: String
    ) throws {
        let error = try #require(throws: ChatTemplateError.self) { _ = try ChatTemplate(source: source) }
        #expect(error.kind == kind && error.line == line && error.column == column, "\(error)")
        #expect(error.message.contains(part), "\(error)")
    }

    @Test(arguments: [
        ("\n {{ a.b.c }}", ChatTemplateError.Kind.failed, 2, 8, "'dict object' has no attribute 'b'"),
        ("{{ nothing.x }}", .failed, 1, 11, "'nothing' is undefined"),
        ("{{ 1 + 'a' }}", .failed, 1, 6, "unsupported operand"),
        ("{{ 'a' + 1 }}", .failed, 1, 8, "concatenate"),
        ("{% for x in 5 %}{% endfor %}", .failed, 1, 1, "not iterable"),
        ("{% for x, y in [[1]] %}{% endfor %}", .failed, 1, 1, "not enough values"),
        ("{{ [1].append(2) }}", .failed, 1, 14, "unsafe"),
        ("{{ 1 / 0 }}", .failed, 1, 6, "division by zero"),
        ("{{ a | tojson(sort_keys=nothing.x) }}", .failed, 1, 32, "undefined"),
        ("{% macro m() %}{{ z.y }}{% endmacro %}\n{{ m() }}", .failed, 1, 20, "'z' is undefined"),
        ("\n\n{{ raise_exception('roles must alternate') }}", .raised, 3, 19, "roles must alternate"),
        ("{{ 9223372036854775807 + 1 }}", .limit, 1, 24, "64 bits"),
        ("{{ range(1000000) | list }}", .failed, 1, 9, "100000"),
    ])
    func whatFailsWhileItRunsIsNamedWithItsPlace(
        source: String, kind: ChatTemplateError.Kind, line: Int, column: Int, part: String
    ) throws {
        let error = try error(source, #"{"a": {}}"#)
        #expect(error.kind == kind && error.line == line && error.column == column, "\(error)")
        #expect(error.message.contains(part), "\(error)")
        #expect("\(error)".hasPrefix("chat template: line \(line), column \(column): "))
    }

    @Test func aDateIsGivenOrMissed() throws {
        let template = try ChatTemplate(source: "{{ strftime_now('%Y') }}")
        #expect(try template.render([], date: TemplateDate(year: 2031, month: 1, day: 2)) == "2031")
        #expect(throws: ChatTemplateError.self) { try template.render([]) }
    }
}

@Suite struct TemplateLimitsTests {
    private func kind(_ source: String, _ limits: TemplateLimits = TemplateLimits()) -> ChatTemplateError.Kind? {
        do {
            _ = try render(source, limits: limits)
            return nil
        } catch {
            return (error as? ChatTemplateError)?.kind
        }
    }

    private static let loop = "{% set n = namespace(x='ab', l=[]) %}{% for i in range(100000) %}"

    @Test(arguments: [
        // Steps.
        "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
        // Texts and lists that double.
        loop + "{% set n.x = n.x ~ n.x %}{% endfor %}",
        loop + "{% set n.l = n.l + n.l + [1] %}{% endfor %}",
        "{{ 'ab' * 9223372036854775807 }}", "{{ [1] * 9223372036854775807 }}",
        "{{ ('a' * 1000000).replace('a', 'b' * 1000000) }}", "{{ ('a,' * 1000000) | replace('', 'b' * 1000000) }}",
        "{{ 'a'.center(100000000000) }}", "{{ 'a' | indent(100000000000, true) }}", "{{ '%99999999d' % 1 }}", "{{ '{:99999999}'.format(1) }}",
        "{{ [[1]] | tojson(indent=100000000000) }}",
        // Values within values.
        loop + "{% set n.l = [n.l] %}{% endfor %}{{ n.l }}", loop + "{% set n.l = {'a': n.l} %}{% endfor %}",
        loop + "{% set n.l = n.l | map('string') %}{% set n.x = n.l %}{% set n.l = [n.l] | map('list') %}{% endfor %}{{ n.l | list }}",
        // One list many times over.
        "{% set n = namespace(l=[]) %}{% for i in range(100) %}{% set n.l = [n.l, n.l] %}{% endfor %}{{ n.l }}",
        "{% set n = namespace(l=[], m=[]) %}{% for i in range(100) %}{% set n.l = [n.l, n.l] %}{% set n.m = [n.m, n.m] %}{% endfor %}{{ n.l == n.m }}",
        "{% set n = namespace(l=[]) %}{% for i in range(100) %}{% set n.l = [n.l, n.l] %}{% endfor %}{{ n.l | tojson }}",
        // Calls without end.
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m(x) %}{{ caller(x) }}{% endmacro %}{% macro k(x) %}{% call(y) m(x) %}{{ k(y) }}{% endcall %}{% endmacro %}{{ k(1) }}",
    ])
    func nothingRunsOrGrowsWithoutEnd(source: String) {
        #expect(kind(source) == .limit, "\(source)")
    }

    @Test func outputIsBounded() {
        let source = "{% for i in range(1000) %}0123456789{% endfor %}"
        #expect(kind(source, TemplateLimits(outputBytes: 10_000)) == nil)
        #expect(kind(source, TemplateLimits(outputBytes: 9_999)) == .limit)
    }

    @Test(arguments: ["(", "[", "{'a':", "not ", "-", "x[", "f(", "{% if x %}", "{% for x in y %}", "{% set x %}"])
    func nestingOfTheSourceIsBounded(opening: String) throws {
        let source = opening.hasPrefix("{%") ? String(repeating: opening, count: 5000) : "{{ " + String(repeating: opening, count: 100_000)
        let error = try #require(throws: ChatTemplateError.self) { _ = try ChatTemplate(source: source + (opening == "-" || opening == "not " ? "1 }}" : "")) }
        #expect(error.kind == .limit || error.kind == .syntax)
    }

    @Test(arguments: [" + 1", " | trim", ".a", "[0]", "()", " ** 1", " * 2", " is defined", " if 1"])
    func chainsOfOperatorsAreBounded(link: String) throws {
        let error = try #require(throws: ChatTemplateError.self) {
            _ = try ChatTemplate(source: "{{ x" + String(repeating: link, count: 100_000) + " }}")
        }
        #expect(error.kind == .limit || error.kind == .syntax, "\(error)")
        _ = try ChatTemplate(source: "{{ x" + String(repeating: " ~ 1", count: 10_000) + " }}")
    }

    @Test func deepRecursionFitsSmallStacks() throws {
        // The depth that the default allows, on a thread with half a megabyte.
        let source = "{% macro m(x) %}{% if x %}{% for i in [1] %}{{ ((m(x - 1))) }}{% endfor %}{% endif %}{% endmacro %}{{ m(100000) }}"
        #expect(SmallStack.run { self.kind(source) } == .limit)
        let nested = "{{ " + String(repeating: "(", count: 45) + "1" + String(repeating: ")", count: 45) + " }}"
        #expect(SmallStack.run { self.kind(nested) == nil } == true)
        let unclosed = "{{ " + String(repeating: "[", count: 10_000)
        #expect(SmallStack.run { self.kind(unclosed) } == .syntax)
    }
}
