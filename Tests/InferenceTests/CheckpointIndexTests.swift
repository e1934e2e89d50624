import Foundation
@testable import Inference
import Testing

@Suite struct CheckpointIndexTests {
    private static let one = #"{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#
    private static let two = #"{"y":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#

    private func directory(index: String) throws -> CheckpointMaker.Directory {
        let directory = try CheckpointMaker.Directory()
        try directory.write(CheckpointMaker.safetensors(Self.one, dataCount: 4), "1.safetensors")
        try directory.write(CheckpointMaker.safetensors(Self.two, dataCount: 8), "2.safetensors")
        try directory.write(Array(index.utf8), "model.safetensors.index.json")
        return directory
    }

    @Test func shardsAreJoined() throws {
        let directory = try directory(index: #"{"metadata":{},"weight_map":{"x":"1.safetensors","y":"2.safetensors"}}"#)
        let checkpoint = try CheckpointIndex(directory: directory.path)
        #expect(checkpoint.names == ["x", "y"])
        #expect(checkpoint["y"]?.shape == [2])
        #expect(try checkpoint.require("x", shape: [1]).bytes.count == 4)
        #expect(throws: ModelError(directory.path, "x", value: "[1], expected [3]", .shape)) { try checkpoint.require("x", shape: [3]) }
        #expect(throws: ModelError(directory.path, "z", .missing)) { try checkpoint.require("z", shape: [3]) }
    }

    @Test(arguments: [
        ("", .malformed), ("[]", .missing), (#"{"weight_map":{"x":1}}"#, .wrongType),
        (#"{"weight_map":{"x":"../1.safetensors"}}"#, .unsafePath), (#"{"weight_map":{"x":"/etc/passwd"}}"#, .unsafePath),
        (#"{"weight_map":{"x":".."}}"#, .unsafePath), (#"{"weight_map":{"x":""}}"#, .unsafePath),
        (#"{"weight_map":{"x":"a\u0000b"}}"#, .unsafePath), (#"{"weight_map":{"x":"3.safetensors"}}"#, .unreadable),
        (#"{"weight_map":{"z":"1.safetensors"}}"#, .missing),
    ] as [(String, ModelError.Reason)])
    func aBadIndexIsRefused(index: String, reason: ModelError.Reason) throws {
        let directory = try directory(index: index)
        let error = #expect(throws: ModelError.self) { try CheckpointIndex(directory: directory.path) }
        #expect(error?.reason == reason)
    }

    @Test func aTensorInTwoShardsIsRefused() throws {
        let directory = try directory(index: #"{"weight_map":{"x":"1.safetensors","y":"2.safetensors"}}"#)
        let both = #"{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"y":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#
        try directory.write(CheckpointMaker.safetensors(both, dataCount: 12), "2.safetensors")
        let error = #expect(throws: ModelError.self) { try CheckpointIndex(directory: directory.path) }
        #expect(error?.reason == .duplicate)
    }

    @Test func aDirectoryWithoutWeightsIsRefused() throws {
        let directory = try CheckpointMaker.Directory()
        let error = #expect(throws: ModelError.self) { try CheckpointIndex(directory: directory.path) }
        #expect(error?.reason == .unreadable && error?.description.contains("model.safetensors") == true)
    }
}
