import Kernels

/// A piece of a model's packed weights: tensors of the checkpoint, one below the other.
enum WeightItem: Sendable, Hashable {
    /// `[rows[i], inputs]` each.
    case matrix(_ names: [String], rows: [Int], inputs: Int)
    /// `[rows, inputs]` each, as a matrix of pairs (`PackedMatrix.Shape.Arrangement.paired`).
    case pair(_ names: [String], rows: Int, inputs: Int)
    /// `[counts[i]]` each; kept as float32.
    case vector(_ names: [String], counts: [Int])

    /// All of a model, in the order in which ``ModelWeights`` takes them.
    static func all(of c: ModelConfiguration) -> [WeightItem] {
        let table = { (name: String) in WeightItem.matrix([name], rows: [c.vocabularySize], inputs: c.hiddenSize) }
        var items = [table("model.embed_tokens.weight")]
        if !c.tiedEmbeddings { items.append(table("lm_head.weight")) }
        items.append(.vector(["model.norm.weight"], counts: [c.hiddenSize]))
        for layer in 0..<c.layerCount { items += Self.layer(layer, of: c) }
        return items
    }

    private static func layer(_ index: Int, of c: ModelConfiguration) -> [WeightItem] {
        let prefix = "model.layers.\(index).", attention = prefix + "self_attn.", mlp = prefix + "mlp."
        let widths = [c.queryWidth, c.kvWidth, c.kvWidth]
        let projections = ["q_proj", "k_proj", "v_proj"].map { attention + $0 }
        var items: [WeightItem] = [
            .vector([prefix + "input_layernorm.weight"], counts: [c.hiddenSize]),
            .matrix(projections.map { $0 + ".weight" }, rows: widths, inputs: c.hiddenSize),
        ]
        if c.qkvBias { items.append(.vector(projections.map { $0 + ".bias" }, counts: widths)) }
        if c.headNorm {
            items += ["q_norm", "k_norm"].map { .vector([attention + $0 + ".weight"], counts: [c.headDim]) }
        }
        items.append(.matrix([attention + "o_proj.weight"], rows: [c.hiddenSize], inputs: c.queryWidth))
        if c.outputBias { items.append(.vector([attention + "o_proj.bias"], counts: [c.hiddenSize])) }
        return items + [
            .vector([prefix + "post_attention_layernorm.weight"], counts: [c.hiddenSize]),
            .pair([mlp + "gate_proj.weight", mlp + "up_proj.weight"], rows: c.intermediateSize, inputs: c.hiddenSize),
            .matrix([mlp + "down_proj.weight"], rows: [c.hiddenSize], inputs: c.intermediateSize),
        ]
    }
}

/// Where each item lies in one piece of memory: a function of the model's shape and the format alone, so that a file of it
/// needs no addresses.
struct WeightLayout: Sendable {
    let items: [WeightItem]
    let format: NumberFormat
    let group: ScaleGroup
    /// Of each item.
    let offsets: [Int]
    let byteCount: Int

    /// Changes whenever packed bytes mean something else.
    static let version = 1
    /// Matrices begin on pages, for the sake of whoever reads them a page at a time.
    private static let alignment = 4096

    init(_ configuration: ModelConfiguration, format: NumberFormat, group: ScaleGroup) {
        items = WeightItem.all(of: configuration)
        self.format = format
        self.group = group
        var offsets: [Int] = [], end = 0
        for item in items {
            offsets.append(end)
            end += (Self.byteCount(of: item, format, group) + Self.alignment - 1) / Self.alignment * Self.alignment
        }
        self.offsets = offsets
        byteCount = end
    }

    func shape(of item: WeightItem) -> PackedMatrix.Shape? { Self.shape(of: item, format, group) }

    private static func shape(of item: WeightItem, _ format: NumberFormat, _ group: ScaleGroup) -> PackedMatrix.Shape? {
        switch item {
        case .matrix(_, let rows, let inputs):
            PackedMatrix.Shape(outputs: rows.reduce(0, +), inputs: inputs, format: format, group: group)
        case .pair(_, let rows, let inputs): PackedMatrix.Shape(pairsOf: rows, inputs: inputs, format: format, group: group)
        case .vector: nil
        }
    }

    private static func byteCount(of item: WeightItem, _ format: NumberFormat, _ group: ScaleGroup) -> Int {
        switch item {
        case .matrix, .pair: shape(of: item, format, group)?.byteCount ?? 0
        case .vector(_, let counts): counts.reduce(0, +) * 4
        }
    }

    /// What a file of this layout has to say of itself.
    var description: String { "\(Self.version) \(format.rawValue) \(group.rawValue) \(offsets) \(items)" }
}
