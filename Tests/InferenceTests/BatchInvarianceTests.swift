import Generation
@testable import Inference
import Kernels
import Testing

/// The one promise: a request's logits have the same bits alone, in any batch, in any chunks, in any blocks, on any
/// number of threads.
@Suite struct BatchInvarianceTests {
    struct Request {
        var tokens: [TokenID]
        var table: [Int32]
        var isProbe: Bool
    }

    static let blocksPerRequest = 40

    /// Requests of mixed lengths around the probe at `place`, their blocks dealt out in a scrambled order.
    private func requests(probe: [TokenID], count: Int, place: Int, vocabulary: Int, blockSize: Int) -> [Request] {
        var random = SplitMix64(state: UInt64(count * 100 + place))
        var free = (0..<Int32(count * Self.blocksPerRequest)).map { $0 }
        for i in free.indices.reversed() { free.swapAt(i, Int(random.next() % UInt64(i + 1))) }
        return (0..<count).map { index in
            let length = index == place ? probe.count : 1 + Int(random.next() % 150)
            let tokens = index == place ? probe : (0..<length).map { _ in TokenID(random.next() % UInt64(vocabulary)) }
            let blocks = (length + blockSize - 1) / blockSize
            let table = Array(free.suffix(blocks))
            free.removeLast(blocks)
            return Request(tokens: tokens, table: table, isProbe: index == place)
        }
    }

    /// Prefills all requests in chunks of at most `chunk` tokens, side by side, and returns the digest of the probe's last
    /// logits. Requests that have nothing left drop out, so chunk and decode rows are mixed.
    private func probeDigest(
        _ engine: Engine, _ requests: [Request], chunk: Int, threads: Int, blockSize: Int = 16, kvFormat: KVFormat = .auto
    ) throws -> UInt64 {
        try probeDigest(engine, requests, chunk: chunk, crew: { threads }, blockSize: blockSize, kvFormat: kvFormat)
    }

    /// - Parameter crew: threads of each part of each step.
    private func probeDigest(
        _ engine: Engine, _ requests: [Request], chunk: Int, crew: () -> Int, blockSize: Int = 16, kvFormat: KVFormat = .auto
    ) throws -> UInt64 {
        let kv = try engine.cache(blocks: requests.count * Self.blocksPerRequest, blockSize: blockSize, format: kvFormat)
        poison(kv)
        var done = [Int](repeating: 0, count: requests.count), digest: UInt64?
        while zip(done, requests).contains(where: { $0 < $1.tokens.count }) {
            var batch = TokenBatch(), probeRow: Int?
            for (i, request) in requests.enumerated() where done[i] < request.tokens.count {
                let end = min(done[i] + (request.isProbe ? chunk : 1 + (chunk * (i + 2)) % 61), request.tokens.count)
                let isLast = end == request.tokens.count
                if request.isProbe, isLast { probeRow = batch.logitRows.count }
                batch.append(request.tokens[done[i]..<end], at: Int32(done[i]), blockTable: request.table,
                             logits: isLast || i % 2 == 0 ? .last : .none)
                done[i] = end
            }
            let logits = try engine.forward(batch, kv: kv, crew: crew)
            if let probeRow { digest = logitsDigest(logits[probeRow]) }
        }
        return try #require(digest)
    }

    /// NaN everywhere: what is not written yet must not be read.
    private func poison(_ kv: KVCache) {
        for layer in 0..<kv.layerCount {
            for block in 0..<Int32(kv.blockCount) {
                for i in kv.mutableBytes(layer: layer, block: block).indices { kv.mutableBytes(layer: layer, block: block)[i] = 0xff }
            }
        }
    }

    private func probe(_ vocabulary: Int, length: Int = 130) -> [TokenID] {
        var random = SplitMix64(state: 42)
        return (0..<length).map { _ in TokenID(random.next() % UInt64(vocabulary)) }
    }

    struct Formats: Sendable, CustomTestStringConvertible {
        var weights: WeightFormat, kv: KVFormat
        var testDescription: String { "\(weights), KV \(kv)" }
    }

    static let formats = [
        Formats(weights: .float32, kv: .auto), Formats(weights: .bfloat16, kv: .auto), Formats(weights: .bfloat16, kv: .int8),
        Formats(weights: .int8, kv: .auto),
    ]

    @Test(arguments: Oracle.names, formats)
    func digestIsTheSameInEveryBatchAndChunk(name: String, formats: Formats) throws {
        let engine = try Oracle.engine(name, format: formats.weights), vocabulary = engine.model.configuration.vocabularySize
        let probe = probe(vocabulary)
        let alone = try probeDigest(engine, requests(probe: probe, count: 1, place: 0, vocabulary: vocabulary, blockSize: 16),
                                    chunk: probe.count, threads: 1, kvFormat: formats.kv)
        for count in [1, 2, 7, 32] {
            for chunk in [1, 7, 64, probe.count] {
                let requests = requests(probe: probe, count: count, place: count / 2, vocabulary: vocabulary, blockSize: 16)
                let digest = try probeDigest(engine, requests, chunk: chunk, threads: 1 + (count + chunk) % 2,
                                             kvFormat: formats.kv)
                #expect(digest == alone, "batch of \(count), chunks of \(chunk)")
            }
        }
    }

    /// Threads that come and go between the parts of a step, as lent cores make them.
    @Test(arguments: ["qwen3", "mistral"], formats)
    func digestIsTheSameWithAnyCrew(name: String, formats: Formats) throws {
        let engine = try Oracle.engine(name, format: formats.weights, threads: 4)
        let vocabulary = engine.model.configuration.vocabularySize, probe = probe(vocabulary, length: 240)
        var digests: Set<UInt64> = [], calls = 0
        for (seed, shape) in [(1, 240), (1, 240), (3, 64), (5, 17), (12, 96), (32, 7)].enumerated() {
            var random = SplitMix64(state: UInt64(seed))
            let requests = requests(probe: probe, count: shape.0, place: shape.0 / 2, vocabulary: vocabulary, blockSize: 16)
            digests.insert(try probeDigest(
                engine, requests, chunk: shape.1, crew: {
                    calls += 1
                    // The first is the reference: one thread throughout.
                    return seed == 0 ? 1 : 1 + Int(random.next() % 4)
                }, kvFormat: formats.kv))
        }
        #expect(digests.count == 1)
        #expect(calls > 6 * 4 * engine.model.configuration.layerCount, "asked several times a layer")
    }

    /// Int8 is one family: the digest is the same on every instruction set too.
    @Test(arguments: ["llama2", "qwen2"])
    func int8DigestIsTheSameOnEveryInstructionSet(name: String) throws {
        var digests: Set<UInt64> = []
        for instructions in KernelSet.available {
            let engine = try Oracle.engine(name, format: .int8, kernels: KernelSet(instructions))
            let vocabulary = engine.model.configuration.vocabularySize, probe = probe(vocabulary, length: 60)
            for (count, chunk) in [(1, 60), (1, 1), (3, 17), (32, 60)] {
                let requests = requests(probe: probe, count: count, place: count / 2, vocabulary: vocabulary, blockSize: 16)
                digests.insert(try probeDigest(engine, requests, chunk: chunk, threads: 1 + count % 2))
            }
        }
        #expect(digests.count == 1)
    }

    /// OpenBLAS serves a weight shape only where it keeps the promise.
    @Test func digestIsTheSameWithOpenBLAS() throws {
        let engine = try Oracle.engine("qwen2", format: .float32, float32Path: .openBLAS)
        let vocabulary = engine.model.configuration.vocabularySize, probe = probe(vocabulary, length: 40)
        let digests = try [(1, 40), (1, 1), (7, 9), (32, 40)].map { count, chunk in
            let requests = requests(probe: probe, count: count, place: count - 1, vocabulary: vocabulary, blockSize: 16)
            return try probeDigest(engine, requests, chunk: chunk, threads: 2)
        }
        #expect(Set(digests).count == 1)
        #expect(engine.model.kernelFamily.hasPrefix("float32-openblas-"))
    }

    @Test(arguments: ["llama3", "mistral"], formats)
    func digestDoesNotDependOnTheBlockSize(name: String, formats: Formats) throws {
        let engine = try Oracle.engine(name, format: formats.weights), vocabulary = engine.model.configuration.vocabularySize
        let probe = probe(vocabulary, length: 250) // Ends short of mistral's 256 positions.
        let digests = try KVBlockLayout.blockSizes.map { size in
            try probeDigest(engine, requests(probe: probe, count: 3, place: 1, vocabulary: vocabulary, blockSize: size),
                            chunk: 50, threads: 2, blockSize: size, kvFormat: formats.kv)
        }
        #expect(Set(digests).count == 1)
    }

    @Test func everyLayerIsReportedOnceItsBlocksAreComplete() throws {
        let engine = try Oracle.engine("llama3", format: .float32), layers = engine.model.configuration.layerCount
        let tokens = probe(engine.model.configuration.vocabularySize, length: 40)
        let kv = try engine.cache(blocks: 3), other = try engine.cache(blocks: 3)
        var batch = TokenBatch()
        batch.append(tokens, at: 0, blockTable: [2, 0, 1])
        var order: [Int] = []
        let logits = try engine.forward(batch, kv: kv, threads: 2) { layer in
            order.append(layer)
            // A prefill worker sends the blocks now: they must already be final.
            for block in Int32(0)..<3 { other.mutableBytes(layer: layer, block: block).copyMemory(from: kv.bytes(layer: layer, block: block)) }
        }
        #expect(order == Array(0..<layers))
        let token = try #require(logits[0].indices.max { logits[0][$0] < logits[0][$1] })
        var next = TokenBatch()
        next.append([TokenID(token)], at: 40, blockTable: [2, 0, 1])
        let here = logitsDigest(try engine.forward(next, kv: kv, threads: 1)[0])
        let there = logitsDigest(try engine.forward(next, kv: other, threads: 1)[0])
        #expect(here == there)
    }

    @Test func aCopiedBlockServesAsWell() throws {
        let engine = try Oracle.engine("qwen3", format: .float32)
        let tokens = probe(engine.model.configuration.vocabularySize, length: 20), kv = try engine.cache(blocks: 4)
        var batch = TokenBatch()
        batch.append(tokens, at: 0, blockTable: [0, 1])
        _ = try engine.forward(batch, kv: kv, threads: 1)
        kv.copyBlock(1, to: 3)
        let digests = try [[Int32(0), 1], [0, 3]].map { table in
            var next = TokenBatch()
            next.append([7], at: 20, blockTable: table)
            return logitsDigest(try engine.forward(next, kv: kv, threads: 1)[0])
        }
        #expect(digests[0] == digests[1])
    }

    @Test func theLogitsOfAllRowsAreThoseOfEachPrefix() throws {
        let engine = try Oracle.engine("qwen2", format: .bfloat16)
        let tokens = probe(engine.model.configuration.vocabularySize, length: 35)
        var all = TokenBatch()
        all.append(tokens, at: 0, blockTable: [0, 1, 2], logits: .all)
        let logits = try engine.forward(all, kv: engine.cache(blocks: 3), threads: 2)
        let digests = (0..<logits.count).map { logitsDigest(logits[$0]) }
        #expect(digests.count == 35)
        for length in [1, 16, 17, 35] {
            var batch = TokenBatch()
            batch.append(tokens.prefix(length), at: 0, blockTable: [0, 1, 2])
            #expect(try logitsDigest(engine.forward(batch, kv: engine.cache(blocks: 3), threads: 1)[0]) == digests[length - 1])
        }
    }

    @Test func instructionSetsOfOneFamilyAgree() throws {
        for formats in Self.formats {
            var identities: [String: Set<EngineIdentity>] = [:]
            for instructions in KernelSet.available {
                let engine = try Oracle.engine("qwen3", format: formats.weights, kernels: KernelSet(instructions))
                let identity = try engine.identity(kvFormat: formats.kv, threads: 2)
                identities[identity.kernelFamily, default: []].insert(identity)
            }
            for (family, members) in identities { #expect(members.count == 1, "\(family)") }
            if formats.weights != .bfloat16 { #expect(identities.count == 1, "\(formats)") }
        }
    }

    /// The sizes that servers see, on the bundled model: batches up to 64, a chunk of 512, every kernel set, a partition's edge.
    @Test(arguments: formats)
    func largeBatchesAndChunksChangeNoBit(formats: Formats) throws {
        for instructions in KernelSet.available where instructions != .scalar {
            let team = try ThreadTeam(maxThreads: 2)
            let model = try Model(
                path: BundledModelTests.path, format: formats.weights, kernels: KernelSet(instructions), team: team, threads: 2)
            let engine = try Engine(model: model, team: team), vocabulary = model.configuration.vocabularySize
            let long = probe(vocabulary, length: 600)
            let whole = try probeDigest(engine, requests(probe: long, count: 1, place: 0, vocabulary: vocabulary, blockSize: 16),
                                        chunk: 600, threads: 1, kvFormat: formats.kv)
            for (chunk, threads) in [(512, 2), (96, 1), (193, 2)] {
                let requests = requests(probe: long, count: 1, place: 0, vocabulary: vocabulary, blockSize: 16)
                #expect(try probeDigest(engine, requests, chunk: chunk, threads: threads, kvFormat: formats.kv) == whole, "\(instructions) \(chunk)")
            }
            let short = probe(vocabulary, length: 20)
            let digests = try [1, 5, 16, 33, 64].map { count in
                try probeDigest(engine, requests(probe: short, count: count, place: count / 2, vocabulary: vocabulary, blockSize: 16),
                                chunk: 20, threads: 1 + count % 2, kvFormat: formats.kv)
            }
            #expect(Set(digests).count == 1, "\(instructions)")
        }
    }
}
