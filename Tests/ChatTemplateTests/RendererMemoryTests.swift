@testable import ChatTemplate
import Testing

@Suite struct RendererMemoryTests {
    /// The variables of the template, after its rendering has gone.
    private func leftover(of source: String) throws -> Scope? {
        weak var scope: Scope?
        var parser = Parser(tokens: try Lexer.tokens(of: Array(source.utf8)))
        let statements = try parser.parseTemplate()
        do {
            let limits = TemplateLimits()
            let renderer = Renderer(variables: [], date: nil, limits: limits, allowance: Allowance(limits))
            scope = renderer.scope
            _ = try renderer.render(statements)
        }
        return scope
    }

    @Test(arguments: [
        "{% set n = namespace() %}{% set n.itself = n %}",
        "{% macro m() %}{{ m }}{% endmacro %}{{ m() }}",
        "{% set n = namespace() %}{% macro m() %}{% endmacro %}{% set n.m = m %}",
        "{% set n = namespace() %}{% for i in [n] %}{% set n.l = loop %}{{ loop.nextitem is defined }}{% endfor %}",
        "{% set n = namespace() %}{% set n.g = [n] | map('string') %}",
        "{% set n = namespace() %}{% for i in [1] %}{% macro m() %}{{ i }}{% endmacro %}{% set n.m = m %}{% endfor %}{{ n.m() }}",
        "{% set n = namespace() %}{% macro w() %}{% set n.c = caller %}{{ caller() }}{% endmacro %}{% call w() %}{{ n }}{% endcall %}",
    ])
    func whatHoldsItselfIsFreed(source: String) throws {
        #expect(try leftover(of: source) == nil)
    }
}
