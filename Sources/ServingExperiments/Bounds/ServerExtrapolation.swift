/// What the same arithmetic says of a larger server: computed, never measured.
///
/// Prefill grows with the cores. A decode step gets shorter with them as well, but takes no less time than the memory needs
/// to give weights and KV; servers get cores faster than they get wider memory.
public struct ServerExtrapolation: Sendable, Hashable {
    public var cores: Int
    /// Memory bandwidth, as a multiple of what two cores of the machine measured read.
    public var memory: Double

    public init(cores: Int, memory: Double) {
        precondition(cores >= 2 && memory > 0, "\(cores) cores, \(memory) × memory")
        self.cores = cores
        self.memory = memory
    }

    /// Separated workers over inline prefill, in queries per minute, with the best split of the cores.
    func gain(for demand: ArmBound.Demand, rates: EngineRates) -> Double {
        func prefill(_ cores: Int) -> Double { demand.prompt / (rates.prefillOnOne * Double(cores)) }
        func decode(_ cores: Int) -> Double {
            demand.decoded * max(1 / (rates.decodeOnTwo * memory), 1 / (rates.decodeOnOne * Double(cores)))
        }
        let inline = prefill(cores) + decode(cores)
        let apart = (1..<cores).map { max(prefill(cores - $0), decode($0)) }.min() ?? inline
        return inline / apart
    }
}
