import ClusterCore
import Wire

extension FuzzTarget {
    /// The kinds of messages that may arrive where this one's do.
    var families: [any FramedMessage.Type] {
        switch self {
        case .json, .config, .tokenizer, .template, .toolcalls, .safetensors, .gguf, .schema, .regex, .gbnf: []
        case .kv: [KVSending.self, KVReceiving.self]
        case .control: [ControlMessage.self]
        case .rpc: [ClientMessage.self, ServerMessage.self]
        }
    }

    /// Reads the frames as a message of each family; what was understood has to be said the same way ever after.
    static func message(_ frames: [Frame], _ families: [any FramedMessage.Type]) -> FuzzOutcome {
        var outcome = FuzzOutcome.refused("no family")
        for family in families {
            do {
                let message = try family.init(frames: frames)
                guard try isStable(message) else { return .broken("\(message)") }
                outcome = .accepted
            } catch {
                if outcome != .accepted { outcome = .refused("\(error)") }
            }
        }
        return outcome
    }

    private static func isStable<Message: FramedMessage>(_ message: Message) throws(WireError) -> Bool {
        if let sending = message as? KVSending, case .blocks(let blocks, let payload) = sending { verify(blocks, payload) }
        let said = try message.frames()
        return try Message(frames: said).frames().map(\.bytes) == said.map(\.bytes)
    }

    /// Copies a payload as a receiver does; its checksum may be anything.
    private static func verify(_ blocks: KVBlocks, _ payload: KVPayload) {
        let targets = (0..<blocks.range.count).map { _ in
            UnsafeMutableRawBufferPointer.allocate(byteCount: payload.blockByteCount, alignment: 16)
        }
        defer { for target in targets { target.deallocate() } }
        _ = payload.copyVerifying(blocks, modelHash: "m", into: targets)
    }

    /// The same KV message with the checksum that belongs to it; all else as it is.
    static func withRepairedChecksum(_ frames: [[UInt8]]) -> [[UInt8]] {
        guard let sending = try? KVSending(frames: frames.map { Frame($0) }), case .blocks(let blocks, let payload) = sending else {
            return frames
        }
        let bytes = payload.frames.flatMap(\.bytes), length = payload.blockByteCount
        let memory = stride(from: 0, to: bytes.count, by: length).map { start in
            let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: length, alignment: 16)
            copy.copyBytes(from: bytes[start..<start + length])
            return copy
        }
        defer { for block in memory { block.deallocate() } }
        let right = KVPayload(lending: memory.map { UnsafeRawBufferPointer($0) }, of: blocks, modelHash: "m", release: {})
        return (try? KVSending.blocks(blocks, right).frames().map(\.bytes)) ?? frames
    }
}
