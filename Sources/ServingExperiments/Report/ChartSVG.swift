/// Writes a chart as SVG that is legible on light and on dark pages.
struct ChartSVG {
    private let chart: Chart
    private let vertical: Axis
    private let horizontal: Axis
    private let rows: Int
    private var body: [String] = []

    private static let width = 760.0, plotHeight = 300.0
    private static let left = 72.0, right = 20.0, top = 44.0, below = 52.0
    private static let legendRow = 20.0, legendColumns = 4

    /// - Returns: a whole SVG document.
    static func render(_ chart: Chart) -> String {
        var writer = ChartSVG(chart)
        writer.drawFrame()
        switch chart.content {
        case .bars(let categories, let series): writer.draw(categories, series)
        case .lines(let lines): writer.draw(lines)
        }
        writer.drawLegend()
        return writer.document
    }

    private init(_ chart: Chart) {
        self.chart = chart
        vertical = Axis(upTo: chart.greatestY)
        horizontal = Axis(upTo: chart.greatestX)
        rows = (chart.names.count + Self.legendColumns - 1) / Self.legendColumns
    }

    private var plotWidth: Double { Self.width - Self.left - Self.right }
    private var bottom: Double { Self.top + Self.plotHeight }
    private var height: Double { bottom + Self.below + Double(rows) * Self.legendRow }

    private func x(_ value: Double) -> Double { Self.left + value / horizontal.end * plotWidth }
    private func y(_ value: Double) -> Double { bottom - value / vertical.end * Self.plotHeight }

    // MARK: Parts

    private mutating func drawFrame() {
        text(chart.title, Self.left, 24, classes: "title")
        for tick in vertical.ticks {
            line(Self.left, y(tick), Self.width - Self.right, y(tick), classes: tick == 0 ? "axis" : "grid")
            text(vertical.label(tick), Self.left - 8, y(tick) + 4, anchor: "end")
        }
        let middle = Self.top + Self.plotHeight / 2
        body.append(
            "<text x=\"18\" y=\"\(middle.plain(1))\" text-anchor=\"middle\" transform=\"rotate(-90 18 \(middle.plain(1)))\">\(Self.escape(chart.vertical))</text>")
        text(chart.horizontal, Self.left + plotWidth / 2, bottom + 40, anchor: "middle")
    }

    private mutating func draw(_ categories: [String], _ series: [Chart.Bars]) {
        guard !categories.isEmpty, !series.isEmpty else { return }
        let slot = plotWidth / Double(categories.count), bar = min(slot * 0.8 / Double(series.count), 48)
        for (place, category) in categories.enumerated() {
            let center = Self.left + (Double(place) + 0.5) * slot
            text(category, center, bottom + 18, anchor: "middle")
            for (number, bars) in series.enumerated() {
                guard let spread = bars.values[place] else { continue }
                let left = center + (Double(number) - Double(series.count) / 2) * bar
                body.append(
                    "<rect class=\"c\(bars.color)\" x=\"\((left + 1).plain(1))\" y=\"\(y(spread.median).plain(1))\" width=\"\((bar - 2).plain(1))\" height=\"\((bottom - y(spread.median)).plain(1))\"><title>\(Self.escape("\(bars.name), \(category): \(spread.median.plain(2))"))</title></rect>")
                // The range of the runs.
                if spread.count > 1 {
                    line(left + bar / 2, y(spread.least), left + bar / 2, y(spread.greatest), classes: "range")
                }
            }
        }
    }

    private mutating func draw(_ lines: [Chart.Line]) {
        for tick in horizontal.ticks {
            line(x(tick), bottom, x(tick), bottom + 4, classes: "axis")
            text(horizontal.label(tick), x(tick), bottom + 18, anchor: "middle")
        }
        for series in lines where !series.points.isEmpty {
            var path = "", former: Double?
            for point in series.points {
                if series.isStepped, let former { path += " L\(x(point.x).plain(1)) \(former.plain(1))" }
                path += "\(path.isEmpty ? "M" : " L")\(x(point.x).plain(1)) \(y(point.y).plain(1))"
                former = y(point.y)
            }
            body.append("<path class=\"s\(series.color)\" d=\"\(path)\"/>")
        }
    }

    private mutating func drawLegend() {
        let column = plotWidth / Double(Self.legendColumns)
        for (index, entry) in chart.names.enumerated() {
            let x = Self.left + Double(index % Self.legendColumns) * column
            let y = bottom + Self.below + Double(index / Self.legendColumns) * Self.legendRow + 8
            body.append(
                "<rect class=\"c\(entry.color)\" x=\"\(x.plain(1))\" y=\"\((y - 10).plain(1))\" width=\"12\" height=\"12\"/>")
            text(entry.name, x + 18, y)
        }
    }

    // MARK: Elements

    private mutating func text(_ text: String, _ x: Double, _ y: Double, anchor: String = "start", classes: String? = nil) {
        let style = classes.map { " class=\"\($0)\"" } ?? ""
        body.append(
            "<text\(style) x=\"\(x.plain(1))\" y=\"\(y.plain(1))\" text-anchor=\"\(anchor)\">\(Self.escape(text))</text>")
    }

    private mutating func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, classes: String) {
        body.append(
            "<line class=\"\(classes)\" x1=\"\(x1.plain(1))\" y1=\"\(y1.plain(1))\" x2=\"\(x2.plain(1))\" y2=\"\(y2.plain(1))\"/>")
    }

    private static func escape(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;").replacing("\"", with: "&quot;")
    }

    // MARK: The document

    private var document: String {
        let size = "width=\"\(Self.width.plain(0))\" height=\"\(height.plain(0))\" viewBox=\"0 0 \(Self.width.plain(0)) \(height.plain(0))\""
        return """
            <svg xmlns="http://www.w3.org/2000/svg" \(size) role="img" aria-label="\(Self.escape(chart.title))">
            <style>\(Self.style)</style>
            \(body.joined(separator: "\n"))
            </svg>

            """
    }

    /// Hues that stay apart for most kinds of colour blindness, light enough for a dark page and dark enough for a light one.
    private static let light = ["#8c8c8c", "#b5651d", "#d9a520", "#7a5aa8", "#1f77b4", "#0a9396", "#c2452d"]
    private static let dark = ["#a8a8a8", "#d98a45", "#f0c75e", "#a98bd6", "#5aa9e6", "#4cc9c0", "#ef7b63"]

    private static var style: String {
        func colors(_ palette: [String]) -> String {
            palette.enumerated().map { ".c\($0){fill:\($1)}.s\($0){stroke:\($1)}" }.joined()
        }
        return "text{font:12px system-ui,sans-serif;fill:#333}.title{font-size:15px;font-weight:600}"
            + ".grid{stroke:#ddd}.axis{stroke:#666}.range{stroke:#222;stroke-width:1.5}path{fill:none;stroke-width:2}"
            + colors(light)
            + "@media (prefers-color-scheme:dark){text{fill:#ddd}.grid{stroke:#444}.axis{stroke:#999}.range{stroke:#eee}"
            + colors(dark) + "}"
    }
}
