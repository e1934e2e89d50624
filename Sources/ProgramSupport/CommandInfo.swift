import ArgumentParser
import Foundation

/// The options of a command, as its own parser describes them.
struct CommandInfo: Decodable {
    private var commandName: String
    private var arguments: [Argument]?
    private var subcommands: [CommandInfo]?

    private struct Argument: Decodable {
        var kind: String
        var names: [Name]?
        var isRepeating: Bool

        struct Name: Decodable {
            var kind: String
            var name: String
        }
    }

    private struct Tool: Decodable {
        var command: CommandInfo
    }

    init(describing command: any ParsableCommand.Type) throws {
        let description = Data(command._dumpHelp().utf8)
        self = try JSONDecoder().decode(Tool.self, from: description).command
    }

    /// The subcommand that `arguments` begin with, and how many of them name it.
    func descend(along arguments: [String]) -> (CommandInfo, depth: Int) {
        guard let first = arguments.first, let child = subcommands?.first(where: { $0.commandName == first }) else {
            return (self, 0)
        }
        let (info, depth) = child.descend(along: Array(arguments.dropFirst()))
        return (info, depth + 1)
    }

    var options: [OptionInfo] {
        // The parser describes a flag and its `--no-` form as two arguments; here they are one option.
        let spellings = Set((arguments ?? []).flatMap { ($0.names ?? []).map(\.name) })
        return (arguments ?? []).compactMap { argument in
            let names = argument.names ?? []
            guard argument.kind != "positional", let name = names.first(where: { $0.kind == "long" })?.name,
                name != "help", name != "version", !name.hasPrefix("no-")
            else { return nil }
            let inversion = spellings.contains("no-" + name) ? "no-" + name : nil
            return OptionInfo(
                name: name, spellings: Set(names.map(\.name) + [inversion].compactMap(\.self)),
                takesValue: argument.kind == "option", isRepeating: argument.isRepeating, inversion: inversion)
        }
    }

    /// Names of the options that appear in `arguments`.
    func optionsNamed(in arguments: [String]) -> Set<String> {
        var named: Set<String> = []
        for argument in arguments {
            if argument == "--" { break }
            guard argument.hasPrefix("-") else { continue }
            let spelling = String(argument.drop { $0 == "-" }.prefix { $0 != "=" })
            if let option = options.first(where: { $0.spellings.contains(spelling) }) { named.insert(option.name) }
        }
        return named
    }
}

/// One option of a command.
struct OptionInfo {
    enum Value {
        case string(String)
        case list([String])
    }

    /// Long name without dashes.
    var name: String
    var spellings: Set<String>
    var takesValue: Bool
    var isRepeating: Bool
    /// `no-name`, where the flag can be switched off.
    var inversion: String?

    var environmentName: String { "BATON_" + name.uppercased().replacingOccurrences(of: "-", with: "_") }

    /// The command-line arguments that say the same as `value`.
    func arguments(for value: Value, source: String) throws -> [String] {
        switch (value, takesValue) {
        case (.string(let text), true):
            return ["--\(name)=\(text)"]
        case (.list(let texts), true) where isRepeating:
            return texts.map { "--\(name)=\($0)" }
        case (.list, true):
            throw ConfigurationError(source: source, problem: "takes one value, not a list")
        case (.string(let text), false):
            switch text.lowercased() {
            case "true", "1", "yes", "on": return ["--\(name)"]
            case "false", "0", "no", "off", "": return inversion.map { ["--\($0)"] } ?? []
            default: throw ConfigurationError(source: source, problem: "expected true or false, not \"\(text)\"")
            }
        case (.list, false):
            throw ConfigurationError(source: source, problem: "expected true or false, not a list")
        }
    }
}
