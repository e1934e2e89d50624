import ArgumentParser
import Foundation
import Yams

/// Completes a command line from the environment and a configuration file.
///
/// Every option `--some-name` of a command may also be given as the environment variable `BATON_SOME_NAME` and as
/// the key `some-name` of the YAML file named by `--config`. A flag on the command line wins over the environment,
/// the environment over the file, and the file over the default.
public enum LayeredArguments {
    /// - Parameters:
    ///   - arguments: what the user typed, without the program's name.
    ///   - read: returns the text of the configuration file at a path.
    /// - Returns: `arguments` with what the other layers add, ready for the command's own parser.
    /// - Throws: ``ConfigurationError``, or what `read` throws.
    public static func complete(
        _ arguments: [String], for command: any ParsableCommand.Type, environment: [String: String],
        read: (String) throws -> String = { try String(contentsOfFile: $0, encoding: .utf8) }
    ) throws -> [String] {
        let (info, depth) = try CommandInfo(describing: command).descend(along: arguments)
        let typed = Array(arguments[depth...])
        let given = info.optionsNamed(in: typed)

        var added: [String] = []
        var settled = given
        for option in info.options where !settled.contains(option.name) {
            guard let value = environment[option.environmentName] else { continue }
            added += try option.arguments(for: .string(value), source: "environment variable \(option.environmentName)")
            settled.insert(option.name)
        }
        if let path = configurationPath(in: typed, environment: environment) {
            added += try fileArguments(path: path, text: try readFile(path, read), info: info, settled: settled)
        }
        return arguments[..<depth] + added + typed
    }

    private static func configurationPath(in typed: [String], environment: [String: String]) -> String? {
        for (index, argument) in typed.enumerated() {
            if argument == "--" { break }
            if argument == "--config", index + 1 < typed.count { return typed[index + 1] }
            if argument.hasPrefix("--config=") { return String(argument.dropFirst("--config=".count)) }
        }
        return environment["BATON_CONFIG"]
    }

    private static func readFile(_ path: String, _ read: (String) throws -> String) throws -> String {
        do {
            return try read(path)
        } catch {
            throw ConfigurationError(source: path, problem: "cannot be read: \(error.localizedDescription)")
        }
    }

    private static func fileArguments(
        path: String, text: String, info: CommandInfo, settled: Set<String>
    ) throws -> [String] {
        let node: Node?
        do {
            node = try Yams.compose(yaml: text)
        } catch {
            throw ConfigurationError(source: path, problem: "is not YAML: \(error)")
        }
        guard let node else { return [] }
        guard case .mapping(let mapping) = node else {
            throw ConfigurationError(source: path, problem: "expected a mapping of option names to values")
        }
        var added: [String] = []
        for (keyNode, valueNode) in mapping {
            guard let key = keyNode.scalar?.string else {
                throw ConfigurationError(source: path, problem: "a key is not a plain name")
            }
            guard let option = info.options.first(where: { $0.name == key }), key != "config" else {
                throw ConfigurationError(source: path, problem: "unknown key \"\(key)\"")
            }
            if settled.contains(key) { continue }
            let value: OptionInfo.Value
            if let sequence = valueNode.sequence {
                value = .list(try sequence.map { item in
                    guard let text = item.scalar?.string else {
                        throw ConfigurationError(source: path, problem: "key \"\(key)\": expected a list of plain values")
                    }
                    return text
                })
            } else if let scalar = valueNode.scalar {
                value = .string(scalar.string)
            } else {
                throw ConfigurationError(source: path, problem: "key \"\(key)\": expected a value or a list")
            }
            added += try option.arguments(for: value, source: "\(path): key \"\(key)\"")
        }
        return added
    }
}

/// A setting that cannot be used, and where it came from.
public struct ConfigurationError: Error, Hashable, CustomStringConvertible, LocalizedError {
    public let source: String
    public let problem: String

    public var description: String { "\(source): \(problem)" }
    public var errorDescription: String? { description }
}
