import Hummingbird
import HummingbirdCore
import Jobs

extension GatewayResponder {
    func reply(to route: JobRoute, _ request: Request) async throws(APIError) -> Reply {
        let jobs = desk.jobs
        return switch route {
        case .upload: try await upload(request)
        case .files: try await jobs.files(ListQuery(request))
        case .file(let id): try await jobs.file(id)
        case .deleteFile(let id): try await jobs.deleteFile(id)
        case .content(let id): try await jobs.content(of: id)
        case .batches: try await jobs.batches(ListQuery(request))
        case .batch(let id): try await jobs.batch(id)
        case .cancelBatch(let id): try await jobs.cancel(id)
        case .results(let id): try await jobs.results(of: id, ListQuery(request))
        // Has a JSON body, and came another way.
        case .createBatch: throw .cutBody
        }
    }

    /// A form with the parts `purpose` and `file`. The file goes to the store as it comes.
    private func upload(_ request: Request) async throws(APIError) -> Reply {
        let store = try desk.jobs.store(for: "/v1/files")
        let limit = store.limits.maxFileBytes
        if let size = request.headers[.contentLength].flatMap({ Int($0) }), size > limit + FileUpload.formBytes { throw .bodyTooLarge(limit: limit) }
        var upload = FileUpload(store: store, reader: try MultipartReader(contentType: request.headers[.contentType]))
        do throws(APIError) {
            try await upload.read(request.body)
            return Reply(try await upload.finish().json)
        } catch {
            await upload.abandon()
            throw error
        }
    }
}

extension ListQuery {
    init(_ request: Request) {
        let parameters = request.uri.queryParameters
        func find(_ name: Substring) -> String? { parameters[name].flatMap { $0.isEmpty ? nil : String($0) } }
        self.init(after: find("after"), limit: find("limit"), order: find("order"), purpose: find("purpose"))
    }
}
