import ArgumentParser
import ClusterCore
import Foundation
import Inference
import ProgramSupport
import Transport
import WorkerRuntime

/// The options of every worker.
public struct WorkerOptions: ParsableArguments {
    @Option(help: "Where the coordinator expects workers, e.g. tcp://10.0.0.5:5551.")
    public var coordinator = "tcp://127.0.0.1:5551"

    @Option(help: "Where the KV socket binds; port * lets the system choose.")
    public var listen = "tcp://127.0.0.1:*"

    @Option(help: "Where other workers reach the KV socket (default: as bound, or this host's name).")
    public var advertise: String?

    @Option(help: "Name in the cluster, one worker's alone and the same across restarts (default: role, host name and process id).")
    public var workerId: String?

    @Option(help: "Directory of a Hugging Face model, or a GGUF file.")
    public var model: String

    @Option(help: "Compute threads; more than the cores that this process may run on are not started.")
    public var threads = 1

    @Option(help: "Cores to pin the threads to, in order, e.g. 0,1 (default: not pinned). No other worker should be given the same.")
    public var cores = NumberList([])

    @Option(help: "Directory on this host in which workers lend each other idle cores, the same for all of them, or off. Without --cores, each takes as many cores as threads that the fewest others have.")
    public var coreLeases = "off"

    @Option(help: "Threads with borrowed cores, at most (default: as the process has cores).")
    public var maxThreads: Int?

    @Option(help: "Longest time from one iteration of a batch with free rows to the next, while prompts are computed on its lent cores, as a multiple of what an iteration takes; 1: it never waits. --target-tpot bounds it too.")
    public var lendingStretch = 12.0

    @Option(help: "What queries of the lowest priority (batch jobs) may add to the time between the tokens of others in the same batch, as a share of it: 0.1, or any number above 0; inf: they step as often as all (decode, mixed).")
    public var backgroundShare = 0.1

    @Option(help: "Number format of the weights: auto (as the checkpoint is stored), float32, bfloat16 or int8.")
    public var dtype = WeightFormat.auto

    @Option(help: "Number format of KV: auto (as the weights), float32, bfloat16 or int8.")
    public var kvDtype = KVFormat.auto

    @Option(help: "Whether rows that share KV blocks attend to them together: auto (where it is faster), on or off. Answers are the same.")
    public var sharedAttention = SharedAttention.auto

    @Option(help: "Where packed weights are kept for the next start and for other processes: auto (beside the model, else among the user's caches; small models nowhere), off, or a directory.")
    public var weightCache = WeightCache.automatic

    @Option(help: "Memory for KV blocks, e.g. 512MiB or 2GiB.")
    public var kvCacheMemory = ByteSize(bytes: 512 << 20)

    @Option(help: "Memory for the KV of queries that give way to more urgent ones (decode, mixed); 0MiB: they are computed again.")
    public var parkingMemory = ByteSize(bytes: 512 << 20)

    @Option(help: "Directory for such KV once that memory is full (default: none). Its files have no names and vanish with the process.")
    public var parkingDir: String?

    @Option(help: "Most that may lie in --parking-dir.")
    public var parkingDisk = ByteSize(bytes: 4 << 30)

    @OptionGroup(title: "Batch scaling (decode, mixed)") public var scaling: ScalingOptions

    @Option(help: "Tokens in a KV block: 16, 32, 64, 128 or 256.")
    public var blockSize = 16

    @Option(help: "Rows of the batch (decode, mixed) or prompts in flight (prefill).")
    public var maxNumSeqs = 16

    @Option(help: "Tokens in one step: chunks of prompts (prefill), or rows first and chunks in what they leave (mixed).")
    public var maxNumBatchedTokens = 512

    @Option(help: "Tokens of prompt and answer together (default: as the model allows).")
    public var maxModelLen: Int?

    @Option(help: ArgumentHelp(
        "How steps are filled: mixed, orca, orca-padded or static on a mixed worker, baton or baton-dense on a decode worker (default: mixed, baton).",
        valueName: "arm"))
    public var scheduling: Scheduling?

    @Option(help: "Whether KV stays after its last use, for prompts that begin with the same tokens: on or off. The answers are the same.")
    public var prefixCache = PrefixCaching.on

    @OptionGroup public var network: NetworkOptions
    @OptionGroup public var logging: LogOptions
    @OptionGroup public var parent: ParentOptions
    @OptionGroup public var check: CheckOptions

    public init() {}

    public func validate() throws {
        guard (1...1024).contains(threads) else { throw ValidationError("--threads must be 1 to 1024, not \(threads)") }
        guard cores.numbers.isEmpty || cores.numbers.count >= threads else {
            throw ValidationError("--cores names \(cores.numbers.count) cores for \(threads) threads")
        }
        guard !coreLeases.isEmpty else { throw ValidationError("--core-leases must be off or a directory") }
        guard (1...1000).contains(lendingStretch) else {
            throw ValidationError("--lending-stretch must be 1 to 1000, not \(lendingStretch)")
        }
        guard backgroundShare > 0 else { throw ValidationError("--background-share must be above 0, not \(backgroundShare)") }
        if let maxThreads, !(threads...1024).contains(maxThreads) {
            throw ValidationError("--max-threads must be --threads to 1024, not \(maxThreads)")
        }
        guard [16, 32, 64, 128, 256].contains(blockSize) else {
            throw ValidationError("--block-size must be 16, 32, 64, 128 or 256, not \(blockSize)")
        }
        guard (1...65536).contains(maxNumSeqs) else { throw ValidationError("--max-num-seqs must be 1 to 65536") }
        guard maxNumBatchedTokens >= 1 else { throw ValidationError("--max-num-batched-tokens must be at least 1") }
        if let parkingDir, !FileManager.default.isWritableFile(atPath: parkingDir) {
            throw ValidationError("--parking-dir \(parkingDir) is not a directory that this process may write to")
        }
        if let maxModelLen, maxModelLen < 2 { throw ValidationError("--max-model-len must be at least 2") }
    }

    /// With the process id: two workers of one name would push each other out of the cluster.
    private static func defaultName(_ role: WorkerRole) -> String {
        let process = ProcessInfo.processInfo
        return "\(role.rawValue)-\(process.hostName)-\(process.processIdentifier)"
    }

    /// - Throws: `ValidationError`, `TransportError` or `ModelError` naming what is wrong.
    func configuration(role: WorkerRole) throws -> WorkerConfiguration {
        if role == .mixed, maxNumBatchedTokens < maxNumSeqs {
            throw ValidationError(
                "--max-num-batched-tokens \(maxNumBatchedTokens) must be at least --max-num-seqs \(maxNumSeqs)")
        }
        if let scheduling, scheduling.role != role {
            throw ValidationError("--scheduling \(scheduling.rawValue) needs a \(scheduling.role.rawValue) worker, not a \(role.rawValue) worker")
        }
        // A wrong model path is found here, before anything is loaded.
        _ = try ModelConfiguration(path: model)
        var configuration = WorkerConfiguration(
            worker: WorkerID(workerId ?? Self.defaultName(role)), role: role,
            coordinator: try Endpoint(coordinator), listen: try Endpoint(listen),
            advertise: try advertise.map { try Endpoint($0) }, security: try network.security(binding: [listen]),
            model: model, weightFormat: dtype, kvFormat: kvDtype, sharedAttention: sharedAttention, threads: threads, cores: cores.numbers,
            coreLeases: coreLeases == "off" ? nil : coreLeases, maxThreads: maxThreads,
            weightCache: weightCache, kvCacheBytes: kvCacheMemory.bytes,
            parking: ParkingLot.Limits(memory: parkingMemory.bytes, file: parkingDir == nil ? 0 : parkingDisk.bytes),
            parkingDirectory: parkingDir, scaling: scaling.configuration(for: scheduling), blockSize: blockSize, maxSequences: maxNumSeqs,
            maxBatchedTokens: maxNumBatchedTokens, maxModelLength: maxModelLen, scheduling: scheduling, cachesPrefixes: prefixCache == .on)
        if coreLeases != "off" { configuration.lendingStretch = lendingStretch }
        configuration.backgroundShare = backgroundShare
        return configuration
    }
}
