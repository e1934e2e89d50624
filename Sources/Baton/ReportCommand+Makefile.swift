import Foundation
import ServingExperiments

extension ReportCommand {
    /// As the Makefile's targets `name` and `name-short` begin, for `bench-baton` and `bench-batchllm`.
    init(ofThisProcessAs name: String) {
        let bench = name.split(separator: "-", maxSplits: 1).map(String.init)
        let model = ["--model", ".bench-models/smollm-135m.gguf"], results = ".bench-results/\(bench.last ?? name)-short"
        self.init(
            program: "baton", arguments: Array(CommandLine.arguments.dropFirst()),
            targets: [
                Target(name + "-short", bench + ["--short"] + model + ["--results", results, "--report", results + ".md"]),
                Target(name, bench + model),
            ])
    }
}
