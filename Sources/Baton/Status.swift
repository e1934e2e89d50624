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
        /// Rows that the batch may have for now (decode, mixed); less than `maxRows` when blocks, memory or time are short.
        var rowLimit: Int?
        var memoryShort: Bool
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
        /// Token rows in a step on average, idle ones among them; nothing before the first.
        var tokensPerStep: Double?
        /// KV that came from other workers.
        var transferBytes: UInt64
        /// How its steps are filled; nothing for prefill workers.
        var scheduling: String?
        /// Token rows computed for nothing, by cause.
        var idle: Idle
        var batch: Batch
        var parking: Parking
        var coreLeases: CoreLeases
        var prefixCache: PrefixCache

        /// Queries that gave way and wait with their KV in the worker's parking store.
        struct Parking: Encodable {
            var queries: Int
            var memoryBytes: Int
            var fileBytes: Int
            // Since the worker registered.
            var parks: UInt64
            var resumes: UInt64
            var migrations: UInt64
            var parkTime: Double
            var resumeTime: Double

            enum CodingKeys: String, CodingKey {
                case queries, parks, resumes, migrations
                case memoryBytes = "memory_bytes"
                case fileBytes = "file_bytes"
                case parkTime = "park_seconds"
                case resumeTime = "resume_seconds"
            }

            init(_ load: ParkingLoad) {
                queries = load.queries
                memoryBytes = load.memoryBytes
                fileBytes = load.fileBytes
                parks = load.parks
                resumes = load.resumes
                migrations = load.migrations
                parkTime = load.parkTime / .seconds(1)
                resumeTime = load.resumeTime / .seconds(1)
            }
        }

        /// Such as `3/16`, or `3/4 of 16` while the batch is limited.
        var rowsInUse: String {
            let limit = rowLimit ?? maxRows
            let share = limit < maxRows ? "\(rows)/\(limit) of \(maxRows)" : "\(rows)/\(maxRows)"
            return share + (memoryShort ? ", memory short" : "")
        }

        enum CodingKeys: String, CodingKey {
            case name, role, state, endpoint, rows, waiting, blocks, steps, parking, scheduling, idle, batch
            case coreLeases = "core_leases"
            case prefixCache = "prefix_cache"
            case maxRows = "max_rows"
            case rowLimit = "row_limit"
            case memoryShort = "memory_short"
            case blocksUsed = "blocks_used"
            case sharedSteps = "shared_steps"
            case prefillTokens = "prefill_tokens"
            case decodeTokens = "decode_tokens"
            case tokensPerStep = "tokens_per_step"
            case transferBytes = "kv_transfer_bytes"
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

    /// As ``PrefixCacheCounters`` says.
    struct PrefixCache: Encodable {
        var queriedTokens: UInt64
        var hitTokens: UInt64
        var transferBlocks: UInt64
        var heldBlocks: UInt64
        var cachedBlocks: Int
        var pinnedBlocks: Int
        var evictions: UInt64
        var prematureEvictions: UInt64
        /// Tokens found, of those looked for; nothing before the first.
        var hitRate: Double?
        /// The same by level, which add up to it.
        var hitTokensByLevel: [UInt64]
        var hitRateByLevel: [Double]?
        /// Blocks that were there, of those to be received; nothing before the first.
        var transferHitRate: Double?

        enum CodingKeys: String, CodingKey {
            case evictions
            case queriedTokens = "queried_tokens"
            case hitTokens = "hit_tokens"
            case transferBlocks = "transfer_blocks"
            case heldBlocks = "held_blocks"
            case cachedBlocks = "cached_blocks"
            case pinnedBlocks = "pinned_blocks"
            case prematureEvictions = "premature_evictions"
            case hitRate = "hit_rate"
            case hitTokensByLevel = "hit_tokens_by_level"
            case hitRateByLevel = "hit_rate_by_level"
            case transferHitRate = "transfer_hit_rate"
        }

        init(_ counters: PrefixCacheCounters) {
            (queriedTokens, hitTokens) = (counters.queriedTokens, counters.hitTokens)
            (transferBlocks, heldBlocks) = (counters.transferBlocks, counters.heldBlocks)
            (cachedBlocks, pinnedBlocks) = (counters.cachedBlocks, counters.pinnedBlocks)
            (evictions, prematureEvictions) = (counters.evictions, counters.prematureEvictions)
            hitTokensByLevel = counters.hitLevels
            let queried = counters.queriedTokens
            hitRate = queried == 0 ? nil : Double(counters.hitTokens) / Double(queried)
            hitRateByLevel = queried == 0 ? nil : counters.hitLevels.map { Double($0) / Double(queried) }
            transferHitRate = transferBlocks == 0 ? nil : Double(heldBlocks) / Double(transferBlocks)
        }
    }

    struct Idle: Encodable {
        var padding: UInt64
        var finishedRows: UInt64
        var waitingRows: UInt64
        /// Of all token rows; nothing before the first.
        var ratio: Double?

        enum CodingKeys: String, CodingKey {
            case padding, ratio
            case finishedRows = "finished_rows"
            case waitingRows = "waiting_rows"
        }

        init(_ work: WorkCounters) {
            (padding, finishedRows) = (work.idle.padding, work.idle.finishedRows)
            (waitingRows, ratio) = (work.idle.waitingRows, work.idleRatio)
        }

        var text: String { ratio.map { "\(Int(($0 * 100).rounded())) %" } ?? "-" }
    }

    /// As ``BatchCounters`` says; times are in seconds.
    struct Batch: Encodable {
        var embeds: UInt64
        var removals: UInt64
        var waits: UInt64
        var yields: UInt64
        var stall: Double
        var lent: Double
        var firstTokens: UInt64
        var firstTokenDelay: Double
        var longestFirstTokenDelay: Double
        var shapings: UInt64
        var shapingTime: Double
        var blocksCopied: UInt64
        var bytesCopied: UInt64
        var removalEnds: UInt64
        var removalTime: Double

        enum CodingKeys: String, CodingKey {
            case embeds, removals, waits, yields, shapings
            case stall = "stall_seconds"
            case lent = "lent_seconds"
            case firstTokens = "first_tokens"
            case firstTokenDelay = "first_token_delay_seconds"
            case longestFirstTokenDelay = "longest_first_token_delay_seconds"
            case shapingTime = "shaping_seconds"
            case blocksCopied = "blocks_copied"
            case bytesCopied = "bytes_copied"
            case removalEnds = "removal_ends"
            case removalTime = "removal_seconds"
        }

        init(_ counters: BatchCounters) {
            (embeds, removals, waits, yields) = (counters.embeds, counters.removals, counters.waits, counters.yields)
            (firstTokens, shapings) = (counters.firstTokens, counters.shapings)
            (blocksCopied, bytesCopied) = (counters.blocksCopied, counters.bytesCopied)
            stall = counters.stall / .seconds(1)
            lent = counters.lent / .seconds(1)
            firstTokenDelay = counters.firstTokenDelay / .seconds(1)
            longestFirstTokenDelay = counters.longestFirstTokenDelay / .seconds(1)
            shapingTime = counters.shapingTime / .seconds(1)
            removalEnds = counters.removalEnds
            removalTime = counters.removalTime / .seconds(1)
        }
    }

    var model: String
    var waiting: Int
    var running: Int
    var draining: Bool
    var groups: Groups
    var workers: [Worker]

    /// Groups of requests that share a prefix and have ended.
    struct Groups: Encodable {
        struct Size: Encodable {
            /// Members at most; nothing for those that are larger than all others.
            var upTo: Int?
            var groups: UInt64

            enum CodingKeys: String, CodingKey {
                case groups
                case upTo = "up_to"
            }
        }

        var ended: UInt64
        var members: UInt64
        var sizes: [Size]

        init(_ counters: GroupCounters) {
            (ended, members) = (counters.ended, counters.members)
            sizes = counters.sizes.enumerated().map { index, count in
                Size(upTo: index < GroupCounters.bounds.count ? GroupCounters.bounds[index] : nil, groups: count)
            }
        }
    }

    init(_ status: ClusterStatus) {
        model = status.modelName
        waiting = status.waiting
        running = status.running
        draining = status.draining
        groups = Groups(status.groups)
        workers = status.workers.map { worker in
            Worker(
                name: worker.worker.name, role: worker.role.rawValue, state: worker.state.rawValue,
                endpoint: worker.endpoint, rows: worker.load.rows, maxRows: worker.maxSequences,
                rowLimit: worker.load.rowLimit, memoryShort: worker.load.isMemoryShort,
                waiting: worker.load.waiting, blocksUsed: worker.load.referencedBlocks, blocks: worker.blockCount,
                steps: worker.load.work.steps, sharedSteps: worker.load.work.sharedSteps,
                prefillTokens: worker.load.work.prefillTokens, decodeTokens: worker.load.work.decodeTokens,
                tokensPerStep: worker.load.work.tokensPerStep, transferBytes: worker.load.transfers.bytes,
                scheduling: worker.load.scheduling?.rawValue, idle: Idle(worker.load.work),
                batch: Batch(worker.load.work.batch), parking: Worker.Parking(worker.load.parking),
                coreLeases: CoreLeases(worker.load.coreLeases), prefixCache: PrefixCache(worker.load.prefixCache))
        }
    }

    var table: String {
        let heading = "model \(model): \(waiting) requests waiting, \(running) running" + (draining ? ", draining" : "")
        let columns = [
            "worker", "role", "scheduling", "state", "rows", "waiting", "parked", "blocks", "steps", "idle", "endpoint",
        ]
        let rows = [columns] + workers.map { worker in
            [
                worker.name, worker.role, worker.scheduling ?? "-", worker.state, worker.rowsInUse,
                "\(worker.waiting)", "\(worker.parking.queries)", "\(worker.blocksUsed)/\(worker.blocks)", "\(worker.steps)",
                worker.idle.text, worker.endpoint,
            ]
        }
        let widths = columns.indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        let lines = rows.map { row in
            zip(row, widths).map { $0.padded(to: $1) }.joined(separator: "  ")
        }
        return ([heading] + (workers.isEmpty ? ["no worker has registered"] : lines)).joined(separator: "\n")
    }
}
