import Foundation
@testable import Inference

/// Hand-made GGUF files for the parser's tests.
struct GGUFMaker {
    var magic: [UInt8] = Array("GGUF".utf8)
    var version: UInt32 = 3
    var tensorCount: UInt64?
    var metadataCount: UInt64?
    /// Keys with the bytes of type and value.
    var metadata: [(key: [UInt8], value: [UInt8])] = []
    var tensors: [[UInt8]] = []
    var alignment = 32
    var dataCount = 0
    /// Bytes at the end that nobody asked for.
    var trailing = 0

    static func string(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendString(Array(text.utf8))
        return bytes
    }

    static func number(_ value: some FixedWidthInteger) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendNumber(value)
        return bytes
    }

    /// Type and bytes of a value.
    static func value(_ type: GGUFValueType, _ bytes: [UInt8]) -> [UInt8] { number(type.rawValue) + bytes }

    static func array(_ type: GGUFValueType, count: UInt64, _ bytes: [UInt8]) -> [UInt8] {
        number(GGUFValueType.array.rawValue) + number(type.rawValue) + number(count) + bytes
    }

    /// An entry of the list of tensors; `dimensions` with the fastest first.
    static func tensor(
        _ name: String, _ dimensions: [UInt64], type: UInt32 = 0, offset: UInt64 = 0, rank: UInt32? = nil
    ) -> [UInt8] {
        string(name) + number(rank ?? UInt32(dimensions.count)) + dimensions.flatMap { number($0) } + number(type) + number(offset)
    }

    mutating func add(_ key: String, _ value: [UInt8]) { metadata.append((Self.string(key), value)) }

    var bytes: [UInt8] {
        var bytes = magic + Self.number(version) + Self.number(tensorCount ?? UInt64(tensors.count))
            + Self.number(metadataCount ?? UInt64(metadata.count))
        for (key, value) in metadata { bytes += key + value }
        for tensor in tensors { bytes += tensor }
        bytes += [UInt8](repeating: 0, count: (alignment - bytes.count % alignment) % alignment)
        return bytes + (0..<dataCount + trailing).map { UInt8(truncatingIfNeeded: $0 * 7) }
    }

    /// A value of every type and tensors of several, in an order that is not that of their data.
    static let valid: GGUFMaker = {
        var maker = GGUFMaker()
        maker.add("a.u8", value(.uint8, [7]))
        maker.add("a.i8", value(.int8, [0xff]))
        maker.add("a.u16", value(.uint16, number(65_535 as UInt16)))
        maker.add("a.i16", value(.int16, number(-2 as Int16)))
        maker.add("a.u32", value(.uint32, number(5 as UInt32)))
        maker.add("a.i32", value(.int32, number(-5 as Int32)))
        maker.add("a.f32", value(.float32, number((1.5 as Float).bitPattern)))
        maker.add("a.flag", value(.bool, [1]))
        maker.add("a.text", value(.string, string("hello")))
        maker.add("a.u64", value(.uint64, number(UInt64.max)))
        maker.add("a.i64", value(.int64, number(Int64.min)))
        maker.add("a.f64", value(.float64, number((0.25 as Double).bitPattern)))
        maker.add("a.words", array(.string, count: 2, string("x") + string("yz")))
        maker.add("a.floats", array(.float32, count: 1, number((2 as Float).bitPattern)))
        maker.add("a.ints", array(.int32, count: 3, [1, 2, -3].flatMap { number($0 as Int32) }))
        maker.add("a.nested", array(.array, count: 1, number(GGUFValueType.bool.rawValue) + number(2 as UInt64) + [0, 1]))
        maker.add("general.alignment", value(.uint32, number(64 as UInt32)))
        maker.alignment = 64
        maker.tensors = [tensor("second", [32, 2], type: 8, offset: 64), tensor("first", [3, 2], type: 0)]
        maker.dataCount = 64 + 68
        return maker
    }()
}
