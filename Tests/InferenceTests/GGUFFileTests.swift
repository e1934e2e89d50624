import Foundation
@testable import Inference
import Kernels
import Testing

@Suite struct GGUFFileTests {
    private static func parse(_ bytes: [UInt8]) -> Result<GGUFFile.Contents, ModelError> {
        bytes.withUnsafeBytes { bytes in Result { () throws(ModelError) in try GGUFFile.parse(bytes, path: "x") } }
    }

    @Test func metadataAndTensorsAreFound() throws {
        let directory = try CheckpointMaker.Directory()
        let file = try GGUFFile(path: directory.write(GGUFMaker.valid.bytes, "x.gguf"))
        #expect(file.contents.version == 3)
        #expect(file.tensors.map(\.name) == ["first", "second"])
        #expect(file["first"]?.shape == [2, 3] && file["first"]?.type == .float32 && file["second"]?.type == .q8_0)
        let second = try #require(file["second"])
        #expect(Array(file.bytes(of: second)) == (64..<132).map { UInt8(truncatingIfNeeded: $0 * 7) })
        #expect(try file.integer("a.u8") == 7 && file.integer("a.i8") == -1 && file.integer("a.u16") == 65_535)
        #expect(try file.integer("a.i16") == -2 && file.integer("a.u32") == 5 && file.integer("a.i32") == -5)
        #expect(try file.integer("a.i64") == Int.min && file.flag("a.flag") == true && file.text("a.text") == "hello")
        #expect(file.value("a.f32") == .number(1.5) && file.value("a.f64") == .number(0.25) && file.value("a.u64") == .number(0x1p64))
        #expect(try file.strings("a.words") == [Array("x".utf8), Array("yz".utf8)] && file.floats("a.floats") == [2])
        #expect(try file.integers("a.ints") == [1, 2, -3] && file.elementCount("a.nested") == 1)
        #expect(try file.integer("none") == nil && file.strings("none") == nil)
        for wrong in [
            { _ = try file.integer("a.text") }, { _ = try file.flag("a.u8") }, { _ = try file.text("a.u8") }, { _ = try file.strings("a.ints") },
            { _ = try file.integers("a.floats") }, { _ = try file.integers("a.words") }, { _ = try file.floats("a.ints") },
            { _ = try file.strings("a.text") }, { _ = try file.requiredText("none") },
        ] as [() throws -> Void] {
            #expect(throws: ModelError.self) { try wrong() }
        }
    }

    /// A change of a good file, and the field and reason that it is refused for.
    struct Bad: CustomTestStringConvertible, Sendable {
        var field: String
        var reason: ModelError.Reason
        var change: @Sendable (inout GGUFMaker) -> Void
        var testDescription: String { "\(field) \(reason.rawValue)" }

        init(_ field: String, _ reason: ModelError.Reason, _ change: @escaping @Sendable (inout GGUFMaker) -> Void) {
            (self.field, self.reason, self.change) = (field, reason, change)
        }
    }

    static let refused: [Bad] = [
        Bad("magic", .magic) { $0.magic = Array("GGML".utf8) },
        Bad("version", .unsupported) { $0.version = 1 },
        Bad("version", .unsupported) { $0.version = UInt32(3).byteSwapped },
        Bad("version", .unsupported) { $0.version = 4 },
        Bad("tensor_count", .outOfRange) { $0.tensorCount = 1 << 20 },
        Bad("tensor_count", .outOfRange) { $0.tensorCount = .max },
        Bad("tensor_count", .truncated) { $0.tensorCount = 60_000 },
        Bad("metadata_kv_count", .outOfRange) { $0.metadataCount = .max },
        Bad("metadata_kv_count", .truncated) { $0.metadataCount = 4000 },
        Bad("metadata key 17", .truncated) { $0.metadata.append((GGUFMaker.number(UInt64.max), [])) },
        Bad("metadata key 17", .outOfRange) { $0.add("", GGUFMaker.value(.uint8, [1])) },
        Bad("metadata key 17", .text) { $0.metadata.append((GGUFMaker.number(2 as UInt64) + [0xff, 0x41], GGUFMaker.value(.uint8, [1]))) },
        Bad("a.u8", .duplicate) { $0.add("a.u8", GGUFMaker.value(.uint8, [1])) },
        Bad("k", .unsupported) { $0.add("k", GGUFMaker.number(13 as UInt32) + [1]) },
        Bad("k", .outOfRange) { $0.add("k", GGUFMaker.value(.bool, [2])) },
        Bad("k", .truncated) { $0.add("k", GGUFMaker.value(.string, GGUFMaker.number(1 << 62 as UInt64))) },
        Bad("k", .text) { $0.add("k", GGUFMaker.value(.string, GGUFMaker.number(1 as UInt64) + [0x80])) },
        Bad("k", .truncated) { $0.add("k", GGUFMaker.array(.uint64, count: 1 << 61, [])) },
        Bad("k", .truncated) { $0.add("k", GGUFMaker.array(.string, count: 1 << 60, [])) },
        Bad("k", .unsupported) { $0.add("k", GGUFMaker.value(.array, GGUFMaker.number(99 as UInt32) + GGUFMaker.number(0 as UInt64))) },
        Bad("k", .depth) { maker in
            let nested = GGUFMaker.number(GGUFValueType.array.rawValue) + GGUFMaker.number(1 as UInt64)
            maker.add("k", GGUFMaker.value(.array, nested + nested + nested + nested + nested))
        },
        Bad("k", .outOfRange) { $0.add("k", GGUFMaker.array(.bool, count: 2, [0, 3])) },
        Bad("general.alignment", .outOfRange) { $0.metadata[16].value = GGUFMaker.value(.uint32, GGUFMaker.number(48 as UInt32)) },
        Bad("general.alignment", .outOfRange) { $0.metadata[16].value = GGUFMaker.value(.uint32, GGUFMaker.number(0 as UInt32)) },
        Bad("general.alignment", .outOfRange) { $0.metadata[16].value = GGUFMaker.value(.uint32, GGUFMaker.number(1 << 30 as UInt32)) },
        Bad("general.alignment", .wrongType) { $0.metadata[16].value = GGUFMaker.value(.string, GGUFMaker.string("64")) },
        Bad("tensor name 1", .outOfRange) { $0.tensors[1] = GGUFMaker.tensor(String(repeating: "n", count: 64), [1]) },
        Bad("second", .duplicate) { $0.tensors[1] = GGUFMaker.tensor("second", [3, 2]) },
        Bad("first.rank", .outOfRange) { $0.tensors[1] = GGUFMaker.tensor("first", []) },
        Bad("first.rank", .outOfRange) { $0.tensors[1] = GGUFMaker.tensor("first", [1, 1, 1, 1, 1]) },
        Bad("first.rank", .outOfRange) { $0.tensors[1] = GGUFMaker.tensor("first", [3, 2], rank: .max) },
        Bad("first.shape", .outOfRange) { $0.tensors[1] = GGUFMaker.tensor("first", [3, 0]) },
        Bad("first.shape", .outOfRange) { $0.tensors[1] = GGUFMaker.tensor("first", [.max, 2]) },
        Bad("first.shape", .outOfRange) { $0.tensors[1] = GGUFMaker.tensor("first", [1 << 32, 1 << 32]) },
        Bad("first.shape", .outOfRange) { $0.tensors[1] = GGUFMaker.tensor("first", [1 << 61, 2]) },
        Bad("second.shape", .shape) { $0.tensors[0] = GGUFMaker.tensor("second", [33, 2], type: 8, offset: 64) },
        Bad("first.type", .unsupported) { $0.tensors[1] = GGUFMaker.tensor("first", [256], type: 10) },
        Bad("first.type", .unsupported) { $0.tensors[1] = GGUFMaker.tensor("first", [256], type: 4) },
        Bad("first.type", .unsupported) { $0.tensors[1] = GGUFMaker.tensor("first", [256], type: .max) },
        Bad("second.offset", .misaligned) { $0.tensors[0] = GGUFMaker.tensor("second", [32, 2], type: 8, offset: 32) },
        Bad("second.offset", .offsets) { $0.tensors[0] = GGUFMaker.tensor("second", [32, 2], type: 8, offset: .max) },
        Bad("second.offset", .offsets) { $0.tensors[0] = GGUFMaker.tensor("second", [32, 2], type: 8, offset: 1 << 62) },
        Bad("second.offset", .offsets) { $0.tensors[0] = GGUFMaker.tensor("second", [32, 2], type: 8, offset: 128) },
        Bad("second.offset", .offsets) { $0.dataCount -= 1 },
        Bad("first.offset", .offsets) { $0.tensors[1] = GGUFMaker.tensor("first", [1 << 50, 2]) },
        Bad("second.offset", .overlap) { $0.tensors[0] = GGUFMaker.tensor("second", [32], type: 8, offset: 0) },
        Bad("second.offset", .overlap) { $0.tensors[1] = GGUFMaker.tensor("first", [17], offset: 0) },
        Bad("second.offset", .overlap) { $0.tensors[1] = GGUFMaker.tensor("first", [1], offset: 192); $0.dataCount = 196 },
        Bad("data", .overlap) { $0.trailing = 124 },
    ]

    @Test(arguments: refused)
    func aBadFileIsRefusedForItsReason(bad: Bad) {
        var maker = GGUFMaker.valid
        bad.change(&maker)
        let error = #expect(throws: ModelError.self) { try Self.parse(maker.bytes).get() }
        #expect(error?.file == "x" && error?.field == bad.field && error?.reason == bad.reason, "\(error.map(String.init(describing:)) ?? "")")
    }

    @Test func theErrorNamesWhatIsWrong() {
        func description(_ change: (inout GGUFMaker) -> Void) -> String {
            var maker = GGUFMaker.valid
            change(&maker)
            guard case .failure(let error) = Self.parse(maker.bytes) else { return "" }
            return error.description
        }
        #expect(description { $0.version = UInt32(2).byteSwapped } == "x: version = 2, big-endian is not supported")
        #expect(description { $0.tensors[1] = GGUFMaker.tensor("a\u{1b}[2J", []) } == "x: a\\u{1b}[2J.rank = 0 is out of range")
        #expect(description { $0.version = 1 } == "x: version = 1 is not supported")
        #expect(description { $0.tensors[1] = GGUFMaker.tensor("first", [256], type: 11) } == "x: first.type = Q3_K is not supported")
    }

    @Test func partsOfASplitFileAreRefused() throws {
        let directory = try CheckpointMaker.Directory()
        var maker = GGUFMaker.valid
        maker.add("split.count", GGUFMaker.value(.uint16, GGUFMaker.number(2 as UInt16)))
        let path = try directory.write(maker.bytes, "x-00001-of-00002.gguf")
        let error = #expect(throws: ModelError.self) { try GGUFFile(path: path) }
        #expect(error?.field == "split.count" && error?.description.contains("--merge") == true)
    }

    /// Whatever is cut off, there is an error.
    @Test func everyTruncationIsRefused() {
        let bytes = GGUFMaker.valid.bytes
        for count in 0..<bytes.count { #expect(throws: ModelError.self, "\(count)") { try Self.parse(Array(bytes[..<count])).get() } }
    }

    /// Whatever the mutation, an error or a file whose tensors lie within it.
    @Test func mutationsEndInAnErrorOrAValidFile() {
        let samples = [GGUFMaker.valid.bytes] + Self.refused.map { bad in
            var maker = GGUFMaker.valid
            bad.change(&maker)
            return maker.bytes
        }
        var mutations = Mutations(seed: 3), reasons: Set<ModelError.Reason> = [], accepted = 0
        for round in 0..<30_000 {
            var bytes = mutations.mutate(samples[round % 3 == 0 ? round / 3 % samples.count : 0])
            if round % 2 == 0 { mutations.overwriteInteger(&bytes) }
            switch Self.parse(bytes) {
            case .failure(let error): reasons.insert(error.reason)
            case .success(let contents):
                accepted += 1
                for tensor in contents.tensors {
                    #expect(tensor.range.upperBound <= bytes.count)
                    #expect(tensor.range.count == tensor.type.byteCount(elements: tensor.shape.reduce(1, *)))
                }
            }
        }
        let expected: Set<ModelError.Reason> = [
            .magic, .truncated, .text, .depth, .misaligned, .unsupported, .outOfRange, .offsets, .overlap, .duplicate, .shape, .wrongType,
        ]
        #expect(reasons == expected, "not reached: \(expected.subtracting(reasons)), not known: \(reasons.subtracting(expected))")
        #expect(accepted > 0 && accepted < 15_000)
    }

    /// Blocks with random bits, against what llama.cpp's own package makes of them.
    @Test func everyTypeWidensToTheReferencesBits() throws {
        let file = try GGUFFile(path: GGUFFixtures.path("blocks.gguf"))
        let types = StoredType.allCases
        #expect(file.tensors.count == 2 * types.count)
        for type in types {
            let stored = try #require(file[type.rawValue]), expected = try #require(file[type.rawValue + ".expected"])
            #expect(stored.type == type && stored.shape == [2, 512])
            var rows = [Float](repeating: 0, count: 1024), reference = rows
            type.widen(try #require(file.bytes(of: stored).baseAddress), into: &rows, count: 1024)
            StoredType.float32.widen(try #require(file.bytes(of: expected).baseAddress), into: &reference, count: 1024)
            #expect(rows.map(\.bitPattern) == reference.map(\.bitPattern), "\(type)")
            #expect(Set(rows).count > 16 && rows.allSatisfy(\.isFinite), "\(type)")
        }
    }
}

extension Mutations {
    /// Puts a hostile 64-bit integer somewhere.
    mutating func overwriteInteger(_ bytes: inout [UInt8]) {
        guard bytes.count >= 8 else { return }
        let hostile: [UInt64] = [0, 1, 2, 5, 31, 32, 255, 65_536, 1 << 31, 1 << 32, 1 << 61, 1 << 62, 1 << 63, .max, .max - 31]
        let at = Int(random.next() % UInt64(bytes.count - 7)), value = hostile[Int(random.next() % UInt64(hostile.count))]
        bytes.replaceSubrange(at..<at + 8, with: GGUFMaker.number(value))
    }
}
