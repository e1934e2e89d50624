import ArgumentParser
import BatonClient
import ClusterCore
import ProgramSupport

struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Show workers, batch rows, blocks and queues.")

    @Option(help: "The coordinator to ask.")
    var rpc = "tcp://127.0.0.1:5550"

    @Option(help: "Seconds to wait for an answer.")
    var timeout: Double = 5

    @Flag(help: "Print one JSON object.")
    var json = false

    @Option(help: "YAML file with the same names as these options.")
    var config: String?

    func run() async throws {
        let client = try await BatonClient.connect(
            to: rpc, name: "baton status", timeout: .milliseconds(Int64(timeout * 1000)))
        let status: ClusterStatus
        do {
            status = try await client.status()
        } catch {
            await client.close()
            throw error
        }
        await client.close()
        if json { try printJSON(StatusReport(status)) } else { print(StatusReport(status).table) }
    }
}

/// What `baton status` prints.
struct StatusReport: Encodable {
    struct Worker: Encodable {
        var name: String
        var role: String
        var state: String
        var endpoint: String
        /// Rows of the batch in use (decode, mixed) or prompts in prefill.
        var rows: Int
        var maxRows: Int
        var waiting: Int
        var blocksUsed: Int
        var blocks: Int
        // What its engine has computed since the worker registered.
        var steps: UInt64
        /// Steps with both chunks of prompts and rows of the batch.
        var sharedSteps: UInt64
        /// Token rows of prompts.
        var prefillTokens: UInt64
        /// Token rows of the batch.
        var decodeTokens: UInt64
        var parking: Parking
        var coreLeases: CoreLeases

        /// Queries that gave way and wait with their KV in the worker's parking store.
        struct Parking: Encodable {
            var queries: Int
            var memoryBytes: Int
            var fileBytes: Int
            // Since the worker registered.
            var parks: UInt64
            var resumes: UInt64
            var migrations: UInt64

            enum CodingKeys: String, CodingKey {
                case queries, parks, resumes, migrations
                case memoryBytes = "memory_bytes"
                case fileBytes = "file_bytes"
            }

            init(_ load: ParkingLoad) {
                queries = load.queries
                memoryBytes = load.memoryBytes
                fileBytes = load.fileBytes
                parks = load.parks
                resumes = load.resumes
                migrations = load.migrations
            }
        }

        enum CodingKeys: String, CodingKey {
            case name, role, state, endpoint, rows, waiting, blocks, steps, parking
            case coreLeases = "core_leases"
            case maxRows = "max_rows"
            case blocksUsed = "blocks_used"
            case sharedSteps = "shared_steps"
            case prefillTokens = "prefill_tokens"
            case decodeTokens = "decode_tokens"
        }
    }

    /// What it had of other workers' cores since it started.
    struct CoreLeases: Encodable {
        var borrowed: UInt64
        /// Summed over cores.
        var borrowedSeconds: Double
        /// Times that it had work and no core.
        var waits: UInt64
        var waitSeconds: Double
        /// Waits given up, because whoever had the core stood still.
        var overdueWaits: UInt64

        enum CodingKeys: String, CodingKey {
            case borrowed, waits
            case borrowedSeconds = "borrowed_seconds"
            case waitSeconds = "wait_seconds"
            case overdueWaits = "overdue_waits"
        }

        init(_ counters: CoreLeaseCounters) {
            borrowed = counters.borrowed
            borrowedSeconds = Double(counters.borrowedNanoseconds) / 1e9
            waits = counters.waits
            waitSeconds = Double(counters.waitNanoseconds) / 1e9
            overdueWaits = counters.overdueWaits
        }
    }

    var model: String
    var waiting: Int
    var running: Int
    var draining: Bool
    var workers: [Worker]

    init(_ status: ClusterStatus) {
        model = status.modelName
        waiting = status.waiting
        running = status.running
        draining = status.draining
        workers = status.workers.map { worker in
            Worker(
                name: worker.worker.name, role: worker.role.rawValue, state: worker.state.rawValue,
                endpoint: worker.endpoint, rows: worker.load.rows, maxRows: worker.maxSequences,
                waiting: worker.load.waiting, blocksUsed: worker.load.referencedBlocks, blocks: worker.blockCount,
                steps: worker.load.work.steps, sharedSteps: worker.load.work.sharedSteps,
                prefillTokens: worker.load.work.prefillTokens, decodeTokens: worker.load.work.decodeTokens,
                parking: Worker.Parking(worker.load.parking),
                coreLeases: CoreLeases(worker.load.coreLeases))
        }
    }

    var table: String {
        let heading = "model \(model): \(waiting) requests waiting, \(running) running" + (draining ? ", draining" : "")
        let columns = ["worker", "role", "state", "rows", "waiting", "parked", "blocks", "steps", "endpoint"]
        let rows = [columns] + workers.map { worker in
            [
                worker.name, worker.role, worker.state, "\(worker.rows)/\(worker.maxRows)", "\(worker.waiting)",
                "\(worker.parking.queries)",
                "\(worker.blocksUsed)/\(worker.blocks)", "\(worker.steps)", worker.endpoint,
            ]
        }
        let widths = columns.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        let lines = rows.map { row in
            zip(row, widths).map { $0.padded(to: $1) }.joined(separator: "  ")
        }
        return ([heading] + (workers.isEmpty ? ["no worker has registered"] : lines)).joined(separator: "\n")
    }
}
