/// What can be asked of files and batches.
enum JobRoute: Hashable, Sendable {
    case upload
    case files
    case file(String)
    case deleteFile(String)
    case content(String)
    case createBatch
    case batches
    case batch(String)
    case cancelBatch(String)
    /// Lines that have ended, while the batch may still run; an addition of ours to OpenAI's API.
    case results(String)

    /// - Parameter path: without the query, and without a slash at its end.
    /// - Returns: `nil` if the path is about something else.
    /// - Throws: ``APIError`` 405.
    init?(method: String, path: String) throws(APIError) {
        guard let choices = Self.choices(of: path) else { return nil }
        let wanted = method == "HEAD" ? "GET" : method
        guard let route = choices.first(where: { $0.method == wanted }) else {
            throw .noMethod(method, path, allow: choices.flatMap { $0.method == "GET" ? ["GET", "HEAD"] : [$0.method] })
        }
        self = route
    }

    /// The routes of a path, one for each method.
    private static func choices(of path: String) -> [JobRoute]? {
        let steps = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map { PercentEncoding.decode($0) }
        guard steps.count >= 2, steps[0] == "v1", !steps.dropFirst(2).contains("") else { return nil }
        switch (steps[1], steps.count) {
        case ("files", 2): return [.files, .upload]
        case ("files", 3): return [.file(steps[2]), .deleteFile(steps[2])]
        case ("files", 4) where steps[3] == "content": return [.content(steps[2])]
        case ("batches", 2): return [.batches, .createBatch]
        case ("batches", 3): return [.batch(steps[2])]
        case ("batches", 4) where steps[3] == "cancel": return [.cancelBatch(steps[2])]
        case ("batches", 4) where steps[3] == "results": return [.results(steps[2])]
        default: return nil
        }
    }

    var method: String {
        switch self {
        case .upload, .createBatch, .cancelBatch: "POST"
        case .deleteFile: "DELETE"
        case .files, .file, .content, .batches, .batch, .results: "GET"
        }
    }
}
