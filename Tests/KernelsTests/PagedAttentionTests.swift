@testable import Kernels
import Testing

@Suite struct PagedAttentionTests {
    struct Case: CustomTestStringConvertible, Sendable {
        var headDim: Int, kvHeads: Int, group: Int, length: Int, window: Int32?, format: NumberFormat, isPaired = false
        var testDescription: String {
            "\(length) tokens, \(kvHeads)x\(group) heads of \(headDim), window \(window ?? 0), \(format)\(isPaired ? " pairs" : "")"
        }

        func layout(blockSize: Int) -> KVBlockLayout {
            KVBlockLayout(kvHeads: kvHeads, headDim: headDim, blockSize: blockSize, format: format, isPaired: isPaired)
        }
        var kernels: [KernelSet] { KernelSet.all.filter { $0.multipliesPairs || !isPaired } }
    }

    static let cases = [
        Case(headDim: 10, kvHeads: 1, group: 5, length: 40, window: nil, format: .float32),
        Case(headDim: 64, kvHeads: 2, group: 7, length: 300, window: nil, format: .bfloat16),
        Case(headDim: 2, kvHeads: 3, group: 1, length: 17, window: 4, format: .float32),
        Case(headDim: 130, kvHeads: 1, group: 3, length: 530, window: 261, format: .bfloat16),
        Case(headDim: 24, kvHeads: 1, group: 40, length: 260, window: 40, format: .float32),
        Case(headDim: 256, kvHeads: 1, group: 1, length: 257, window: nil, format: .float32),
        Case(headDim: 64, kvHeads: 2, group: 7, length: 300, window: nil, format: .int8),
        Case(headDim: 80, kvHeads: 1, group: 9, length: 300, window: 270, format: .int8),
        Case(headDim: 6, kvHeads: 3, group: 2, length: 50, window: nil, format: .int8),
        Case(headDim: 64, kvHeads: 2, group: 3, length: 301, window: nil, format: .bfloat16, isPaired: true),
        Case(headDim: 16, kvHeads: 1, group: 1, length: 40, window: 4, format: .bfloat16, isPaired: true),
        Case(headDim: 80, kvHeads: 1, group: 7, length: 300, window: 262, format: .bfloat16, isPaired: true),
        Case(headDim: 256, kvHeads: 1, group: 2, length: 258, window: nil, format: .bfloat16, isPaired: true),
        Case(headDim: 32, kvHeads: 3, group: 4, length: 12, window: 1, format: .bfloat16, isPaired: true),
        // Whole partitions: several blocks of queries, more than a call takes at once, edges of windows on those of partitions.
        Case(headDim: 64, kvHeads: 2, group: 3, length: 1100, window: nil, format: .bfloat16, isPaired: true),
        Case(headDim: 64, kvHeads: 1, group: 16, length: 1100, window: nil, format: .bfloat16, isPaired: true),
        Case(headDim: 64, kvHeads: 1, group: 1, length: 1800, window: nil, format: .bfloat16, isPaired: true),
        Case(headDim: 64, kvHeads: 1, group: 2, length: 1536, window: 1024, format: .bfloat16, isPaired: true),
        Case(headDim: 64, kvHeads: 1, group: 3, length: 1540, window: 1024, format: .bfloat16, isPaired: true),
        Case(headDim: 256, kvHeads: 1, group: 2, length: 800, window: nil, format: .bfloat16, isPaired: true),
        Case(headDim: 128, kvHeads: 1, group: 5, length: 1300, window: 800, format: .bfloat16, isPaired: true),
        Case(headDim: 192, kvHeads: 1, group: 1, length: 790, window: nil, format: .bfloat16, isPaired: true),
    ]

    /// Every instruction set, block size, placement and tile of rows gives the bits of the plain formula, with NaN in
    /// every slot that is not visible.
    @Test(arguments: cases)
    func bitsAreThoseOfTheFormula(test: Case) throws {
        var random = TestRandom(UInt64(test.headDim * 1000 + test.length))
        let width = test.kvHeads * test.headDim
        let keys = (0..<test.length).map { _ in random.floats(width).map { $0 * 3 } }
        let values = (0..<test.length).map { _ in random.floats(width) }
        // Rows like a prefill chunk's: consecutive, the last ones of the sequence; and a lone one.
        let rows = min(test.length, 11), heads = test.kvHeads * test.group
        let positions = (test.length - rows..<test.length).map(Int32.init)
        let q = random.floats(rows * heads * test.headDim)
        var expected: [String: [[UInt32]]] = [:]
        for blockSize in KVBlockLayout.blockSizes {
            let layout = test.layout(blockSize: blockSize)
            for kernels in test.kernels {
                let pool = try TestKVPool(layout: layout, keys: keys, values: values, seed: UInt64(blockSize), kernels: kernels)
                let family = kernels.attentionFamily(test.format, isPaired: test.isPaired)
                let wanted = try expected[family] ?? reference(q, positions, test, pool)
                expected[family] = wanted
                let out = try pool.attend(q, positions: positions, group: test.group, window: test.window)
                #expect(out.map(bits) == wanted, "\(kernels), blocks of \(blockSize)")
                let one = try pool.attend(Array(q.suffix(heads * test.headDim)), positions: positions.suffix(1),
                                          group: test.group, window: test.window)
                #expect(one.map(bits) == [wanted[rows - 1]], "\(kernels), blocks of \(blockSize), one row")
            }
        }
    }

    private func reference(_ q: [Float], _ positions: [Int32], _ test: Case, _ pool: TestKVPool) throws -> [[UInt32]] {
        let products = test.isPaired ? try PairProducts(pool.kernels) : nil
        let dim = test.headDim, width = test.kvHeads * test.group * dim
        return try positions.enumerated().map { row, position in
            try (0..<test.kvHeads * test.group).flatMap { head in
                let query = Array(q[row * width + head * dim..<row * width + (head + 1) * dim])
                return try bits(Reference.attention(
                    query, position: Int(position), window: test.window.map(Int.init), pairs: products,
                    key: { pool.stored(pool.keys[$0], head: head / test.group) },
                    value: { pool.stored(pool.values[$0], head: head / test.group) }))
            }
        }
    }

    /// Random shapes: every instruction set as the scalar one, whole or in any shares of partitions.
    @Test(arguments: 0..<60)
    func instructionSetsAndSharesAgree(seed: Int) throws {
        var random = TestRandom(UInt64(seed) &* 977)
        let headDim = [32, 64, 64, 80, 96, 128, 256, 34][random.int(0...7)], group = random.int(1...8), kvHeads = random.int(1...3)
        let rows = random.int(0...2) == 0 ? 1 : random.int(1...20), length = rows + random.int(0...1100)
        let window = random.int(0...2) == 0 ? Int32(random.int(1...600)) : nil
        let layout = KVBlockLayout(
            kvHeads: kvHeads, headDim: headDim, blockSize: KVBlockLayout.blockSizes[random.int(0...4)],
            format: NumberFormat.allCases[seed % 3])
        let keys = (0..<length).map { _ in random.floats(kvHeads * headDim) }
        let values = (0..<length).map { _ in random.floats(kvHeads * headDim) }
        let q = random.floats(rows * kvHeads * group * headDim), positions = (length - rows..<length).map(Int32.init)
        var expected: [[UInt32]]?
        for kernels in KernelSet.all {
            let pool = try TestKVPool(layout: layout, keys: keys, values: values, seed: UInt64(seed), kernels: kernels)
            let whole = try pool.attend(q, positions: positions, group: group, window: window).map(bits)
            #expect(whole == expected ?? whole, "\(kernels), \(layout)")
            expected = expected ?? whole
            if kernels.multipliesPairs, layout.format == .bfloat16, KVBlockLayout.canPair(headDim: headDim) {
                let pairs = KVBlockLayout(
                    kvHeads: kvHeads, headDim: headDim, blockSize: layout.blockSize, format: .bfloat16, isPaired: true)
                let pool = try TestKVPool(layout: pairs, keys: keys, values: values, seed: UInt64(seed), kernels: kernels)
                let paired = try pool.attend(q, positions: positions, group: group, window: window)
                let worst = zip(paired.joined(), whole.joined().map(Float.init(bitPattern:))).map { abs($0 - $1) }.max() ?? 0
                #expect(worst < 0.02, "\(layout), in pairs")
                if rows * group <= PagedAttention.queriesPerTile {
                    let shared = try pool.attend(q, positions: positions, group: group, window: window, shares: random.int(1...5))
                    #expect(shared.map(bits) == paired.map(bits), "\(layout), in pairs, in shares")
                }
                let place = random.int(0...rows - 1), width = kvHeads * group * headDim
                let alone = try pool.attend(Array(q[place * width..<(place + 1) * width]), positions: [positions[place]],
                                            group: group, window: window)
                #expect(alone.map(bits) == [bits(paired[place])], "\(layout), in pairs, row \(place) alone")
            }
            guard rows * group <= PagedAttention.queriesPerTile else { continue }
            let shared = try pool.attend(q, positions: positions, group: group, window: window, shares: random.int(1...5))
            #expect(shared.map(bits) == whole, "\(kernels), \(layout), in shares")
        }
    }

    /// An infinity or a NaN among the values of a prompt reaches the rows that see it, and no row before it.
    @Test(arguments: [(rows: 3, group: 2), (rows: 30, group: 2), (rows: 70, group: 1)], [Float.infinity, .nan])
    func whatIsNotFiniteStaysBehind(shape: (rows: Int, group: Int), bad: Float) throws {
        var random = TestRandom(77)
        let length = shape.rows + 240, place = length - shape.rows / 2 - 1, before = shape.rows - shape.rows / 2 - 1
        let keys = (0..<length).map { _ in random.floats(64) }, values = (0..<length).map { _ in random.floats(64) }
        let q = random.floats(shape.rows * shape.group * 64), positions = (length - shape.rows..<length).map(Int32.init)
        var spoilt = values
        spoilt[place][5] = bad
        for (format, isPaired) in [(NumberFormat.float32, false), (.bfloat16, false), (.bfloat16, true), (.int8, false)] {
            let layout = KVBlockLayout(kvHeads: 1, headDim: 64, blockSize: 16, format: format, isPaired: isPaired)
            for kernels in KernelSet.all where kernels.multipliesPairs || !isPaired {
                let out = try [values, spoilt].map {
                    try TestKVPool(layout: layout, keys: keys, values: $0, seed: 4, kernels: kernels)
                        .attend(q, positions: positions, group: shape.group, window: nil)
                }
                #expect(out[0].prefix(before).map(bits) == out[1].prefix(before).map(bits), "\(kernels) \(layout)")
                #expect(out[1].dropFirst(before).allSatisfy { !$0[5].isFinite }, "\(kernels) \(layout)")
            }
        }
    }

    /// Of a partition that all rows see, an infinity or a NaN among the values spoils its own dimension, and one in a query that row.
    @Test(arguments: [1, 3, 20, 64], [Float.infinity, .nan])
    func whatIsNotFiniteKeepsToItsOwn(rows: Int, bad: Float) throws {
        var random = TestRandom(78)
        let length = 768 + rows, dim = 64
        let keys = (0..<length).map { _ in random.floats(dim) }, values = (0..<length).map { _ in random.floats(dim) }
        let q = random.floats(rows * dim), positions = (length - rows..<length).map(Int32.init)
        var spoiltValues = values, spoiltQuery = q
        spoiltValues[300][5] = bad
        spoiltQuery[(rows - 1) * dim] = .nan
        for (format, isPaired) in [(NumberFormat.float32, false), (.bfloat16, false), (.bfloat16, true)] {
            let layout = KVBlockLayout(kvHeads: 1, headDim: dim, blockSize: 16, format: format, isPaired: isPaired)
            for kernels in KernelSet.all where kernels.multipliesPairs || !isPaired {
                func attend(_ q: [Float], _ values: [[Float]]) throws -> [[Float]] {
                    try TestKVPool(layout: layout, keys: keys, values: values, seed: 4, kernels: kernels)
                        .attend(q, positions: positions, group: 1, window: nil)
                }
                let good = try attend(q, values), ofValues = try attend(q, spoiltValues), ofQuery = try attend(spoiltQuery, values)
                for (row, spoilt) in zip(good, ofValues) {
                    #expect(!spoilt[5].isFinite, "\(kernels) \(layout)")
                    #expect(bits(Array(row[..<5] + row[6...])) == bits(Array(spoilt[..<5] + spoilt[6...])), "\(kernels) \(layout)")
                }
                #expect(ofQuery.dropLast().map(bits) == good.dropLast().map(bits), "\(kernels) \(layout)")
                let spoilt = ofQuery[rows - 1].filter(\.isNaN).count
                #expect(spoilt == dim, "\(kernels) \(layout)")
            }
        }
    }

    /// The bits of the kernel that walked one query tile and one partition at a time, before there were others.
    @Test(arguments: [
        (NumberFormat.float32, Int32?.none, UInt64(0x1f1a_10f6_7f8f_774f)), (.float32, 300, 0x4e40_3571_cd4f_f705),
        (.bfloat16, nil, 0x8970_0cdc_9da1_c578), (.bfloat16, 300, 0x7471_49f4_a1d2_e90d),
    ])
    func bitsAreThoseOfTheFirstKernel(format: NumberFormat, window: Int32?, digest: UInt64) throws {
        var random = TestRandom(2024)
        let layout = KVBlockLayout(kvHeads: 2, headDim: 64, blockSize: 16, format: format)
        let keys = (0..<600).map { _ in random.floats(128).map { $0 * 3 } }
        let values = (0..<600).map { _ in random.floats(128) }, q = random.floats(20 * 14 * 64)
        for kernels in KernelSet.all {
            let pool = try TestKVPool(layout: layout, keys: keys, values: values, seed: 1, kernels: kernels)
            let out = try pool.attend(q, positions: (580..<600).map(Int32.init), group: 7, window: window)
            let found = out.joined().reduce(UInt64(0xcbf2_9ce4_8422_2325)) { ($0 ^ UInt64($1.bitPattern)) &* 0x100_0000_01b3 }
            #expect(found == digest, "\(kernels)")
        }
    }
}
