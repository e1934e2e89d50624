import Generation
@testable import Inference
import Kernels
import Testing

/// Rows that share blocks have the bits of rows with private copies, whatever they share and however attention takes them.
@Suite struct SharedAttentionTests {
    /// Queries whose prompts form a tree, over one cache. Forks share whole blocks and have a copy of the partial one.
    private struct Forest {
        let engine: Engine
        let kv: KVCache
        var next: Int32 = 0
        var tables: [[Int32]] = []
        var lengths: [Int] = []

        init(engine: Engine, blocks: Int, blockSize: Int, format: KVFormat) throws {
            self.engine = engine
            kv = try engine.cache(blocks: blocks, blockSize: blockSize, format: format)
        }

        mutating func take(_ count: Int) -> [Int32] {
            defer { next += Int32(count) }
            return (next..<next + Int32(count)).map { $0 }
        }

        private func token(_ index: Int) -> TokenID { TokenID(((index &* 2_654_435_761) >> 9) & 63) }

        /// A prompt of `length` tokens; its table.
        mutating func prefill(_ length: Int) throws -> [Int32] {
            let table = take((length + kv.blockSize - 1) / kv.blockSize)
            try extend(table, from: 0, to: length, seed: 1)
            return table
        }

        private func extend(_ table: [Int32], from: Int, to: Int, seed: Int) throws {
            for start in stride(from: from, to: to, by: 500) {
                var batch = TokenBatch()
                let end = min(start + 500, to)
                batch.append((start..<end).map { token($0 * seed) }, at: Int32(start), blockTable: table, logits: .none)
                _ = try engine.forward(batch, kv: kv, threads: 2)
            }
        }

        /// A table that shares the whole blocks of `length` tokens of `table`, with `more` tokens of its own.
        mutating func fork(_ table: [Int32], at length: Int, more: Int, seed: Int) throws -> [Int32] {
            let whole = length / kv.blockSize, needed = (length + more + kv.blockSize - 1) / kv.blockSize
            let own = take(needed - whole)
            if length % kv.blockSize != 0 { kv.copyBlock(table[whole], to: own[0]) }
            let result = table.prefix(whole) + own
            if more > 0 { try extend(Array(result), from: length, to: length + more, seed: seed) }
            return Array(result)
        }

        mutating func privateCopy(_ table: [Int32]) -> [Int32] {
            let own = take(table.count)
            for (from, to) in zip(table, own) { kv.copyBlock(from, to: to) }
            return own
        }

        /// Digests of the logits of a step in which each query computes `rows` tokens.
        func digests(_ tables: [[Int32]], rows: [Int], sharing: SharedAttention, threads: Int) throws -> [UInt64] {
            engine.sharedAttention = sharing
            var batch = TokenBatch()
            for (index, table) in tables.enumerated() {
                let count = rows[index % rows.count]
                batch.append((0..<count).map { token(index * 7 + $0) }, at: Int32(lengths[index]), blockTable: table)
            }
            let logits = try engine.forward(batch, kv: kv, threads: threads)
            return (0..<logits.count).map { logitsDigest(logits[$0]) }
        }
    }

    private static let sizes: [(batch: Int, prefix: Int)] = [(1, 600), (2, 512), (7, 300), (16, 255), (33, 256), (64, 1030)]

    /// Ragged tails, prefixes at and beside the bounds of partitions, two levels, one row each and chunks.
    @Test(arguments: ["llama3", "mistral", "qwen2"], BatchInvarianceTests.formats)
    func bitsAreThoseOfPrivateCopies(name: String, formats: BatchInvarianceTests.Formats) throws {
        for (index, size) in Self.sizes.enumerated() {
            let engine = try Oracle.engine(name, format: formats.weights, threads: 3)
            let limit = engine.model.configuration.maxPositions, prefix = min(size.prefix, limit - 180)
            let blockSize = KVBlockLayout.blockSizes[index % KVBlockLayout.blockSizes.count]
            let blocks = (2 * size.batch + 4) * ((prefix + 180) / blockSize + 2)
            var forest = try Forest(engine: engine, blocks: blocks, blockSize: blockSize, format: formats.kv)
            let stem = try forest.prefill(prefix), branch = try forest.fork(stem, at: prefix, more: 100, seed: 3)
            var shared: [[Int32]] = [], copies: [[Int32]] = []
            for query in 0..<size.batch {
                // Every third shares the branch as well; tails end with room for the rows of the step.
                let (parent, length) = query % 3 == 2 ? (branch, prefix + 100) : (stem, prefix), more = query * 13 % 60
                forest.lengths.append(length + more)
                var table = try forest.fork(parent, at: length, more: more, seed: 5 + query)
                while table.count * blockSize < length + more + 5 { table += forest.take(1) }
                shared.append(table)
                copies.append(forest.privateCopy(table))
            }
            for rows in [[1], [1, 4, 2]] {
                let wanted = try forest.digests(copies, rows: rows, sharing: .off, threads: 1)
                engine.resetProfile()
                let isShared = size.batch > 1 && prefix >= 256 || size.batch > 5 && prefix + 100 >= 256
                for (sharing, threads) in [(SharedAttention.on, 1), (.on, 2), (.auto, 3), (.off, 2)] {
                    let found = try forest.digests(shared, rows: rows, sharing: sharing, threads: threads)
                    #expect(found == wanted, "batch \(size.batch), prefix \(prefix), \(sharing), \(threads) threads, rows \(rows)")
                    if sharing == .on { #expect((engine.profile.savedKVBytes > 0) == isShared) }
                }
            }
        }
    }

    /// Every instruction set, with the bundled model.
    @Test(arguments: BatchInvarianceTests.formats)
    func instructionSetsShareAlike(formats: BatchInvarianceTests.Formats) throws {
        for instructions in KernelSet.available where instructions != .scalar {
            let team = try ThreadTeam(maxThreads: 2)
            let model = try Model(
                path: BundledModelTests.path, format: formats.weights, kernels: KernelSet(instructions), team: team, threads: 2)
            var forest = try Forest(engine: try Engine(model: model, team: team), blocks: 900, blockSize: 16, format: formats.kv)
            let stem = try forest.prefill(300)
            var shared: [[Int32]] = [], copies: [[Int32]] = []
            for query in 0..<20 {
                forest.lengths.append(300 + query)
                shared.append(try forest.fork(stem, at: 300, more: query + 1, seed: 5 + query))
                copies.append(forest.privateCopy(shared[query]))
            }
            let wanted = try forest.digests(copies, rows: [1], sharing: .off, threads: 1)
            #expect(try forest.digests(shared, rows: [1], sharing: .on, threads: 2) == wanted, "\(instructions)")
        }
    }

    /// Sequences that share more stand closer together, with what they have in common; padding shares nothing.
    @Test func sharedPrefixesFormATrie() throws {
        var batch = TokenBatch(), prefixes = SharedPrefixes()
        func table(_ partitions: [Int32]) -> [Int32] { partitions.flatMap { p in (0..<16).map { p * 16 + $0 } } }
        batch.append([1], at: 800, blockTable: table([1, 2, 3, 9])) // 0
        batch.append([1], at: 600, blockTable: table([7, 8, 10])) // 1
        batch.append([1], at: 767, blockTable: table([1, 2, 3])) // 2
        batch.append([1], at: 766, blockTable: table([1, 2, 3])) // 3: does not see the end of its third partition
        batch.append([1, 2, 3], at: 600, blockTable: table([1, 5, 3])) // 4
        batch.append([1], at: 254, blockTable: table([1])) // 5
        prefixes.update(batch, blockSize: 16)
        let common = Dictionary(uniqueKeysWithValues: zip(prefixes.order, prefixes.common))
        #expect(Set(prefixes.order) == Set(0..<6))
        #expect(common[5] == 0)
        #expect(prefixes.common.sorted() == [0, 0, 0, 1, 2, 3])
        let places = [0, 2, 3].compactMap { prefixes.order.firstIndex(of: $0) }.sorted()
        #expect(places == Array(places[0]..<places[0] + 3))
    }

    /// Tiles hold whole sequences of one prefix, of nearly equal size; what they save is counted.
    @Test func tilesHoldWholeSequences() throws {
        var batch = TokenBatch(), prefixes = SharedPrefixes(), tables = RowTables(), rows = AttentionRows()
        let stem = (0..<Int32(32)).map { $0 }
        for query in 0..<30 as Range<Int32> { batch.append([1], at: 520, blockTable: stem + [100 + query]) }
        batch.append([TokenID](repeating: 1, count: 50), at: 512, blockTable: stem + [200, 201, 202, 203])
        prefixes.update(batch, blockSize: 16)
        tables.update(batch)
        for (sharing, counts, saved) in [
            (SharedAttention.on, [20, 10, 21, 21, 8], 28 * 512), (.off, Array(repeating: 1, count: 30) + [21, 21, 8], 0),
        ] {
            rows.update(batch, prefixes: prefixes, tables: tables, sharing: sharing, onlyLogitRows: false, atMost: 21)
            #expect(rows.tiles.map(\.count) == counts)
            #expect(rows.tiles.map(\.lowerBound) == [0] + rows.tiles.dropLast().map(\.upperBound))
            #expect(rows.savedKeys == saved)
        }
    }
}
