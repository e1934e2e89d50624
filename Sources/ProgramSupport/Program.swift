import ArgumentParser
import Foundation
import Logging

/// How every program of Baton starts and ends.
public enum Program {
    /// Parses the command line (completed from environment and file), runs the command and exits: 0 done, 1 failed,
    /// 2 usage. Errors are one line on standard error.
    public static func main(_ command: any ParsableCommand.Type) async -> Never {
        // A reader that went away (`baton … | head`) is an error of a write, not the end of the process.
        signal(SIGPIPE, SIG_IGN)
        let parsed: any ParsableCommand
        do {
            let arguments = try LayeredArguments.complete(
                Array(CommandLine.arguments.dropFirst()), for: command,
                environment: ProcessInfo.processInfo.environment)
            parsed = try command.parseAsRoot(arguments)
        } catch let error as ConfigurationError {
            end(with: "\(error)", code: 2)
        } catch {
            if command.exitCode(for: error).isSuccess {
                print(command.fullMessage(for: error))
                exit(0)
            }
            let lines = command.message(for: error).split(separator: "\n")
            end(with: (lines.first.map(String.init) ?? "wrong usage") + " (--help lists the options)", code: 2)
        }
        do {
            if var asynchronous = parsed as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                var synchronous = parsed
                try synchronous.run()
            }
        } catch let code as ExitCode {
            exit(code.rawValue)
        } catch is CancellationError {
            exit(1)
        } catch where command.exitCode(for: error).isSuccess {
            // `baton` without a subcommand asks for its help.
            print(command.fullMessage(for: error))
            exit(0)
        } catch let error as ValidationError {
            end(with: error.message, code: 2)
        } catch {
            end(with: "\(error)", code: 1)
        }
        exit(0)
    }

    private static func end(with message: String, code: Int32) -> Never {
        let program = CommandLine.arguments.first.map { ($0 as NSString).lastPathComponent } ?? "baton"
        FileHandle.standardError.write(Data("\(program): \(message)\n".utf8))
        exit(code)
    }
}

/// Where logs go and how many.
public struct LogOptions: ParsableArguments {
    @Option(help: "Least severe level that is logged: trace, debug, info, notice, warning, error, critical.")
    public var logLevel: Logger.Level = .info

    public init() {}

    /// Logs go to standard error, so that standard output carries answers only.
    public func makeLogger(label: String) -> Logger {
        var logger = Logger(label: label) { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = logLevel
        return logger
    }
}

extension Logger.Level: ExpressibleByArgument {}
