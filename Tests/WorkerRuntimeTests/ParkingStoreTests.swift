import ClusterCore
import Foundation
import Generation
import Inference
import Kernels
import Logging
import Testing
import Wire
@testable import WorkerRuntime

@Suite struct ParkingStoreTests {
    private static let blockCount = 6
    private let kv: KVCache
    private let directory: URL

    init() throws {
        let checkpoint = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("Fixtures/checkpoints/llama2").path
        let kernels = try KernelSet.select(environment: ProcessInfo.processInfo.environment)
        let model = try Model(path: checkpoint, kernels: kernels, team: try ThreadTeam(maxThreads: 1), threads: 1)
        kv = try KVCache(
            layout: model.kvLayout(blockSize: 16, format: .auto), layerCount: model.configuration.layerCount,
            blockCount: Self.blockCount)
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("parking-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    }

    private func store(_ directory: String?) -> ParkingStore {
        ParkingStore(kv: kv, modelHash: "m", directory: directory, logger: Logger(label: "test"))
    }

    private func parked(_ id: UInt64, _ tier: ParkingLot.Tier, blocks: [UInt32], attempt: UInt32 = 1) -> ParkedKV {
        ParkedKV(
            id: ParkID(id), epoch: ClusterEpoch(3), attempt: AttemptID(request: RequestID(4), ordinal: attempt), tokenCount: 20,
            tier: tier, blocks: blocks.map { BlockID($0) })
    }

    private func fill(_ block: Int32, _ byte: UInt8) {
        for layer in 0..<kv.layerCount {
            let bytes = kv.mutableBytes(layer: layer, block: block)
            for index in bytes.indices { bytes[index] = byte &+ UInt8(truncatingIfNeeded: index &* 7 &+ layer) }
        }
    }

    private func bytes(_ block: Int32) -> [[UInt8]] {
        (0..<kv.layerCount).map { Array(kv.bytes(layer: $0, block: block)) }
    }

    @Test(arguments: ParkingLot.Tier.allCases) func whatIsParkedComesBackInOtherBlocks(tier: ParkingLot.Tier) throws {
        let store = store(directory.path)
        fill(1, 50)
        fill(4, 90)
        let before = [bytes(1), bytes(4)]
        #expect(store.park(parked(7, tier, blocks: [1, 4])))
        // A file without a name: nothing stays behind, whatever becomes of the process.
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory.path).isEmpty)
        fill(1, 0)
        fill(4, 0)
        #expect(store.restore(parked(7, tier, blocks: [5, 0])))
        #expect([bytes(5), bytes(0)] == before)
        store.discard(ParkID(7))
        #expect(!store.restore(parked(7, tier, blocks: [5, 0])))
    }

    @Test(arguments: ParkingLot.Tier.allCases) func whatWasNotParkedAsSuchDoesNotComeBack(tier: ParkingLot.Tier) {
        let store = store(directory.path)
        #expect(store.park(parked(7, tier, blocks: [1, 4])))
        #expect(!store.restore(parked(7, tier, blocks: [1, 4], attempt: 2)))
        #expect(!store.restore(parked(7, tier, blocks: [1, 4, 5])))
        #expect(!store.restore(parked(8, tier, blocks: [1, 4])))
        #expect(store.restore(parked(7, tier, blocks: [1, 4])))
    }

    @Test func aDirectoryThatIsGoneRefuses() {
        #expect(!store(directory.path + "/missing").park(parked(1, .file, blocks: [0])))
        #expect(!store(nil).park(parked(1, .file, blocks: [0])))
    }

    @Test func aFileCutShortIsNoMessage() throws {
        let frames = [Frame([1, 2, 3]), Frame([]), Frame(Array(repeating: 9, count: 300))]
        let data = ParkingFile.record(of: frames) + ParkingFile.record(of: [Frame([5])])
        let layers = try #require(ParkingFile.layers(in: data))
        #expect(layers.map { $0.map(\.bytes) } == [frames.map(\.bytes), [[5]]])
        let whole = ParkingFile.record(of: frames).count
        for length in 1..<data.count where length != whole { #expect(ParkingFile.layers(in: data.prefix(length)) == nil) }
        // A count that no file of this size could hold.
        #expect(ParkingFile.layers(in: Data([255, 255, 255, 255, 0, 0, 0, 0])) == nil)
    }
}
