/// Changes fields of a protobuf message and writes all lengths around them anew.
/// Encoding after https://protobuf.dev/programming-guides/encoding/.
enum ProtobufMutation {
    private struct Field {
        var number: UInt64
        var value: Value
    }

    private enum Value {
        case varint(UInt64)
        case fixed(type: UInt64, [UInt8])
        case data([UInt8])
    }

    private static let numbers: [UInt64] = [
        0, 1, 2, 3, 16, 127, 128, 255, 4096, 65_535, 1 << 24, 1 << 28, 1 << 31 - 1, 1 << 31, 1 << 32 - 1, 1 << 32, 1 << 63, .max,
    ]

    /// Bytes that are no message are changed as bytes.
    static func mutate(_ bytes: [UInt8], _ random: inout FuzzRandom, byBytes: ([UInt8]) -> [UInt8]) -> [UInt8] {
        guard var fields = fields(of: bytes), !fields.isEmpty else { return byBytes(bytes) }
        let index = random.below(fields.count)
        switch random.below(10) {
        case 0: fields.insert(fields[index], at: random.below(fields.count + 1))
        case 1: fields.remove(at: index)
        case 2: fields.swapAt(index, random.below(fields.count))
        case 3: fields[index].number = UInt64(1 + random.below(45))
        default: fields[index].value = mutate(fields[index].value, &random, byBytes: byBytes)
        }
        return fields.flatMap(encode)
    }

    private static func mutate(_ value: Value, _ random: inout FuzzRandom, byBytes: ([UInt8]) -> [UInt8]) -> Value {
        switch value {
        case .varint(let number):
            switch random.below(4) {
            case 0: .varint(number &+ 1)
            case 1: .varint(number &- 1)
            case 2: .varint(number ^ 1 << UInt64(random.below(64)))
            default: .varint(numbers[random.below(numbers.count)])
            }
        case .fixed(let type, let bytes): .fixed(type: type, bytes.map { $0 ^ UInt8(truncatingIfNeeded: random.next()) })
        // Most data are messages; those that are not, or now and then, are changed as bytes.
        case .data(let bytes): .data(random.chance(of: 5) ? byBytes(bytes) : mutate(bytes, &random, byBytes: byBytes))
        }
    }

    private static func fields(of bytes: [UInt8]) -> [Field]? {
        var fields: [Field] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            guard let tag = varint(&rest), tag >> 3 > 0 else { return nil }
            switch tag & 7 {
            case 0:
                guard let number = varint(&rest) else { return nil }
                fields.append(Field(number: tag >> 3, value: .varint(number)))
            case 2:
                guard let count = varint(&rest), count <= rest.count else { return nil }
                fields.append(Field(number: tag >> 3, value: .data(Array(rest.prefix(Int(count))))))
                rest = rest.dropFirst(Int(count))
            case let type where type == 1 || type == 5:
                let count = type == 1 ? 8 : 4
                guard rest.count >= count else { return nil }
                fields.append(Field(number: tag >> 3, value: .fixed(type: type, Array(rest.prefix(count)))))
                rest = rest.dropFirst(count)
            default: return nil
            }
        }
        return fields
    }

    private static func varint(_ rest: inout ArraySlice<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard let byte = rest.popFirst() else { return nil }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        return nil
    }

    private static func encode(_ field: Field) -> [UInt8] {
        switch field.value {
        case .varint(let number): encode(field.number << 3) + encode(number)
        case .fixed(let type, let bytes): encode(field.number << 3 | type) + bytes
        case .data(let bytes): encode(field.number << 3 | 2) + encode(UInt64(bytes.count)) + bytes
        }
    }

    private static func encode(_ value: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }
}
