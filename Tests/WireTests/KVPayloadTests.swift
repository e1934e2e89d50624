import ClusterCore
import Synchronization
import Testing

@testable import Wire

@Suite struct KVPayloadTests {
    private static let blocks = KVBlocks(
        epoch: ClusterEpoch(9), attempt: AttemptID(request: RequestID(3), ordinal: 2), tokenCount: 40,
        range: LayerBlockRange(layer: 1, first: 4, count: 2))
    private static let byteCount = 96

    /// In a frame for each block.
    private func payload() -> KVPayload { rearranged(lengths: [Self.byteCount, Self.byteCount]) }

    /// The same bytes in frames of other lengths.
    private func rearranged(lengths: [Int]) -> KVPayload {
        var random = SeededGenerator(seed: 31)
        let payload = random.payload(of: Self.blocks, byteCount: Self.byteCount), bytes = payload.frames.flatMap(\.bytes)
        var start = 0
        let frames = lengths.map { length in
            defer { start += length }
            return Frame([UInt8](bytes[start..<start + length]))
        }
        return KVPayload(frames: frames, blockByteCount: Self.byteCount, checksum: payload.checksum)
    }

    /// Copies into new memory and gives it to `check`.
    private func copy(
        _ payload: KVPayload, as blocks: KVBlocks = blocks, modelHash: String = "m", lengths: [Int] = [byteCount, byteCount],
        _ check: ([UInt8]) -> Void = { _ in }
    ) -> Bool {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: lengths.reduce(0, +), alignment: 16)
        defer { memory.deallocate() }
        memory.initializeMemory(as: UInt8.self, repeating: 0)
        var start = 0
        let targets = lengths.map { length in
            defer { start += length }
            return UnsafeMutableRawBufferPointer(rebasing: memory[start..<start + length])
        }
        defer { check([UInt8](memory)) }
        return payload.copyVerifying(blocks, modelHash: modelHash, into: targets)
    }

    @Test func copiesWhatIsIntact() {
        let payload = payload()
        var copied: [UInt8] = []
        #expect(copy(payload) { copied = $0 })
        #expect(copied == payload.frames.flatMap(\.bytes))
    }

    @Test func blocksOfOneFrameGoWhereTheyBelong() {
        var copied: [UInt8] = []
        #expect(copy(rearranged(lengths: [2 * Self.byteCount])) { copied = $0 })
        #expect(copied == payload().frames.flatMap(\.bytes))
        for lengths in [[], [Self.byteCount], [Self.byteCount - 1, Self.byteCount + 1], [2 * Self.byteCount, 0]] {
            #expect(!copy(rearranged(lengths: lengths)), "\(lengths)")
        }
    }

    /// One frame for each run of neighbours, in the order of the blocks.
    @Test func neighboursAreLentInOnePiece() {
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 5 * 32, alignment: 16)
        for index in memory.indices { memory[index] = UInt8(index) }
        defer { memory.deallocate() }
        let places = [1, 2, 3, 0, 4], released = Mutex(0)
        let blocks = places.map { UnsafeRawBufferPointer(rebasing: memory[$0 * 32..<($0 + 1) * 32]) }
        var own = Self.blocks
        own.range.count = places.count
        let payload = KVPayload(lending: blocks, of: own, modelHash: "m") { released.withLock { $0 += 1 } }
        #expect(payload.frames.map(\.count) == [96, 32, 32])
        #expect(payload.frames.flatMap(\.bytes) == places.flatMap { place in (0..<32).map { UInt8(place * 32 + $0) } })
        #expect(payload.checksum == KVPayload(copying: blocks, of: own, modelHash: "m").checksum)
        #expect(copy(payload, as: own, lengths: Array(repeating: 32, count: places.count)))
        for frame in payload.frames { frame.loan?.release() }
        #expect(released.withLock { $0 } == 1)
    }

    private func payload(of frames: [Frame], checksum: UInt32) -> KVPayload {
        KVPayload(frames: frames, blockByteCount: Self.byteCount, checksum: checksum)
    }

    @Test func anyWrongBitShows() {
        let payload = payload()
        for frame in 0..<2 {
            for bit in stride(from: 0, to: Self.byteCount * 8, by: 7) {
                var frames = payload.frames.map(\.bytes)
                frames[frame][bit / 8] ^= 1 << (bit % 8)
                #expect(!copy(self.payload(of: frames.map { Frame($0) }, checksum: payload.checksum)))
            }
        }
        #expect(!copy(self.payload(of: payload.frames.reversed(), checksum: payload.checksum)))
        #expect(!copy(self.payload(of: payload.frames, checksum: payload.checksum ^ 1)))
    }

    /// Intact bytes of something else are as wrong as damaged ones.
    @Test func bytesOfSomethingElseDoNotPass() {
        let own = Self.blocks
        let attempt = own.attempt
        var others = Array(repeating: own, count: 7)
        others[0].epoch = ClusterEpoch(own.epoch.rawValue + 1)
        others[1].attempt = AttemptID(request: RequestID(attempt.request.rawValue + 1), ordinal: attempt.ordinal)
        others[2].attempt = attempt.next
        others[3].tokenCount += 1
        others[4].range.layer += 1
        others[5].range.first += 1
        others[6].range.count += 1
        let payload = payload()
        for other in others { #expect(!copy(payload, as: other), "\(other)") }
        #expect(!copy(payload, modelHash: "n"))
    }

    @Test func memoryOfAnotherShapeIsLeftAlone() {
        for lengths in [[Self.byteCount], [Self.byteCount - 1, Self.byteCount], [96, 96, 96]] {
            var memory: [UInt8] = []
            #expect(!copy(payload(), lengths: lengths) { memory = $0 })
            #expect(memory.prefix(Self.byteCount - 1).allSatisfy { $0 == 0 } || lengths[0] == Self.byteCount)
        }
    }

    @Test func isReleasedOnceHoweverOftenEachLoanIsReturned() {
        let released = Mutex(0)
        let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 16)
        memory.initializeMemory(as: UInt8.self, repeating: 5)
        defer { memory.deallocate() }
        let half = UnsafeRawBufferPointer(rebasing: memory[..<32])
        let payload = KVPayload(lending: [half, half], of: Self.blocks, modelHash: "m") { released.withLock { $0 += 1 } }
        let loans = payload.frames.compactMap { $0.loan?.release }
        #expect(loans.count == 2)
        loans[0]()
        loans[0]()
        #expect(released.withLock { $0 } == 0)
        loans[1]()
        loans[1]()
        loans[0]()
        #expect(released.withLock { $0 } == 1)
    }

    @Test func nothingLentIsReleasedAtOnce() {
        let released = Mutex(0)
        _ = KVPayload(lending: [], of: Self.blocks, modelHash: "m") { released.withLock { $0 += 1 } }
        #expect(released.withLock { $0 } == 1)
    }

    @Test func aReceivedFrameKeepsItsOwner() {
        final class Owner {
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 4, alignment: 1)
            let gone: () -> Void
            init(_ gone: @escaping () -> Void) {
                self.gone = gone
                memory.copyBytes(from: [1, 2, 3, 4])
            }
            deinit {
                memory.deallocate()
                gone()
            }
        }
        var isGone = false
        do {
            var owner: Owner? = Owner { isGone = true }
            let frame = owner.map { Frame(received: UnsafeRawBufferPointer($0.memory), owner: $0) }
            owner = nil
            #expect(!isGone)
            #expect(frame?.bytes == [1, 2, 3, 4])
            #expect(frame?.loan == nil)
        }
        #expect(isGone)
    }
}
