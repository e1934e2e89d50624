import ArgumentParser
import Foundation
import Gateway
import LocalCluster

/// What `up` passes on to the coordinator about HTTP.
struct UpHTTPOptions: ParsableArguments {
    @Flag(inversion: .prefixedNo, help: "Serve HTTP, compatible with OpenAI's API.")
    var http = true

    @Option(help: "Name or address at which HTTP is served.")
    var host = "127.0.0.1"

    @Option(help: "Port at which HTTP is served; 0: one that is free.")
    var port = 8000

    @Option(help: "Name under which the model is served (default: the directory's or file's name).")
    var servedModelName: String?

    @Option(
        parsing: .singleValue,
        help: "Key that HTTP clients must send (Authorization: Bearer KEY). May be given several times.")
    var apiKey: [String] = []

    @Option(help: "File of such keys as SHA-256, one a line in hexadecimal, as sha256sum writes them.")
    var apiKeyFile: String?

    @Option(parsing: .singleValue, help: "Origin whose pages may use HTTP from a browser, or * for all. May be given several times.")
    var allowedOrigin: [String] = []

    @Option(help: "Jinja template for conversations, in place of the model's own.")
    var chatTemplate: String?

    @Option(help: "Batch jobs over HTTP (/v1/files, /v1/batches): on or off.")
    var jobs = "on"

    @Option(help: "SQLite file of batch jobs (default: baton/jobs.sqlite in $XDG_STATE_HOME, or else in ~/.local/state).")
    var jobStore: String?

    @Flag(help: "Allow HTTP that other machines can reach without a key.")
    var insecureNetwork = false

    func validate() throws {
        guard (0...65_535).contains(port) else { throw ValidationError("--port must be 0 to 65535, not \(port)") }
        guard ["on", "off"].contains(jobs) else { throw ValidationError("--jobs must be on or off, not \(jobs)") }
    }

    /// - Returns: `nil` if HTTP is not wanted.
    func address() throws -> HTTPAddress? {
        guard http else { return nil }
        return HTTPAddress(host: host, port: port == 0 ? try freeLoopbackPort() : port)
    }

    /// Arguments of the coordinator besides the address.
    var arguments: [String] {
        var arguments = allowedOrigin.flatMap { ["--allowed-origin", $0] }
        if let servedModelName { arguments += ["--served-model-name", servedModelName] }
        if let chatTemplate { arguments += ["--chat-template", chatTemplate] }
        arguments += ["--jobs", jobs]
        if let jobStore { arguments += ["--job-store", jobStore] }
        if insecureNetwork { arguments.append("--insecure-network") }
        return arguments
    }

    /// Arguments that name the keys: by a file of digests, since everybody on the machine sees the command lines of processes.
    func keyArguments(directory: URL) throws -> [String] {
        guard !apiKey.isEmpty else { return apiKeyFile.map { ["--api-key-file", $0] } ?? [] }
        var lines = apiKey.map(APIKeys.fileLine(for:)).joined()
        if let apiKeyFile { lines += try String(contentsOfFile: apiKeyFile, encoding: .utf8) }
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        let file = directory.appendingPathComponent("api-keys")
        guard FileManager.default.createFile(atPath: file.path, contents: Data(lines.utf8), attributes: [.posixPermissions: 0o600]) else {
            throw ValidationError("cannot write \(file.path)")
        }
        return ["--api-key-file", file.path]
    }
}
