import Kernels

/// A model's weights as the forward pass takes them: views of one piece of packed memory.
struct ModelWeights: Sendable {
    struct Layer: Sendable {
        let inputNorm: [Float]       // [hidden]
        let qkv: PackedMatrix        // [query width + 2 KV width, hidden]
        let qkvBias: [Float]?        // [query width + 2 KV width]
        let queryNorm: [Float]?      // [head dim]
        let keyNorm: [Float]?        // [head dim]
        let output: PackedMatrix     // [hidden, query width]
        let outputBias: [Float]?     // [hidden]
        let attentionNorm: [Float]   // [hidden], after attention
        let gateUp: PackedMatrix     // [2 intermediate, hidden]
        let down: PackedMatrix       // [hidden, intermediate]

        var matrices: [PackedMatrix] { [qkv, output, gateUp, down] }
    }

    let embedding: PackedMatrix      // [vocabulary, hidden]
    let head: PackedMatrix           // [vocabulary, hidden]; the embedding itself if tied
    let finalNorm: [Float]           // [hidden]
    let layers: [Layer]

    /// - Parameter openBLAS: the float32 paths of items, by index.
    init(_ c: ModelConfiguration, layout: WeightLayout, memory: Memory, openBLAS: [Int: OpenBLASPath]) {
        var views = Views(layout: layout, memory: memory, openBLAS: openBLAS)
        embedding = views.matrix()
        head = c.tiedEmbeddings ? embedding : views.matrix()
        finalNorm = views.vector()
        layers = (0..<c.layerCount).map { _ in
            Layer(
                inputNorm: views.vector(), qkv: views.matrix(), qkvBias: c.qkvBias ? views.vector() : nil,
                queryNorm: c.headNorm ? views.vector() : nil, keyNorm: c.headNorm ? views.vector() : nil,
                output: views.matrix(), outputBias: c.outputBias ? views.vector() : nil, attentionNorm: views.vector(),
                gateUp: views.matrix(), down: views.matrix())
        }
    }

    /// The items of a layout, one after the other.
    private struct Views {
        let layout: WeightLayout
        let memory: Memory
        let openBLAS: [Int: OpenBLASPath]
        var next = 0

        mutating func matrix() -> PackedMatrix {
            defer { next += 1 }
            guard let shape = layout.shape(of: layout.items[next]) else {
                preconditionFailure("item \(next) is no matrix: \(layout.items[next])")
            }
            return PackedMatrix(shape, in: memory, at: layout.offsets[next], openBLAS: openBLAS[next])
        }

        mutating func vector() -> [Float] {
            defer { next += 1 }
            guard case .vector(_, let counts) = layout.items[next] else {
                preconditionFailure("item \(next) is no vector: \(layout.items[next])")
            }
            let values = (memory.base + layout.offsets[next]).assumingMemoryBound(to: Float.self)
            return Array(UnsafeBufferPointer(start: values, count: counts.reduce(0, +)))
        }
    }
}
