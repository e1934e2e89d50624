import ArgumentParser
import Foundation
import Gateway
import Jobs
import Logging

/// Whether and where batch jobs are kept.
struct JobOptions: ParsableArguments {
    enum Switch: String, CaseIterable, ExpressibleByArgument {
        case on
        case off
    }

    @Option(help: "Batch jobs over HTTP (/v1/files, /v1/batches): on or off.")
    var jobs = Switch.on

    @Option(help: "SQLite file of batch jobs (default: baton/jobs.sqlite in $XDG_STATE_HOME, or else in ~/.local/state).")
    var jobStore: String?

    @Option(help: "Requests of batch jobs under way at the same time (default: twice the rows of all batches).")
    var jobConcurrency: Int?

    func validate() throws {
        if let jobConcurrency, jobConcurrency < 1 { throw ValidationError("--job-concurrency must be at least 1") }
        if let jobStore, jobStore.isEmpty { throw ValidationError("--job-store must not be empty") }
    }

    /// How long a coordinator that is ending may still have the store.
    private static let patience = Duration.seconds(10)

    /// Opens the store. One that cannot be opened keeps nobody from serving: jobs are refused, and say why.
    func access(logger: Logger) async -> JobAccess {
        guard jobs == .on else { return .off }
        let path = jobStore ?? JobStore.usualPath(environment: ProcessInfo.processInfo.environment)
        var settings = JobRunner.Settings()
        settings.concurrency = jobConcurrency
        do {
            let store = try await JobStore.open(path: path, patience: Self.patience)
            logger.info("batch jobs in \(path)")
            return .open(store, settings)
        } catch {
            logger.warning("no batch jobs: \(error)")
            return .unavailable("\(error)")
        }
    }
}
