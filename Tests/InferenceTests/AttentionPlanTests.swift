import Foundation
import Generation
@testable import Inference
import Kernels
import Testing

@Suite struct AttentionPlanTests {
    private static let config = Array(#"""
        {"architectures": ["LlamaForCausalLM"], "dtype": "float32", "vocab_size": 101, "hidden_size": 48, "intermediate_size": 70,
         "num_hidden_layers": 2, "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 32,
         "max_position_embeddings": 8192}
        """#.utf8)

    private func batch(_ lengths: [(start: Int, rows: Int)]) -> TokenBatch {
        var batch = TokenBatch(), next: Int32 = 0
        for (start, rows) in lengths {
            let blocks = Int32((start + rows + 15) / 16)
            batch.append([TokenID](repeating: 1, count: rows), at: Int32(start), blockTable: (next..<next + blocks).map { $0 })
            next += blocks
        }
        return batch
    }

    private func update(_ plan: inout AttentionPlan, _ batch: TokenBatch, sharing: SharedAttention = .auto, threads: Int) {
        var tables = RowTables(), prefixes = SharedPrefixes()
        tables.update(batch)
        prefixes.update(batch, blockSize: 16)
        plan.update(
            AttentionPlan.Work(batch: batch, prefixes: prefixes, tables: tables, sharing: sharing, onlyLogitRows: false),
            threads: threads)
    }

    /// Every KV head of every row is computed once, every partition of a row that is shared once, and offsets don't meet.
    @Test(arguments: [Int32?.none, 700], 1...3)
    func everythingIsComputedOnce(window: Int32?, threads: Int) throws {
        let configuration = try ModelConfiguration(config: Self.config)
        var plan = AttentionPlan(configuration: configuration, window: window)
        for lengths in [[(start: 6000, rows: 1)], [(5000, 1), (3, 1), (9, 1), (100, 1)], [(0, 300), (4000, 2)], [(2, 1)]] {
            let batch = batch(lengths)
            update(&plan, batch, threads: threads)
            #expect(plan.threads <= threads)
            var whole: [[Int]: Int] = [:], shares: [[Int]: [AttentionPlan.Share]] = [:]
            for unit in plan.units {
                for row in unit.tile where unit.share == nil { whole[[plan.rows[row].query, unit.kvHead], default: 0] += 1 }
                if let share = unit.share { shares[[unit.tile.lowerBound, unit.tile.count, unit.kvHead], default: []].append(share) }
            }
            var taken: [Range<Int>] = []
            for fold in plan.folds {
                let key = [fold.tile.lowerBound, fold.tile.count, fold.kvHead]
                let found = shares.removeValue(forKey: key)
                let parts = try #require(found).sorted { $0.offset < $1.offset }
                let first = plan.rows[fold.tile.lowerBound].position, last = plan.rows[fold.tile.upperBound - 1].position
                let low = window.map { max(0, first - $0 + 1) } ?? 0
                #expect(parts.flatMap { Array($0.partitions) } == Array(Int(low) / 256...Int(last) / 256))
                let floats = PagedAttention.partCount(queries: fold.tile.count * 2, headDim: 32)
                #expect(parts.first?.offset == fold.offset)
                taken += parts.map { $0.offset..<$0.offset + $0.partitions.count * floats }
                for row in fold.tile { whole[[plan.rows[row].query, fold.kvHead], default: 0] += 1 }
            }
            taken.sort { $0.lowerBound < $1.lowerBound }
            #expect(zip(taken, taken.dropFirst()).allSatisfy { $0.upperBound == $1.lowerBound })
            #expect(taken.last?.upperBound ?? 0 == plan.partCount)
            #expect(shares.isEmpty)
            #expect(whole.count == batch.rowCount * 3 && whole.values.allSatisfy { $0 == 1 })
            if threads == 1 { #expect(plan.folds.isEmpty) }
        }
    }

    /// Three heads of one long sequence on two threads: nobody gets two heads while the other waits.
    @Test func loadIsEven() throws {
        var plan = AttentionPlan(configuration: try ModelConfiguration(config: Self.config), window: nil)
        for lengths in [[(start: 8000, rows: 1)], [(7000, 1)] + (0..<31).map { _ in (50, 1) }] {
            update(&plan, batch(lengths), threads: 2)
            #expect(!plan.folds.isEmpty)
            var loads = [0, 0]
            for unit in plan.units { loads[loads[0] <= loads[1] ? 0 : 1] += unit.cost }
            #expect(Double(loads.max() ?? 0) < 1.1 * Double(loads[0] + loads[1]) / 2, "\(loads)")
        }
    }

    /// Rows over a prefix too short to be cut by partitions: tiles get smaller until threads have equal work.
    @Test func shortSharedPrefixesAreEvenToo() throws {
        var plan = AttentionPlan(configuration: try ModelConfiguration(config: Self.config), window: nil)
        var batch = TokenBatch()
        for row in 0..<32 as Range<Int32> { batch.append([1], at: 260, blockTable: (0..<16).map { $0 } + [16 + row]) }
        update(&plan, batch, threads: 2)
        var loads = [0, 0]
        for unit in plan.units { loads[loads[0] <= loads[1] ? 0 : 1] += unit.cost }
        #expect(plan.savedKeys > 0 && plan.folds.isEmpty)
        #expect(Double(loads.max() ?? 0) < 1.06 * Double(loads[0] + loads[1]) / 2, "\(loads)")
    }

    /// Many equal units are taken several at a time, so that a thread knows what comes next; one that outweighs them alone.
    @Test func turnsAreLongWhereUnitsAreSmall() throws {
        var plan = AttentionPlan(configuration: try ModelConfiguration(config: Self.config), window: nil)
        update(&plan, batch((0..<32).map { _ in (128, 1) }), threads: 2)
        #expect(plan.unitsPerTurn == 8)
        let last = try #require(plan.unit(after: 7, in: 0..<8)), second = try #require(plan.unit(after: 0, in: 0..<8))
        #expect(last.tile == plan.units[16].tile && last.kvHead == plan.units[16].kvHead)
        #expect(second.tile == plan.units[1].tile && second.kvHead == plan.units[1].kvHead)
        #expect(plan.unit(after: 95, in: 88..<96) == nil)
        update(&plan, batch([(0, 300)] + (0..<32).map { _ in (128, 1) }), threads: 2)
        #expect(plan.unitsPerTurn == 1)
    }

    /// Logits of a long sequence that several threads share have the bits of one thread.
    @Test(arguments: [KVFormat.float32, .bfloat16, .int8])
    func sharedPartitionsChangeNoBit(kvFormat: KVFormat) throws {
        let directory = try CheckpointMaker.Directory(), team = try ThreadTeam(maxThreads: 3)
        try RandomCheckpoint.write(config: Self.config, seed: 3, to: directory.path)
        let model = try Model(path: directory.path, kernels: KernelSet.select(environment: [:]), team: team, threads: 1)
        let engine = try Engine(model: model, team: team), length = 6000
        let kv = try engine.cache(blocks: 380, format: kvFormat), table = (0..<Int32(380)).map { 379 - $0 }
        let tokens = (0..<length).map { TokenID($0 * 31 % 101) }
        for start in stride(from: 0, to: length, by: 500) {
            var chunk = TokenBatch()
            chunk.append(tokens[start..<start + 500], at: Int32(start), blockTable: table, logits: .none)
            _ = try engine.forward(chunk, kv: kv, threads: 2)
        }
        let digests = try (1...3).map { threads in
            var batch = TokenBatch()
            batch.append([5], at: Int32(length), blockTable: table)
            return logitsDigest(try engine.forward(batch, kv: kv, threads: threads)[0])
        }
        #expect(Set(digests).count == 1)
    }
}
