import ArgumentParser
import ClusterSimulation

struct BenchScaling: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scaling",
        abstract: "Compare the policies of batch scaling in virtual time.",
        discussion: """
            The decode worker's own decisions, with an engine and a parking store whose times are given: the figures are the \
            same on every machine. An iteration takes a fixed time and some more for each row; the pool has 256 blocks of 16 \
            tokens, prompts have 64 to 512 tokens.
            """)

    @Option(help: "Queries in each run.")
    var queries = 2_000

    @Option(help: "Of arrivals and lengths.")
    var seed: UInt64 = 1

    func validate() throws {
        guard (1...1_000_000).contains(queries) else { throw ValidationError("--queries must be 1 to 1000000") }
    }

    func run() { print(ScalingComparison.table(of: ScalingComparison.run(queryCount: queries, seed: seed))) }
}
