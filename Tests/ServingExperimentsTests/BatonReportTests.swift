import Foundation
import FoundationXML
import Testing

@testable import ServingExperiments

@Suite struct BatonReportTests {
    private static let context = ReportContext(
        machine: "two cores", model: "a model", build: "b", date: "2026-01-31", command: "make bench-baton")

    private static func render(_ results: [CellResult], planned: [Cell]? = nil, failures: [String: String] = [:]) -> BatonReport.Rendered {
        let keys = Set(results.map { RatesResult.Key($0.cell) })
        let set = ResultSet(
            planned: planned ?? results.map(\.cell), results: results,
            rates: keys.map { RatesResult(key: $0, build: "b", rates: Samples.rates) },
            longSession: nil, failures: failures)
        return BatonReport(results: set, context: context, plotDirectory: "plots").render()
    }

    private static func results(baton: [Double], mixed: [Double]) -> [CellResult] {
        baton.enumerated().map { Samples.result(Samples.cell(.baton, run: $0), speed: $1) }
            + mixed.enumerated().map { Samples.result(Samples.cell(.mixed, run: $0), speed: $1) }
    }

    @Test func comparisonsSayWhoWinsAndWhatIsOpen() {
        #expect(Self.render(Self.results(baton: [2, 2.01, 1.99], mixed: [1, 1, 1])).markdown.contains("`baton` wins"))
        #expect(Self.render(Self.results(baton: [1, 1, 1], mixed: [2, 2.01, 1.99])).markdown.contains("**`mixed` wins**"))
        let open = Self.render(Self.results(baton: [1, 2], mixed: [2, 1])).markdown
        #expect(!open.contains(" wins") && open.contains("| open |"))
    }

    @Test func runsAreSummedUpByMedianAndRange() {
        let text = Self.render(Self.results(baton: [1, 2, 4], mixed: [1, 1, 1])).markdown
        // Of 4 queries at 1, 2 and 4 a second, the tokens of the window over the window.
        #expect(text.contains("| tiny | 2 | auto / auto | `baton` | 3 |"))
        #expect(text.contains("6 of 6 cells measured"))
        #expect(text.contains("Each of the 24 answers has the tokens of the same query alone"))
    }

    @Test func answersThatDifferAreNoFootnote() {
        let text = Self.render([Samples.result(Samples.cell(), isExact: false)]).markdown
        #expect(text.contains("**1 cells have answers that differ"))
    }

    @Test func missingCellsAreCountedByReason() {
        let planned = [Samples.cell(.baton), Samples.cell(.static), Samples.cell(.mixed)]
        let text = Self.render(
            [Samples.result(planned[0])], planned: planned, failures: [planned[1].name: "this build cannot serve it"]).markdown
        #expect(text.contains("- 1 cells of `static`: this build cannot serve it."))
        #expect(text.contains("- 1 cells of `mixed`: not measured yet."))
    }

    @Test func nothingMeasuredIsAReportToo() {
        let rendered = Self.render([], planned: [Samples.cell()])
        #expect(rendered.markdown.contains("0 of 1 cells measured"))
        #expect(rendered.plots.isEmpty)
    }

    @Test func everyExperimentHasItsSectionAndPlotsThatTheTextShows() throws {
        let plan = Samples.plan(experiments: Experiment.allCases, runs: 1)
        let rendered = Self.render(plan.cells.map { Samples.result($0) }, planned: plan.cells)
        for experiment in Experiment.allCases where experiment != .longSession {
            #expect(rendered.markdown.contains("## \(experiment.rawValue). \(experiment.title)"))
        }
        #expect(rendered.plots.count >= 6)
        for plot in rendered.plots {
            #expect(rendered.markdown.contains("](plots/\(plot.name))"))
            #expect(XMLParser(data: Data(plot.svg.utf8)).parse(), "\(plot.name) is no XML")
        }
        for line in rendered.markdown.split(separator: "\n") where line.hasPrefix("|") { #expect(line.hasSuffix("|")) }
    }

    @Test func aLongSessionOfTheRealPoolLosesNothing() {
        var session = LongSession(workload: .uniform, rows: 8, seed: 42)
        var time = 0.0
        let outcome = session.run(queries: 500) {
            time += 100
            return time
        }
        #expect(outcome.fragmentationLosses == 0)
        #expect(outcome.firstInsertion == 100 && outcome.lastRemoval == 100)
        // Half a block of sixteen in some 400 tokens.
        #expect((0.005...0.05).contains(outcome.innerWaste))
    }
}
