import JSONReader
import Kernels

/// Rotary position embedding of a model: base, and how its frequencies are stretched for longer contexts.
public struct RopeConfiguration: Sendable, Hashable {
    public enum Scaling: Sendable, Hashable {
        case none
        case linear(factor: Double)
        /// Llama 3.1: long wavelengths are stretched by `factor`, short ones kept, those between interpolated.
        case llama3(factor: Double, lowFrequencyFactor: Double, highFrequencyFactor: Double, originalPositions: Int)
        /// Frequency `i` is divided by `factors[i]`; `[headDim / 2]`. What GGUF keeps of `llama3`.
        case factors([Float])
    }

    public var theta: Double
    public var scaling: Scaling

    public init(theta: Double, scaling: Scaling) {
        self.theta = theta
        self.scaling = scaling
    }

    /// Inverse frequencies, `[headDim / 2]`: computed in double by our own functions, rounded to float32.
    public func inverseFrequencies(headDim: Int) -> [Float] {
        let exponent = Elementary.log2(theta)
        return (0..<headDim / 2).map { i in
            Float(scaled(Elementary.exp2(-exponent * Double(2 * i) / Double(headDim)), index: i))
        }
    }

    /// What the unscaled frequencies are divided by, `[headDim / 2]`, rounded to float32.
    func factors(headDim: Int) -> [Float] {
        let exponent = Elementary.log2(theta)
        return (0..<headDim / 2).map { i in
            let frequency = Elementary.exp2(-exponent * Double(2 * i) / Double(headDim))
            return Float(frequency / scaled(frequency, index: i))
        }
    }

    private func scaled(_ frequency: Double, index: Int) -> Double {
        switch scaling {
        case .none: return frequency
        case .linear(let factor): return frequency / factor
        case .factors(let factors): return frequency / Double(factors[index])
        case .llama3(let factor, let low, let high, let original):
            let wavelength = 2 * Double.pi / frequency, positions = Double(original)
            if wavelength < positions / high { return frequency }
            if wavelength > positions / low { return frequency / factor }
            let smooth = (positions / wavelength - low) / (high - low)
            return (1 - smooth) * (frequency / factor) + smooth * frequency
        }
    }

    /// From `rope_parameters` (current layout) or `rope_theta` and `rope_scaling` (older layout).
    ///
    /// - Parameter factors: in place of a scaling, which there must not be then.
    init(_ config: ConfigurationReader, factors: [Float]? = nil) throws(ModelError) {
        let current = try config.object("rope_parameters")
        let scalingReader: ConfigurationReader?
        if let current { scalingReader = current } else { scalingReader = try config.object("rope_scaling") }
        let thetaRange = 1.0...1e12
        if let inner = try current?.number("rope_theta", in: thetaRange) {
            theta = inner
        } else {
            theta = try config.number("rope_theta", in: thetaRange) ?? 10_000
        }
        for reader in [config, scalingReader].compactMap({ $0 }) {
            if let share = try reader.number("partial_rotary_factor", in: 0...1), share != 1 {
                throw reader.refuse("partial_rotary_factor", .unsupported)
            }
        }
        let declared = try scalingReader.map(Self.scaling) ?? .none
        if let factors {
            guard declared == .none else { throw config.refuse("rope_scaling", .inconsistent) }
            scaling = .factors(factors)
        } else {
            scaling = declared
        }
    }

    private static func scaling(_ reader: ConfigurationReader) throws(ModelError) -> Scaling {
        let key = reader["rope_type"] == nil ? "type" : "rope_type"
        guard let type = try reader.text(key) else {
            if let name = reader.members.lazy.compactMap(\.key.text).first(where: { $0 != "rope_theta" }) {
                throw reader.refuse(name, .unsupported)
            }
            return .none
        }
        let factors = 1.0...1e6
        switch type {
        case "default": return .none
        case "linear": return .linear(factor: try reader.requiredNumber("factor", in: factors))
        case "llama3":
            let low = try reader.requiredNumber("low_freq_factor", in: 1e-3...1e6)
            let high = try reader.requiredNumber("high_freq_factor", in: 1e-3...1e6)
            guard low < high else { throw reader.refuse("high_freq_factor", .inconsistent) }
            return .llama3(
                factor: try reader.requiredNumber("factor", in: factors), lowFrequencyFactor: low, highFrequencyFactor: high,
                originalPositions: try reader.requiredInteger("original_max_position_embeddings", in: 1...(1 << 24)))
        default:
            // dynamic and longrope change with the length of the sequence: an answer would depend on more than its past.
            throw reader.refuse(key, .unsupported)
        }
    }
}
