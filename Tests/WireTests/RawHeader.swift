/// Writes protobuf by hand, so that a test can say what no honest peer would.
/// Encoding after https://protobuf.dev/programming-guides/encoding/.
struct RawHeader {
    private(set) var bytes: [UInt8] = []

    static func with(version: UInt64 = 1, _ fill: (inout RawHeader) -> Void) -> [UInt8] {
        var header = RawHeader()
        header.varint(1, version)
        fill(&header)
        return header.bytes
    }

    mutating func varint(_ field: UInt64, _ value: UInt64) {
        raw(field << 3)
        raw(value)
    }

    mutating func fixed32(_ field: UInt64, _ value: UInt32) {
        raw(field << 3 | 5)
        withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
    }

    mutating func data(_ field: UInt64, _ value: [UInt8]) {
        raw(field << 3 | 2)
        raw(UInt64(value.count))
        bytes += value
    }

    mutating func text(_ field: UInt64, _ value: String) { data(field, Array(value.utf8)) }

    mutating func message(_ field: UInt64, _ fill: (inout RawHeader) -> Void = { _ in }) {
        var child = RawHeader()
        fill(&child)
        data(field, child.bytes)
    }

    private mutating func raw(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}
