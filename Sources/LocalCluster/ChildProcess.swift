import Foundation
import Subprocess
import SystemPackage

/// A program of Baton as a child process.
///
/// The child is told this process's id and ends when this process does, however that comes about, so that no test,
/// demo or `baton up` leaves anything running.
public final class ChildProcess: Sendable {
    public let name: String
    /// Process id, for signals.
    public let processID: Int32
    private let exit: Task<TerminationStatus, any Error>

    /// Starts `executable` with its output appended to `log`.
    ///
    /// - Throws: a `SubprocessError` when the program cannot be started, an `Errno` when the log cannot be opened.
    public static func start(
        name: String, executable: URL, arguments: [String], environment: [String: String] = [:], log: URL
    ) async throws -> ChildProcess {
        let output = try FileDescriptor.open(
            FilePath(log.path), .writeOnly, options: [.create, .append, .closeOnExec], permissions: .ownerReadWrite)
        let (started, continuation) = AsyncStream.makeStream(of: Int32.self)
        var updates: [Environment.Key: String?] = [:]
        for (variable, value) in environment {
            guard let key = Environment.Key(rawValue: variable) else {
                throw ClusterStartError(process: name, problem: "\"\(variable)\" is no name of an environment variable")
            }
            updates[key] = value
        }
        var options = PlatformOptions()
        // Of its own group: Ctrl-C on the terminal reaches this process alone, which ends the others in order.
        options.processGroupID = 0
        let exit = Task { [options] in
            defer { continuation.finish() }
            return try await Subprocess.run(
                .path(FilePath(executable.path)), arguments: Arguments(arguments),
                environment: .inherit.updating(updates), platformOptions: options, input: .none,
                output: .fileDescriptor(output, closeAfterSpawningProcess: true),
                error: .combinedWithOutput
            ) { execution in
                continuation.yield(execution.processIdentifier.value)
            }.terminationStatus
        }
        for await processID in started {
            return ChildProcess(name: name, processID: processID, exit: exit)
        }
        _ = try await exit.value
        throw ClusterStartError(process: name, problem: "ended before it was started")
    }

    private init(name: String, processID: Int32, exit: Task<TerminationStatus, any Error>) {
        self.name = name
        self.processID = processID
        self.exit = exit
    }

    /// Sends a signal, e.g. `SIGTERM`; a process that has ended already is left alone.
    public func signal(_ number: Int32) {
        kill(processID, number)
    }

    /// Waits for the end: the exit code, or minus the number of the signal that ended it.
    @discardableResult
    public func waitForExit() async -> Int32 {
        switch await exit.result {
        case .success(.exited(let code)): Int32(code)
        case .success(.signaled(let signal)): -Int32(signal)
        case .failure: -1
        }
    }
}

/// A cluster that could not be brought up.
public struct ClusterStartError: Error, CustomStringConvertible {
    public let process: String
    public let problem: String

    public init(process: String, problem: String) {
        self.process = process
        self.problem = problem
    }

    public var description: String { "\(process): \(problem)" }
}
