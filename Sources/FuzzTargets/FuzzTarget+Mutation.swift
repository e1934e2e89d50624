extension FuzzTarget {
    /// Another input made from `input`, for parsers that bytes changed at random hardly ever get into.
    ///
    /// - Parameters:
    ///   - limit: the greatest number of bytes of the result.
    ///   - byBytes: changes bytes without knowing what they mean.
    public func mutate(
        _ input: [UInt8], seed: UInt64, atMost limit: Int, byBytes: ([UInt8]) -> [UInt8]
    ) -> [UInt8] {
        var random = FuzzRandom(state: seed)
        let mutated =
            switch self {
            case .json, .config, .tokenizer, .schema:
                random.chance(of: 2) ? byBytes(input) : JSONMutation.mutate(input, &random)
            case .template: TemplateMutation.mutate(input, &random, byBytes: byBytes)
            case .toolcalls: random.chance(of: 2) ? byBytes(input) : TemplateMutation.spliced(input, TemplateMutation.answerPieces, &random)
            case .safetensors: Self.mutateSafetensors(input, &random, byBytes: byBytes)
            case .regex, .gbnf: ConstraintMutation.mutate(input, &random, byBytes: byBytes)
            case .gguf: Self.mutateNumber(input, &random, byBytes: byBytes)
            case .kv, .control, .rpc: mutateMessage(input, &random, byBytes: byBytes)
            }
        return Array(mutated.prefix(limit))
    }

    /// In half of the cases a number of four or eight bytes becomes one that lies at some edge.
    private static func mutateNumber(
        _ input: [UInt8], _ random: inout FuzzRandom, byBytes: ([UInt8]) -> [UInt8]
    ) -> [UInt8] {
        guard input.count > 16, random.chance(of: 2) else { return byBytes(input) }
        let edges: [UInt64] = [0, 1, 2, 3, 9, 30, 31, 33, 64, 255, 1 << 16, 1 << 31, 1 << 32, 1 << 62, 1 << 63, .max, UInt64(input.count)]
        let size = random.chance(of: 2) ? 4 : 8, offset = random.below(input.count - size)
        var output = input, value = edges[random.below(edges.count)] &- UInt64(random.below(2))
        for i in offset..<offset + size {
            output[i] = UInt8(truncatingIfNeeded: value)
            value >>= 8
        }
        return output
    }

    /// Mostly the header; its length is made right again in half of the cases.
    private static func mutateSafetensors(
        _ input: [UInt8], _ random: inout FuzzRandom, byBytes: ([UInt8]) -> [UInt8]
    ) -> [UInt8] {
        guard input.count > 8, !random.chance(of: 4) else { return byBytes(input) }
        let declared = input[..<8].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let end = 8 + Int(min(declared, UInt64(input.count - 8)))
        var header = Array(input[8..<end])
        header = random.chance(of: 3) ? byBytes(header) : JSONMutation.mutate(header, &random)
        let isRepaired = random.chance(of: 2)
        let length = isRepaired ? withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) } : Array(input[..<8])
        return length + header + input[end...]
    }

    /// Fields of the header, or frames; half of the KV messages get the checksum that belongs to them.
    private func mutateMessage(
        _ input: [UInt8], _ random: inout FuzzRandom, byBytes: ([UInt8]) -> [UInt8]
    ) -> [UInt8] {
        var frames = input.withUnsafeBytes(FrameList.split)
        guard !frames.isEmpty, !random.chance(of: 8) else { return byBytes(input) }
        switch random.below(8) {
        case 0: frames.insert(frames[random.below(frames.count)], at: random.below(frames.count + 1))
        case 1 where frames.count > 1: frames.remove(at: random.below(frames.count))
        case 2:
            let index = random.below(frames.count)
            frames[index] = byBytes(frames[index])
        default:
            // The first frame is the header; of a status, all are.
            let index = random.chance(of: 4) ? random.below(frames.count) : 0
            frames[index] = ProtobufMutation.mutate(frames[index], &random, byBytes: byBytes)
        }
        if self == .kv, random.chance(of: 2) { frames = Self.withRepairedChecksum(frames) }
        return FrameList.joined(frames)
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct FuzzRandom {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(max(bound, 1))) }
    mutating func chance(of cases: Int) -> Bool { below(cases) == 0 }
}
