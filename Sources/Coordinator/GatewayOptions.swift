import ArgumentParser
import ChatTemplate
import Foundation
import Gateway
import Logging
import RequestAdmission
import Tokenizer

/// Where HTTP is served, and for whom.
struct GatewayOptions: ParsableArguments {
    @Flag(inversion: .prefixedNo, help: "Serve HTTP, compatible with OpenAI's API.")
    var http = true

    @Option(help: "Name or address at which HTTP is served.")
    var host = "127.0.0.1"

    @Option(help: "Port at which HTTP is served; 0: the system chooses, and the log tells.")
    var port = 8000

    @Option(
        parsing: .singleValue,
        help: "Key that HTTP clients must send (Authorization: Bearer KEY), on every path but /livez and /readyz. May be given several times.")
    var apiKey: [String] = []

    @Option(help: "File of such keys as SHA-256, one a line in hexadecimal, as sha256sum writes them.")
    var apiKeyFile: String?

    @Option(
        parsing: .singleValue,
        help: "Origin whose pages may use HTTP from a browser, such as https://chat.example.org, or * for all. May be given several times.")
    var allowedOrigin: [String] = []

    @Option(help: "File with the Jinja template for conversations (default: the model's own).")
    var chatTemplate: String?

    func validate() throws {
        guard (0...65_535).contains(port) else { throw ValidationError("--port must be 0 to 65535, not \(port)") }
        guard !host.isEmpty else { throw ValidationError("--host must not be empty") }
        guard !apiKey.contains("") else { throw ValidationError("--api-key must not be empty") }
    }

    /// - Returns: `nil` if HTTP is not wanted.
    /// - Throws: `ValidationError` if everybody on the network could use the cluster and nobody has said that this is wanted.
    func configuration(allowsInsecureNetwork: Bool) throws -> GatewayConfiguration? {
        guard http else { return nil }
        var keys = APIKeys()
        for key in apiKey { keys.add(key: key) }
        if let apiKeyFile {
            try keys.add(file: apiKeyFile)
            guard !keys.isEmpty else { throw ValidationError("--api-key-file \(apiKeyFile) has no keys") }
        }
        let configuration = GatewayConfiguration(host: host, port: port, apiKeys: keys, allowedOrigins: allowedOrigin)
        guard configuration.isLocal || !keys.isEmpty || allowsInsecureNetwork else {
            throw ValidationError(
                "--host \(host) can be reached from other machines and there is no --api-key; say --insecure-network if that is wanted")
        }
        return configuration
    }

    /// - Returns: `nil` if the model has no template, or one that cannot be rendered: then chats are refused.
    /// - Throws: if the template that was asked for cannot be rendered.
    func chat(tokenizer: Tokenizer, logger: Logger) throws -> ChatFormatting? {
        if let chatTemplate {
            let source: String
            do {
                source = try String(contentsOfFile: chatTemplate, encoding: .utf8)
            } catch {
                throw ValidationError("--chat-template \(chatTemplate): cannot be read: \(error.localizedDescription)")
            }
            do {
                return try ChatFormatting(source: source, tokenizer: tokenizer)
            } catch {
                throw ValidationError("--chat-template \(chatTemplate): \(error)")
            }
        }
        do {
            return try ChatFormatting(tokenizer: tokenizer)
        } catch ChatPrompts.Failure.noTemplate {
            return nil
        } catch {
            logger.warning("no chats: the model's chat template cannot be used: \(error)")
            return nil
        }
    }
}
