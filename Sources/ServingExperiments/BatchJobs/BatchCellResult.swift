/// What a cell measured. Times in seconds.
public struct BatchMeasures: Sendable, Hashable, Codable {
    /// First submission to last token.
    public var seconds: Double
    public var promptTokens: Int
    public var outputTokens: Int
    /// Prompt tokens computed, those computed again among them, by the workers' own count.
    public var prefilledTokens: Int
    /// Token rows of an engine's step, on average.
    public var stepTokens: Double
    public var planningSeconds: Double
    public var plannedGroups: Int
    /// Prompt tokens that the plan saves.
    public var plannedSaving: Int
    /// When each answer ended, in order.
    public var completions: [Double]
    public var exactCount: Int
    public var queryCount: Int
    public var retriedCount: Int

    public var isExact: Bool { exactCount == queryCount }
    public var outputRate: Double { Double(outputTokens) / seconds }
    public var queriesPerMinute: Double { Double(queryCount) / seconds * 60 }
    /// Prompts and answers: what the job asks for, computed or not.
    public var totalRate: Double { Double(promptTokens + outputTokens) / seconds }
    /// Share of the prompt tokens that were not computed; below 0 if more was computed than there is.
    public var saving: Double { 1 - Double(prefilledTokens) / Double(promptTokens) }
}

/// What is kept of a cell.
public struct BatchCellResult: Sendable, Hashable, Codable {
    public var cell: BatchCell
    /// The programs and the model that it was measured with.
    public var build: String
    /// Seconds since 1970 when it ended.
    public var time: Double
    public var measures: BatchMeasures
    public var cluster: ClusterMeasures
}

extension ResultStore {
    /// What an earlier run measured for exactly this cell with exactly this build.
    public func result(of cell: BatchCell, build: String) -> BatchCellResult? {
        guard let result: BatchCellResult = read(cell.name), result.cell == cell, result.build == build else { return nil }
        return result
    }

    public func store(_ result: BatchCellResult) throws { try write(result, result.cell.name) }
}
