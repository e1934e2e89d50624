import ChatTemplate
import JSONReader

extension FuzzTarget {
    /// Enough for anything a template of this size means to do, and far from a second.
    private static let limits = TemplateLimits(steps: 100_000, workBytes: 1 << 19, outputBytes: 1 << 16, depth: 200)

    static func template(_ input: UnsafeRawBufferPointer) throws -> FuzzOutcome {
        let zero = input.firstIndex(of: 0) ?? input.endIndex
        let template = try ChatTemplate(source: String(decoding: input[..<zero], as: UTF8.self))
        var variables: [TemplateValue.Member] = []
        if zero < input.endIndex {
            let document = try JSONDocument(file: "variables", source: Array(input[(zero + 1)...]))
            if case .object(let members) = TemplateValue(document.root) { variables = members }
        }
        let date = TemplateDate(year: 2025, month: 3, day: 7)
        let text = try template.render(variables, date: date, limits: limits)
        let again = try template.render(variables, date: date, limits: limits)
        guard text.utf8.count <= limits.outputBytes, text.utf8.elementsEqual(again.utf8) else { return .broken("two renderings differ") }
        return .accepted
    }

    /// Whole and byte by byte, an answer must give the same.
    static func toolCalls(_ input: UnsafeRawBufferPointer) -> FuzzOutcome {
        let answer = String(decoding: input, as: UTF8.self)
        var hasCall = false
        for format in ToolCallFormat.allCases {
            let whole = joined(ToolCallParser.parse(answer, format: format, seed: 1))
            var parser = ToolCallParser(format, seed: 1)
            var pieces: [ToolCallEvent] = []
            for byte in answer.utf8 { pieces += parser.append(bytes: [byte]) }
            guard joined(pieces + parser.finish()) == whole else { return .broken("\(format): pieces differ from the whole") }
            for case .callBegan in whole { hasCall = true }
        }
        return hasCall ? .accepted : .refused("no call")
    }

    private static func joined(_ events: [ToolCallEvent]) -> [ToolCallEvent] {
        var result: [ToolCallEvent] = []
        for event in events {
            switch (result.last, event) {
            case (.content(let before)?, .content(let more)): result[result.count - 1] = .content(before + more)
            case (.arguments(let index, let before)?, .arguments(_, let more)):
                result[result.count - 1] = .arguments(index: index, before + more)
            default: result.append(event)
            }
        }
        return result
    }
}

/// Changes templates, and answers with calls, by putting in pieces that mean something.
enum TemplateMutation {
    private static let pieces = [
        "{{ ", " }}", "{% ", " %}", "{%- ", " -%}", "{# ", " #}", "{% if x %}", "{% endif %}", "{% else %}", "{% for i in x %}", "{% endfor %}",
        "{% set x = ", "{% set ns.x = ", "{% set x %}", "{% endset %}", "{% macro m(a, b=1) %}", "{% endmacro %}", "{{ m(x) }}", "{% call m(1) %}",
        "{% endcall %}", "{% break %}", "{% raw %}", "{% endraw %}", "{% generation %}", "{% endgeneration %}", "namespace(x=1)", "range(9)", " | tojson",
        " | map(attribute='role') | list", " | selectattr('role', 'eq', 'user')", " | join(', ')", " | replace('a', 'b')", " | sort", " | int", " | round(2)",
        " | indent", " | dictsort", " | batch(2) | list", ".split('a')", ".items()", ".get('a')", ".format(1, a=2)", " % (1, 2)", "'%5.2f %s %r'",
        "'{:>8}{0!r}'", "[::-1]", "[1:-1]", "[-1]", " ~ ", " + ", " * 99", " ** 9", " // ", " is defined", " is not none", " in ", " and ", " or ", "not ",
        " if x else ", "loop.index", "loop.nextitem", "messages", "message.content", "9223372036854775807", "-1", "1e16", "0.1", "'é\\u0301'", "[", "]", "(",
        ")", "{", "}", ":", ",", "x", "none", "true",
    ]
    static let answerPieces = [
        "<tool_call>", "</tool_call>", "[TOOL_CALLS]", "<|python_tag|>", "[ARGS]", "[CALL_ID]", "{", "}", "[", "]", ",", ";", ":", "\n", "\"",
        "{\"name\": \"f\", \"arguments\": {\"a\": \"é\"}}", "{\"name\": \"g\", \"parameters\": {}}", "{\"arguments\": \"{}\", \"name\": \"f\"}", "\\u00e9", "\\",
    ]

    /// The template; every fourth time its variables.
    static func mutate(_ input: [UInt8], _ random: inout FuzzRandom, byBytes: ([UInt8]) -> [UInt8]) -> [UInt8] {
        guard let zero = input.firstIndex(of: 0), !random.chance(of: 8) else { return byBytes(input) }
        let template = Array(input[..<zero]), variables = Array(input[(zero + 1)...])
        if random.chance(of: 4) { return template + [0] + JSONMutation.mutate(variables, &random) }
        return (random.chance(of: 3) ? byBytes(template) : spliced(template, pieces, &random)) + [0] + variables
    }

    static func spliced(_ text: [UInt8], _ pieces: [String], _ random: inout FuzzRandom) -> [UInt8] {
        var text = text
        for _ in 0...random.below(3) {
            let start = random.below(text.count + 1)
            let end = random.chance(of: 2) ? start : min(text.count, start + random.below(12))
            text.replaceSubrange(start..<end, with: Array(pieces[random.below(pieces.count)].utf8))
        }
        return text
    }
}
