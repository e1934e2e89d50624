/// What the engine does on this machine at one batch size and one workload, measured in the same run as the arms.
/// All in tokens per second.
public struct EngineRates: Sendable, Hashable, Codable {
    /// Both phases on a core each, at the same time, over the same weights in memory.
    public struct SideBySide: Sendable, Hashable, Codable {
        public var prefill: Double
        public var decode: Double

        public init(prefill: Double, decode: Double) {
            self.prefill = prefill
            self.decode = decode
        }
    }

    /// Prompts of the workload, alone on the machine, by threads (1, 2).
    public var prefillOnOne: Double
    public var prefillOnTwo: Double
    /// A batch of the cell's rows at the workload's mean context.
    public var decodeOnOne: Double
    public var decodeOnTwo: Double
    public var sideBySide: SideBySide
    /// Rows and a chunk of prompts in the same steps, on two threads, for some sizes of the chunk: the weights are read once for
    /// both, and the rows come the more often the smaller it is.
    public var together: [SideBySide]

    public init(
        prefillOnOne: Double, prefillOnTwo: Double, decodeOnOne: Double, decodeOnTwo: Double, sideBySide: SideBySide,
        together: [SideBySide]
    ) {
        self.prefillOnOne = prefillOnOne
        self.prefillOnTwo = prefillOnTwo
        self.decodeOnOne = decodeOnOne
        self.decodeOnTwo = decodeOnTwo
        self.sideBySide = sideBySide
        self.together = together
    }
}
