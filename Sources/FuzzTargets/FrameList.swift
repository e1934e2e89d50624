import Wire

/// A message's frames in one row of bytes: before each its length, 16 bits, little-endian. A length that is too great
/// takes what is there, so that every row of bytes is a list of frames.
public enum FrameList {
    static func frames(of bytes: UnsafeRawBufferPointer) -> [Frame] { split(bytes).map { Frame($0) } }

    static func split(_ bytes: UnsafeRawBufferPointer) -> [[UInt8]] {
        var frames: [[UInt8]] = []
        var rest = bytes[...]
        while rest.count >= 2 {
            let count = Int(rest[rest.startIndex]) | Int(rest[rest.startIndex + 1]) << 8
            frames.append(Array(rest.dropFirst(2).prefix(count)))
            rest = rest.dropFirst(2 + count)
        }
        return frames
    }

    public static func joined(_ frames: [[UInt8]]) -> [UInt8] {
        frames.flatMap { frame in
            let count = min(frame.count, Int(UInt16.max))
            return [UInt8(count & 0xFF), UInt8(count >> 8)] + frame.prefix(count)
        }
    }
}
