import ServingExperiments
import Testing

@Suite struct ReportCommandTests {
    private let targets = [
        ReportCommand.Target("bench-short", ["bench", "--short", "--model", "m.gguf"]),
        ReportCommand.Target("bench", ["bench", "--model", "m.gguf"]),
    ]

    private func text(_ arguments: String...) -> String {
        ReportCommand(program: "baton", arguments: arguments, targets: targets).text
    }

    @Test func whatATargetSaysIsMade() {
        #expect(text("bench", "--model", "m.gguf") == "make bench")
        #expect(text("bench", "--short", "--model", "m.gguf", "--runs", "3") == "make bench-short ARGS='--runs 3'")
        #expect(text("bench", "--model", "m.gguf", "--experiments", "1,2", "--arms", "orca,baton-lent")
            == "make bench ARGS='--experiments 1,2 --arms orca,baton-lent'")
    }

    @Test func whatNoTargetSaysIsTheCommandItself() {
        #expect(text("bench", "--runs", "3", "--model", "m.gguf") == "baton bench --runs 3 --model m.gguf")
        #expect(text("bench", "--model", "other.gguf") == "baton bench --model other.gguf")
    }

    @Test func whatAShellWouldReadOtherwiseIsQuoted() {
        #expect(text("bench", "--model", "m.gguf", "--results", "my results")
            == "baton bench --model m.gguf --results 'my results'")
        #expect(text("bench", "--model", "it's $HOME") == #"baton bench --model 'it'\''s $HOME'"#)
        #expect(text("bench", "--model", "") == "baton bench --model ''")
    }

    @Test func aReportWrittenAgainNamesWhatMadeItsFigures() {
        #expect(text("bench", "--model", "m.gguf", "--runs", "3", "--report-only") == "make bench ARGS='--runs 3'")
    }
}
