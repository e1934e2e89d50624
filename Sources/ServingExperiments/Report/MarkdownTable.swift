/// A table as GitHub renders it.
struct MarkdownTable {
    var columns: [String]
    var rows: [[String]] = []

    /// - Parameter cells: as many as there are columns.
    mutating func append(_ cells: [String]) {
        precondition(cells.count == columns.count, "\(cells) in columns \(columns)")
        rows.append(cells)
    }

    var text: String {
        ([columns, columns.map { _ in "---" }] + rows).map { "| " + $0.joined(separator: " | ") + " |" }.joined(separator: "\n")
    }
}

extension Spread {
    /// Median, and the range of the runs in brackets.
    func text(_ digits: Int) -> String {
        count > 1 ? "\(median.plain(digits)) [\(least.plain(digits)), \(greatest.plain(digits))]" : median.plain(digits)
    }
}

extension Spread? {
    func text(_ digits: Int) -> String { self?.text(digits) ?? "–" }
}
