import Kernels

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
