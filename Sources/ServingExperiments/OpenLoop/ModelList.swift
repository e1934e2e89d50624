import JSONReader

/// The answer to `/v1/models`.
struct ModelList {
    let first: String?

    init(_ body: [UInt8]) throws(JSONError) {
        let root = try JSONDocument(file: "models", source: body).root
        first = root.object?["data"]?.array.flatMap { Array($0.prefix(1)).first }?.object?["id"]?.text
    }
}
