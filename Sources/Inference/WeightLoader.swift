import Kernels

/// Finds a model's tensors in a checkpoint, checks their shapes and packs them into one piece of memory.
struct WeightLoader {
    let checkpoint: CheckpointIndex
    let layout: WeightLayout
    let team: ThreadTeam
    let threads: Int

    /// Fills `memory` with all items.
    /// - Parameter progress: called with the share of the bytes packed, 0 ... 1.
    /// - Throws: ``ModelError`` for a tensor that is missing or has another shape.
    func pack(into memory: Memory, progress: (Double) -> Void) throws {
        for (index, item) in layout.items.enumerated() {
            if let shape = layout.shape(of: item) {
                try withSources(of: item) {
                    PackedMatrix.pack($0, as: shape, into: memory, at: layout.offsets[index], team: team, threads: threads)
                }
            } else if case .vector(let names, let counts) = item {
                let values = try vector(names, counts: counts)
                (memory.base + layout.offsets[index]).assumingMemoryBound(to: Float.self)
                    .update(from: values, count: values.count)
            }
            progress(Double(index + 1) / Double(layout.items.count))
        }
    }

    /// Identity of the checkpoint; reads all of it.
    func modelHash() throws -> String {
        ModelHash.compute(config: try checkpoint.configurationBytes(), checkpoint: checkpoint, team: team, threads: threads)
    }

    /// OpenBLAS for the matrices that it serves at every number of rows, by index of the item.
    func openBLASPaths() throws -> [Int: OpenBLASPath] {
        var paths: [Int: OpenBLASPath] = [:]
        for (index, item) in layout.items.enumerated() {
            guard let shape = layout.shape(of: item) else { continue }
            paths[index] = try withSources(of: item) { try OpenBLASPath($0, as: shape) }
        }
        return paths
    }

    /// The tensors of a matrix as sources of one type.
    private func withSources<Result>(of item: WeightItem, _ body: ([PackedMatrix.Source]) throws -> Result) throws -> Result {
        switch item {
        case .matrix(let names, let rows, let inputs): try withSources(names, rows: rows, inputs: inputs, body)
        case .pair(let names, let rows, let inputs):
            try withSources(names, rows: [Int](repeating: rows, count: names.count), inputs: inputs, body)
        case .vector: preconditionFailure("\(item) is no matrix")
        }
    }

    /// The tensors `names`, `[rows[i], inputs]`; their pages are given back afterwards.
    private func withSources<Result>(
        _ names: [String], rows: [Int], inputs: Int, _ body: ([PackedMatrix.Source]) throws -> Result
    ) throws -> Result {
        var sources: [PackedMatrix.Source] = []
        for (name, count) in zip(names, rows) {
            let (tensor, bytes) = try checkpoint.require(name, shape: [count, inputs])
            guard let base = bytes.baseAddress else { throw ModelError(checkpoint.path, name, .shape) }
            sources.append(PackedMatrix.Source(base: base, rows: count, type: tensor.type, order: tensor.rowOrder))
        }
        defer { for name in names { checkpoint.release(name) } }
        guard Set(sources.map(\.type)).count > 1 else { return try body(sources) }
        // Quantizers give the tensors of a layer types of their own; what they have in common is float32.
        let values = UnsafeMutablePointer<Float>.allocate(capacity: rows.reduce(0, +) * inputs)
        defer { values.deallocate() }
        var next = values
        return try body(sources.map { source in
            defer { next += source.rows * inputs }
            source.type.widen(source.base, into: next, count: source.rows * inputs)
            return PackedMatrix.Source(base: next, rows: source.rows, type: .float32, order: source.order)
        })
    }

    /// The vectors `names`, `[counts[i]]`, one after the other, as float32; rounded first if weights are bfloat16.
    private func vector(_ names: [String], counts: [Int]) throws -> [Float] {
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
        return layout.format == .bfloat16 ? values.map(Self.roundedToBfloat16) : values
    }

    private static func roundedToBfloat16(_ value: Float) -> Float {
        let bits = value.bitPattern
        if value.isNaN { return value }
        return Float(bitPattern: (bits &+ 0x7fff &+ (bits >> 16 & 1)) & 0xffff_0000)
    }
}
