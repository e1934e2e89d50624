/// A plot of the report, without its looks.
struct Chart: Sendable, Hashable {
    var title: String
    var horizontal: String
    /// With its unit.
    var vertical: String
    var content: Content

    enum Content: Sendable, Hashable {
        case bars(categories: [String], series: [Bars])
        case lines([Line])
    }

    /// One bar in each category.
    struct Bars: Sendable, Hashable {
        var name: String
        /// Place in the palette: equal for the same arm in every plot.
        var color: Int
        /// Absent where nothing was measured.
        var values: [Spread?]
    }

    struct Line: Sendable, Hashable {
        var name: String
        var color: Int
        var points: [Point]
        /// Drawn as steps: a count that jumps.
        var isStepped = false
    }

    struct Point: Sendable, Hashable {
        var x: Double
        var y: Double
    }

    var names: [(name: String, color: Int)] {
        switch content {
        case .bars(_, let series): series.map { ($0.name, $0.color) }
        case .lines(let lines): lines.map { ($0.name, $0.color) }
        }
    }

    var greatestX: Double {
        guard case .lines(let lines) = content else { return 0 }
        return lines.flatMap(\.points).map(\.x).max() ?? 0
    }

    var greatestY: Double {
        switch content {
        case .bars(_, let series): series.flatMap(\.values).compactMap { $0?.greatest }.max() ?? 0
        case .lines(let lines): lines.flatMap(\.points).map(\.y).max() ?? 0
        }
    }

    var isEmpty: Bool { greatestY == 0 }
}
