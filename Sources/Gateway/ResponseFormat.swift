import Generation
import JSONReader

/// What an answer must conform to, in the ways in which clients say it.
enum ResponseFormat {
    /// OpenAI's `response_format`; vLLM's `structured_outputs` and, before that, `guided_…`; llama-server's `grammar`.
    static let names: Set<String> = [
        "response_format", "structured_outputs", "guided_json", "guided_regex", "guided_grammar", "grammar", "regex",
    ]

    static func constraint(_ reader: ParameterReader) throws(APIError) -> Constraint? {
        var found: [(name: String, constraint: Constraint)] = []
        func add(_ name: String, _ constraint: Constraint?) {
            if let constraint { found.append((name, constraint)) }
        }
        add("response_format", try responseFormat(reader))
        if let options = try reader.object("structured_outputs") {
            let options = ParameterReader(options, names: ["json", "regex", "grammar"], prefix: "structured_outputs.")
            add("structured_outputs.json", options["json"].map { schema($0) })
            add("structured_outputs.regex", try source("regex", .regex, options))
            add("structured_outputs.grammar", try source("grammar", .grammar, options))
        }
        add("guided_json", reader["guided_json"].map { schema($0) })
        add("guided_regex", try source("guided_regex", .regex, reader))
        add("guided_grammar", try source("guided_grammar", .grammar, reader))
        add("grammar", try source("grammar", .grammar, reader))
        add("regex", try source("regex", .regex, reader))
        if found.count > 1 { throw reader.invalid(found[1].name, "does not go with \(found[0].name)") }
        if let (name, constraint) = found.first, constraint.source.utf8.count > Constraint.maxByteCount {
            throw reader.invalid(name, "is longer than \(Constraint.maxByteCount) bytes")
        }
        return found.first?.constraint
    }

    private static func source(
        _ name: String, _ kind: Constraint.Kind, _ reader: ParameterReader
    ) throws(APIError) -> Constraint? {
        guard let text = try reader.text(name), !text.isEmpty else { return nil }
        return Constraint(kind: kind, source: text)
    }

    /// A schema as JSON, or as a string that holds JSON.
    private static func schema(_ value: JSONValue) -> Constraint {
        Constraint(kind: .jsonSchema, source: value.text ?? String(decoding: JSONText(value).utf8, as: UTF8.self))
    }

    /// `{"type": "text" | "json_object" | "json_schema", "json_schema": {"schema": …}}`.
    private static func responseFormat(_ reader: ParameterReader) throws(APIError) -> Constraint? {
        guard let object = try reader.object("response_format") else { return nil }
        let format = ParameterReader(object, names: ["type", "json_schema"], prefix: "response_format.")
        guard let type = try format.text("type") else { throw format.missing("type") }
        switch type {
        case "text": return nil
        case "json_object": return Constraint(kind: .jsonObject)
        case "json_schema":
            guard let object = try format.object("json_schema") else { throw format.missing("json_schema") }
            let inner = ParameterReader(object, names: ["schema", "name", "strict"], prefix: "response_format.json_schema.")
            _ = try inner.text("name")
            _ = try inner.boolean("strict")
            guard let value = inner["schema"] else { throw inner.missing("schema") }
            guard value.kind == .object else { throw inner.wrong("schema", value, expected: "an object") }
            return schema(value)
        default: throw format.invalid("type", "must be text, json_object or json_schema, but is \(JSONValue.quoted(type))")
        }
    }
}
