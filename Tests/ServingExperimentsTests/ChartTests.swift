import Testing

@testable import ServingExperiments

@Suite struct ChartTests {
    @Test(arguments: [(greatest: 1.0, step: 0.2, end: 1.0), (437, 100, 500), (0.03, 0.01, 0.03), (12, 2.5, 12.5)])
    func axesHaveRoundSteps(greatest: Double, step: Double, end: Double) {
        let axis = Axis(upTo: greatest)
        #expect(abs(axis.step - step) < 1e-9 && abs(axis.end - end) < 1e-9)
        #expect(axis.ticks.first == 0 && abs((axis.ticks.last ?? 0) - end) < 1e-9)
    }

    @Test func labelsHaveNoMoreDigitsThanTheSteps() {
        #expect(Axis(upTo: 1).label(0.2) == "0.2")
        #expect(Axis(upTo: 437).label(100) == "100")
        #expect(Axis(upTo: 12).label(2.5) == "2.5")
        #expect(Axis(upTo: 0).ticks.count > 1)
    }

    @Test func namesOfOthersAreEscaped() {
        let chart = Chart(
            title: "a < b & \"c\"", horizontal: "x", vertical: "y",
            content: .lines([Chart.Line(name: "<l>", color: 0, points: [.init(x: 0, y: 0), .init(x: 1, y: 2)])]))
        let svg = ChartSVG.render(chart)
        #expect(svg.contains("a &lt; b &amp; &quot;c&quot;") && svg.contains("&lt;l&gt;") && !svg.contains("<l>"))
    }

    /// A bar is as high as its value says: the axis ends at 4, 300 units above 0.
    @Test func barsAreToScale() {
        let chart = Chart(
            title: "t", horizontal: "x", vertical: "y",
            content: .bars(categories: ["1"], series: [Chart.Bars(name: "a", color: 0, values: [Spread([1])]), Chart.Bars(name: "b", color: 1, values: [Spread([4])])]))
        let svg = ChartSVG.render(chart)
        #expect(svg.contains("height=\"75.0\"") && svg.contains("height=\"300.0\""))
    }
}
