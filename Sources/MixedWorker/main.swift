import ArgumentParser
import ClusterCore
import ProgramSupport
import WorkerProgram

struct MixedWorkerCommand: WorkerProgram {
    static let role = WorkerRole.mixed

    static let configuration = CommandConfiguration(
        commandName: "mixed-worker", abstract: "Computes prompts and decodes them, in the same steps.",
        discussion: """
            Every option may also be set as an environment variable (--max-num-seqs as BATON_MAX_NUM_SEQS) or as a key \
            of the YAML file named by --config.
            """,
        version: Version.current)

    @OptionGroup var options: WorkerOptions
}

await Program.main(MixedWorkerCommand.self)
