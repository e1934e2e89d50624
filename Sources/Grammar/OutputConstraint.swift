/// What the text of an answer must be, as the request states it. Equal sources mean equal masks, so this is what caches are
/// keyed by, and what travels with a request.
public enum OutputConstraint: Sendable, Hashable {
    /// Any JSON object.
    case jsonObject
    /// A JSON value that the schema (a JSON text) allows; see ``SchemaCompiler`` for what of JSON Schema is understood.
    case jsonSchema(String)
    /// A text that the whole of a regular expression matches, in ECMAScript's syntax without lookaround and back references.
    case regex(String)
    /// A text that the rule `root` of a grammar in GBNF, llama.cpp's notation, derives.
    case grammar(String)
}
