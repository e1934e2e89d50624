import ArgumentParser
import ProgramSupport

/// The command for people.
struct Baton: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "baton",
        abstract: "Serve large language models on ordinary machines: prefill and decode on workers of their own.",
        discussion: """
            Every option may also be set as an environment variable (--max-tokens as BATON_MAX_TOKENS) or as a key of \
            the YAML file named by --config.
            """,
        version: Version.current,
        subcommands: [
            Up.self, Generate.self, BatchCommand.self, Status.self, Ping.self, Tokenize.self, Template.self, SampleSchemas.self, ModelCommand.self,
            Bench.self, Demo.self,
        ])
}
