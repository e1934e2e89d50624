import Foundation
@testable import Inference
import Kernels
import Testing

@Suite struct SafetensorsFileTests {
    private func open(_ header: String, dataCount: Int) throws -> SafetensorsFile {
        let directory = try CheckpointMaker.Directory()
        return try SafetensorsFile(path: directory.write(CheckpointMaker.safetensors(header, dataCount: dataCount), "x.safetensors"))
    }

    @Test func tensorsAreFound() throws {
        let file = try open(CheckpointMaker.valid, dataCount: CheckpointMaker.validDataCount)
        #expect(file.tensors.map(\.name) == ["a", "b", "c"])
        #expect(file["a"]?.shape == [2, 3] && file["a"]?.type == .float32)
        #expect(file["b"]?.type == .bfloat16 && file["c"]?.shape == [])
        let b = try #require(file["b"])
        #expect(Array(file.bytes(of: b)) == (24..<34).map { UInt8($0 * 7 % 256) })
        #expect(file["d"] == nil)
    }

    /// Each branch of the validation, by the header that reaches it.
    static let refused: [(header: String, dataCount: Int, reason: ModelError.Reason)] = [
        ("[]", 0, .wrongType),
        (#"{"a":1}"#, 0, .wrongType),
        (#"{"a":{"shape":[1],"data_offsets":[0,4]}}"#, 4, .wrongType),
        (#"{"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#, 8, .unsupported),
        (#"{"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}}"#, 4, .wrongType),
        (#"{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}"#, 4, .wrongType),
        (#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4, .outOfRange),
        (#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,4]}}"#, 4, .outOfRange),
        (#"{"a":{"dtype":"F32","shape":[1.5],"data_offsets":[0,4]}}"#, 4, .outOfRange),
        (#"{"a":{"dtype":"F32","shape":[1]}}"#, 4, .wrongType),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}"#, 4, .wrongType),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":["0","4"]}}"#, 4, .wrongType),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}"#, 4, .offsets),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, 4, .offsets),
        (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 4, .offsets),
        (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4, .offsets),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 8, .overlap),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8, .overlap),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 9, .overlap),
        (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 4, .malformed),
        (#"{"\u00e9":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"e\u0301":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#, 0, .duplicate),
        ("{", 0, .headerLength),
        ("{\"a\"", 0, .malformed),
        ("{} {", 0, .malformed),
        (String(repeating: "[", count: 4000), 0, .malformed),
    ]

    @Test(arguments: refused)
    func aBadHeaderIsRefusedForItsReason(header: String, dataCount: Int, reason: ModelError.Reason) {
        let error = #expect(throws: ModelError.self) { try open(header, dataCount: dataCount) }
        #expect(error?.reason == reason, "\(error.map(String.init(describing:)) ?? "")")
    }

    @Test func aBadHeaderLengthIsRefused() throws {
        let directory = try CheckpointMaker.Directory()
        for (bytes, reason) in [
            ([], .truncated), ([1, 2, 3], .truncated), ([100, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x7d], .truncated),
            ([UInt8](repeating: 0xff, count: 16), .headerLength), ([UInt8](repeating: 0, count: 16), .headerLength),
        ] as [([UInt8], ModelError.Reason)] {
            let path = try directory.write(bytes, "x.safetensors")
            let error = #expect(throws: ModelError.self) { try SafetensorsFile(path: path) }
            #expect(error?.reason == reason && error?.file == path)
        }
        let missing = #expect(throws: ModelError.self) { try SafetensorsFile(path: directory.path + "/none") }
        #expect(missing?.reason == .unreadable)
        let folder = #expect(throws: ModelError.self) { try SafetensorsFile(path: directory.path) }
        #expect(folder?.reason == .unreadable)
    }

    /// Whatever the mutation, an error or a file whose tensors lie within it; and the mutations reach every reason that a
    /// header can be refused for.
    @Test func mutationsEndInAnErrorOrAValidFile() {
        let sample = CheckpointMaker.safetensors(CheckpointMaker.valid, dataCount: CheckpointMaker.validDataCount)
        var mutations = Mutations(seed: 1), reasons: Set<ModelError.Reason> = [], accepted = 0
        for _ in 0..<10_000 {
            let bytes = mutations.mutate(sample)
            let outcome = bytes.withUnsafeBytes { bytes in
                Result { () throws(ModelError) in try SafetensorsFile.parse(bytes, path: "x") }
            }
            switch outcome {
            case .failure(let error): reasons.insert(error.reason)
            case .success(let tensors):
                accepted += 1
                for tensor in tensors {
                    #expect(tensor.range.upperBound <= bytes.count)
                    #expect(tensor.range.count == tensor.type.byteCount(elements: tensor.shape.reduce(1, *)))
                }
            }
        }
        let expected: Set<ModelError.Reason> = [.truncated, .headerLength, .malformed, .wrongType, .unsupported, .outOfRange, .offsets, .overlap]
        #expect(reasons.isSuperset(of: expected), "not reached: \(expected.subtracting(reasons))")
        #expect(accepted > 0 && accepted < 5000)
    }
}
