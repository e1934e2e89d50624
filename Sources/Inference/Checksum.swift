import CChecksum

enum Checksum {
    /// CRC32C of `bytes`.
    static func crc32c(_ bytes: UnsafeRawBufferPointer) -> UInt32 { bc_crc32c(0, bytes.baseAddress, bytes.count) }
    static func crc32c(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { crc32c($0) } }
}
