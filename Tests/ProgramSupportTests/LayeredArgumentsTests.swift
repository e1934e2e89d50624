import ArgumentParser
import Testing

@testable import ProgramSupport

private struct Serve: ParsableCommand {
    @Option var maxNumSeqs = 8
    @Option var model: String
    @Option(name: .shortAndLong) var stop: [String] = []
    @Flag(inversion: .prefixedNo) var pin = true
    @Flag var insecureNetwork = false
    @Option var config: String?
    @Argument var prompt: String?
}

private struct Root: ParsableCommand {
    static let configuration = CommandConfiguration(subcommands: [Serve.self])
}

@Suite struct LayeredArgumentsTests {
    private func serve(
        _ arguments: [String], environment: [String: String] = [:], file: String = ""
    ) throws -> Serve {
        let completed = try LayeredArguments.complete(
            ["serve"] + arguments, for: Root.self, environment: environment, read: { _ in file })
        return try #require(try Root.parseAsRoot(completed) as? Serve)
    }

    @Test func theCommandLineWinsOverTheEnvironmentAndThatOverTheFile() throws {
        let file = "max-num-seqs: 3\nmodel: from-file\npin: false\n"
        let environment = ["BATON_MODEL": "from-environment", "BATON_MAX_NUM_SEQS": "5"]
        let command = try serve(["--max-num-seqs", "7", "--config", "x.yaml"], environment: environment, file: file)
        #expect(command.maxNumSeqs == 7)
        #expect(command.model == "from-environment")
        #expect(command.pin == false)
    }

    @Test func theFileMayBeNamedByTheEnvironment() throws {
        let command = try serve([], environment: ["BATON_CONFIG": "x.yaml"], file: "model: m\nstop: [a, b]\n")
        #expect(command.model == "m")
        #expect(command.stop == ["a", "b"])
    }

    @Test func positionalArgumentsAndTheTerminatorStayInPlace() throws {
        let command = try serve(["--model", "m", "--", "--prompt"], environment: ["BATON_INSECURE_NETWORK": "1"])
        #expect(command.prompt == "--prompt")
        #expect(command.insecureNetwork)
    }

    @Test(arguments: [
        ("modle: m", "x.yaml: unknown key \"modle\""),
        ("model: [a, b]", "x.yaml: key \"model\": takes one value, not a list"),
        ("pin: perhaps", "x.yaml: key \"pin\": expected true or false, not \"perhaps\""),
        ("- model", "x.yaml: expected a mapping of option names to values"),
        ("model: {a: b}", "x.yaml: key \"model\": expected a value or a list"),
    ])
    func aBadFileIsRefusedWithItsPlace(file: String, message: String) {
        #expect {
            try serve(["--config=x.yaml"], file: file)
        } throws: { "\($0)" == message }
    }

    @Test(arguments: [("2GiB", 2 << 30), ("512MiB", 512 << 20), ("1.5kb", 1500), ("4096", 4096)])
    func sizesReadAsPeopleWriteThem(text: String, bytes: Int) {
        #expect(ByteSize(argument: text)?.bytes == bytes)
    }

    @Test(arguments: ["", "GiB", "-1", "1XB", "1e99TB", "99999999999999TiB"])
    func otherSizesAreRefused(text: String) {
        #expect(ByteSize(argument: text) == nil)
    }
}
