import Kernels

/// Finds a model's tensors in a checkpoint, checks their shapes and packs them.
struct WeightLoader {
    let checkpoint: CheckpointIndex
    let configuration: ModelConfiguration
    let format: NumberFormat
    let group: ScaleGroup
    let team: ThreadTeam
    let threads: Int
    let float32Path: Float32Path

    /// The weight matrices `names`, `[rows[i], inputs]`, stacked.
    func matrix(_ names: [String], rows: [Int], inputs: Int) throws -> PackedMatrix {
        var sources: [PackedMatrix.Source] = []
        for (name, count) in zip(names, rows) {
            let (tensor, bytes) = try checkpoint.require(name, shape: [count, inputs])
            guard let base = bytes.baseAddress else { throw ModelError(checkpoint.path, name, .shape) }
            sources.append(PackedMatrix.Source(base: base, rows: count, type: tensor.type, order: tensor.rowOrder))
        }
        guard Set(sources.map(\.type)).count > 1 else { return try packed(sources, inputs: inputs) }
        // Quantizers give the tensors of a layer types of their own; what they have in common is float32.
        let values = UnsafeMutablePointer<Float>.allocate(capacity: rows.reduce(0, +) * inputs)
        defer { values.deallocate() }
        var next = values
        let widened = sources.map { source in
            defer { next += source.rows * inputs }
            source.type.widen(source.base, into: next, count: source.rows * inputs)
            return PackedMatrix.Source(base: next, rows: source.rows, type: .float32, order: source.order)
        }
        return try packed(widened, inputs: inputs)
    }

    private func packed(_ sources: [PackedMatrix.Source], inputs: Int) throws -> PackedMatrix {
        try PackedMatrix(sources, inputs: inputs, format: format, group: group, team: team, threads: threads,
                         float32Path: float32Path)
    }

    /// The vectors `names`, `[counts[i]]`, one after the other, as float32; rounded first if weights are bfloat16.
    func vector(_ names: [String], counts: [Int]) throws -> [Float] {
        var values: [Float] = []
        for (name, count) in zip(names, counts) {
            let (tensor, bytes) = try checkpoint.require(name, shape: [count])
            guard let base = bytes.baseAddress else { throw ModelError(checkpoint.path, name, .shape) }
            let stored = [Float](unsafeUninitializedCapacity: count) { buffer, initialized in
                if let out = buffer.baseAddress { tensor.type.widen(base, into: out, count: count) }
                initialized = count
            }
            values += (0..<count).map { stored[tensor.rowOrder.storedRow($0)] }
        }
        return format == .bfloat16 ? values.map(Self.roundedToBfloat16) : values
    }

    private static func roundedToBfloat16(_ value: Float) -> Float {
        let bits = value.bitPattern
        if value.isNaN { return value }
        return Float(bitPattern: (bits &+ 0x7fff &+ (bits >> 16 & 1)) & 0xffff_0000)
    }

    func layer(_ index: Int) throws -> Model.Layer {
        let c = configuration, prefix = "model.layers.\(index)."
        let attention = prefix + "self_attn.", mlp = prefix + "mlp."
        let widths = [c.queryWidth, c.kvWidth, c.kvWidth]
        let projections = ["q_proj", "k_proj", "v_proj"].map { attention + $0 }
        return Model.Layer(
            inputNorm: try vector([prefix + "input_layernorm.weight"], counts: [c.hiddenSize]),
            qkv: try matrix(projections.map { $0 + ".weight" }, rows: widths, inputs: c.hiddenSize),
            qkvBias: c.qkvBias ? try vector(projections.map { $0 + ".bias" }, counts: widths) : nil,
            queryNorm: c.headNorm ? try vector([attention + "q_norm.weight"], counts: [c.headDim]) : nil,
            keyNorm: c.headNorm ? try vector([attention + "k_norm.weight"], counts: [c.headDim]) : nil,
            output: try matrix([attention + "o_proj.weight"], rows: [c.hiddenSize], inputs: c.queryWidth),
            outputBias: c.outputBias ? try vector([attention + "o_proj.bias"], counts: [c.hiddenSize]) : nil,
            attentionNorm: try vector([prefix + "post_attention_layernorm.weight"], counts: [c.hiddenSize]),
            gateUp: try matrix([mlp + "gate_proj.weight", mlp + "up_proj.weight"],
                               rows: [c.intermediateSize, c.intermediateSize], inputs: c.hiddenSize),
            down: try matrix([mlp + "down_proj.weight"], rows: [c.hiddenSize], inputs: c.intermediateSize))
    }
}
