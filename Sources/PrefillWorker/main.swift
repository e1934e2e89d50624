import ArgumentParser
import ClusterCore
import ProgramSupport
import WorkerProgram

struct PrefillWorkerCommand: WorkerProgram {
    static let role = WorkerRole.prefill

    static let configuration = CommandConfiguration(
        commandName: "prefill-worker", abstract: "Computes prompts and streams their KV to decode workers.",
        discussion: """
            Every option may also be set as an environment variable (--max-num-seqs as BATON_MAX_NUM_SEQS) or as a key \
            of the YAML file named by --config.
            """,
        version: Version.current)

    @OptionGroup var options: WorkerOptions
}

await Program.main(PrefillWorkerCommand.self)
