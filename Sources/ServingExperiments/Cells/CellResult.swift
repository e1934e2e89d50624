/// What is kept of a cell.
public struct CellResult: Sendable, Hashable, Codable {
    public var cell: Cell
    /// The programs and the model that it was measured with.
    public var build: String
    /// Seconds since 1970 when it ended.
    public var time: Double
    public var measures: CellMeasures
    public var cluster: ClusterMeasures

    public init(cell: Cell, build: String, time: Double, measures: CellMeasures, cluster: ClusterMeasures) {
        self.cell = cell
        self.build = build
        self.time = time
        self.measures = measures
        self.cluster = cluster
    }
}

/// The engine's rates for the cells of one batch size, workload and format, measured beside them.
public struct RatesResult: Sendable, Hashable, Codable {
    public var key: Key
    public var build: String
    public var rates: EngineRates

    public struct Key: Sendable, Hashable, Codable {
        public var workload: Workload
        public var batch: Int
        public var weights: String
        public var kv: String
        public var run: Int

        public init(_ cell: Cell) {
            (workload, batch, weights, kv, run) = (cell.workload.withUrgentShare(0), cell.batch, cell.weights, cell.kv, cell.run)
        }

        public var name: String { "rates_\(workload.name)_b\(batch)_\(weights)_\(kv)_r\(run)" }
    }

    public init(key: Key, build: String, rates: EngineRates) {
        self.key = key
        self.build = build
        self.rates = rates
    }
}
