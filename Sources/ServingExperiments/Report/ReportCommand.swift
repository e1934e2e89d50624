/// The command line that made a report, to be typed again: by way of `make`, which makes the model too, where a target says the
/// same, else as it was.
public struct ReportCommand: Sendable, Hashable {
    /// A target of the Makefile, and the arguments with which it begins.
    public struct Target: Sendable, Hashable {
        public var name: String
        public var arguments: [String]

        public init(_ name: String, _ arguments: [String]) {
            self.name = name
            self.arguments = arguments
        }
    }

    public let text: String

    /// - Parameters:
    ///   - arguments: of the program, its subcommands among them. One that asks for no more than the report is left out.
    ///   - targets: those that say more come before those that say less.
    public init(program: String, arguments: [String], targets: [Target]) {
        let arguments = arguments.filter { $0 != "--report-only" }
        let target = targets.first { arguments.starts(with: $0.arguments) }
        let rest = target.map { Array(arguments.dropFirst($0.arguments.count)) } ?? []
        // What a shell and make would read otherwise than it stands would have to be quoted for both.
        if let target, rest.allSatisfy({ $0.allSatisfy(Self.isPlain) && !$0.isEmpty }) {
            text = "make \(target.name)" + (rest.isEmpty ? "" : " ARGS='\(rest.joined(separator: " "))'")
        } else {
            text = ([program] + arguments).map(Self.quoted).joined(separator: " ")
        }
    }

    private static func isPlain(_ character: Character) -> Bool {
        character.isASCII && (character.isLetter || character.isNumber || "-_./,:=@%+".contains(character))
    }

    private static func quoted(_ argument: String) -> String {
        argument.allSatisfy(isPlain) && !argument.isEmpty ? argument : "'" + argument.replacing("'", with: "'\\''") + "'"
    }
}
