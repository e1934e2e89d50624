import ArgumentParser
import Foundation
import Jobs
import LocalCluster
import ProgramSupport

struct BatchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "batch",
        abstract: "Answer every request of a file, in OpenAI's batch format.",
        discussion: """
            With --model it brings up a cluster of its own; with --base-url it gives the job to a server that runs. Answers are \
            written as they come. Interrupted, it goes on where it stopped when it is started again with the same files; OUT.baton \
            holds what that takes, and goes when the job is done.
            Exit codes: 0 every line has an answer, 1 some have none or the job was interrupted, 2 usage.
            """)

    @Argument(help: "File of requests, one a line: {\"custom_id\", \"method\", \"url\", \"body\"}.")
    var input: String

    @Option(name: [.long, .short], help: "File for the answers.")
    var output: String

    @Option(help: "File for the requests that have no answer (default: the output's name with .errors); made when there are any.")
    var errors: String?

    @Flag(help: "Write the answers in the order of the requests, when all are there, not as they come.")
    var inputOrder = false

    @Flag(help: "Print a summary as one JSON object.")
    var json = false

    @Option(name: [.customLong("base-url"), .customLong("url")], help: "Server that runs the job, such as http://127.0.0.1:8000.")
    var baseUrl: String?

    @Option(help: "Key to send, if the server wants one.")
    var apiKey: String?

    @Option(help: "How long the job may take: whole minutes, hours or days, such as 24h.")
    var completionWindow = "24h"

    @Option(help: "Directory of a Hugging Face model, or a GGUF file, for a cluster of its own.")
    var model: String?

    @Option(help: "Name of the model in the requests (default: the directory's or file's name).")
    var servedModelName: String?

    @OptionGroup var cluster: ClusterShape

    @Option(help: "YAML file with the same names as these options.")
    var config: String?

    func validate() throws {
        guard (model == nil) != (baseUrl == nil) else {
            throw ValidationError("say either --model, for a cluster of its own, or --base-url, for a server that runs")
        }
        guard CompletionWindow(completionWindow) != nil else {
            throw ValidationError("--completion-window must be at most 30 days in m, h or d, such as 24h, not \(completionWindow)")
        }
    }

    func run() async throws {
        let scan = try InputScan(path: input)
        let files = BatchFiles(output: output, errors: errors)
        let progress = BatchProgress()
        if try files.isDone(scan) {
            progress.say("nothing is left to do: \(output) has all \(scan.lineCount) lines")
            let summary = BatchSummary(done: scan.lineCount, files: files)
            if json { try printJSON(summary) }
            if summary.answered < summary.lines { throw ExitCode(1) }
            return
        }
        let lock = try files.lock()
        defer { lock.release() }
        let record = try files.record(of: scan)
        try record.save(files)

        let plan = try model.map { try clusterPlan(model: $0, files) }
        let job = BatchJob(
            server: BatchServer(url: plan?.http?.url ?? baseUrl ?? "", apiKey: apiKey), scan: scan, files: files, window: completionWindow,
            inputOrder: inputOrder, progress: progress)
        let work = Task { try await Self.run(job, record, on: plan) }
        let signals = [SIGINT, SIGTERM].map { number in SignalWatch(number) { work.cancel() } }
        defer { for signal in signals { signal.stop() } }
        let summary: BatchSummary
        do {
            summary = try await work.value
        } catch {
            progress.end()
            if let failure = error as? BatchFailure, failure.endsJob { files.removeRecord() }
            guard work.isCancelled else { throw error }
            progress.say("interrupted; the same command goes on where it stopped")
            throw ExitCode(1)
        }
        files.removeRecord()
        progress.end()
        progress.say(summary.line)
        if json { try printJSON(summary) }
        if summary.answered < summary.lines { throw ExitCode(1) }
    }

    /// A cluster whose coordinator keeps the job beside the output.
    private func clusterPlan(model: String, _ files: BatchFiles) throws -> ClusterPlan {
        var plan = try cluster.plan(model: model, rpc: try freeLoopbackEndpoint(), logs: files.directory.appendingPathComponent("logs"))
        plan.http = HTTPAddress(port: try freeLoopbackPort())
        plan.coordinatorArguments += ["--jobs", "on", "--job-store", files.directory.appendingPathComponent("jobs.sqlite").path]
        if let servedModelName { plan.coordinatorArguments += ["--served-model-name", servedModelName] }
        return plan
    }

    /// - Parameter plan: of a cluster that is there as long as the job runs; `nil`: the server is.
    private static func run(_ job: BatchJob, _ record: BatchRecord, on plan: ClusterPlan?) async throws -> BatchSummary {
        guard let plan else { return try await job.run(record) }
        job.progress.say("starting \(plan.processNames.count) processes; logs in \(plan.logs.path)")
        return try await LocalCluster(plan: plan).whileRunning(patience: .seconds(2)) { try await job.run(record) }.result
    }
}
