import ArgumentParser
import ClusterCore
import ProgramSupport
import WorkerProgram

struct DecodeWorkerCommand: WorkerProgram {
    static let role = WorkerRole.decode

    static let configuration = CommandConfiguration(
        commandName: "decode-worker", abstract: "Runs the batch: embeds queries whose KV arrives and generates their tokens.",
        discussion: """
            Every option may also be set as an environment variable (--max-num-seqs as BATON_MAX_NUM_SEQS) or as a key \
            of the YAML file named by --config.
            """,
        version: Version.current)

    @OptionGroup var options: WorkerOptions
}

await Program.main(DecodeWorkerCommand.self)
