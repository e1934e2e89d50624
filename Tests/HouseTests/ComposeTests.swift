import Foundation
import Subprocess
import SystemPackage
import Testing
import Yams

/// What can be wrong in the compose file besides Docker itself, checked without an engine.
@Suite struct ComposeTests {
    private struct Service {
        var name: String
        var command: [String]
        var healthCheck: [String]
        var profiles: [String]
    }

    private func services() throws -> [Service] {
        let text = try String(contentsOf: house.appendingPathComponent("docker-compose.yml"), encoding: .utf8)
        let file = try #require(try Yams.load(yaml: text) as? [String: Any])
        let services = try #require(file["services"] as? [String: [String: Any]])
        return try services.map { name, body in
            let check = try #require(body["healthcheck"] as? [String: Any], "\(name) has no health check")
            return Service(
                name: name, command: try #require(body["command"] as? [String]),
                healthCheck: try #require(check["test"] as? [String]), profiles: body["profiles"] as? [String] ?? [])
        }.sorted { $0.name < $1.name }
    }

    private var programs: URL { house.appendingPathComponent(".build/release") }

    @Test func everyRoleIsAService() throws {
        let services = try services()
        #expect(services.map(\.name) == ["coordinator", "decode-worker", "mixed-worker", "prefill-worker"])
        // Only on demand: the others are a cluster.
        #expect(services.filter { !$0.profiles.isEmpty }.map(\.name) == ["mixed-worker"])
    }

    @Test func everyServiceStartsWithItsFlags() async throws {
        for service in try services() {
            let program = try #require(service.command.first)
            // The model volume is what the file mounts by default.
            let model = house.appendingPathComponent("Models/baton-tiny").path
            let arguments = service.command.dropFirst().map { $0.replacing("/models/model", with: model) }
            let result = try await run(
                .path(FilePath(programs.appendingPathComponent(program).path)),
                arguments: Arguments(arguments + ["--check-config"]),
                output: .string(limit: 65536), error: .string(limit: 65536))
            #expect(
                result.terminationStatus.isSuccess, "\(service.name): \(result.standardError)")
        }
    }

    @Test func aWrongFlagWouldBeNoticed() async throws {
        let result = try await run(
            .path(FilePath(programs.appendingPathComponent("decode-worker").path)),
            arguments: ["--model=x", "--modle=x", "--check-config"], output: .discarded,
            error: .string(limit: 65536))
        #expect(result.terminationStatus == .exited(2))
        #expect(result.standardError.contains("--modle"))
    }

    @Test func everyHealthCheckIsACommandOfOurs() async throws {
        for service in try services() {
            #expect(service.healthCheck.prefix(2) == ["CMD", "baton"])
            // Nothing listens there, so a well-formed check says 1 (failed), a malformed one 2 (usage).
            let arguments = service.healthCheck.dropFirst(2).map { argument in
                argument.replacing(/127\.0\.0\.1:\d+/, with: "127.0.0.1:1").replacing(/--timeout=\d+/, with: "--timeout=0.2")
            }
            let result = try await run(
                .path(FilePath(programs.appendingPathComponent("baton").path)), arguments: Arguments(Array(arguments)),
                output: .discarded, error: .string(limit: 65536))
            #expect(result.terminationStatus == .exited(1), "\(service.name): \(result.standardError)")
        }
    }
}
