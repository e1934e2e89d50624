import CProtobufC

/// Packing and unpacking of header frames, within limits.
enum Header {
    /// Of the protocol; peers of another one are refused.
    static let version: UInt32 = 1
    static let maxByteCount = 4096
    /// Memory that unpacking one header may take.
    static let allocationBudget = 64 << 10

    /// Unpacks a header that holds nothing unknown, and frees it when `body` returns.
    ///
    /// - Parameters:
    ///   - message: named in errors.
    ///   - unpack: the generated function, e.g. `baton__kvheader__unpack`.
    static func unpack<Message, Result>(
        _ frame: Frame, message: String,
        with unpack: (UnsafeMutablePointer<ProtobufCAllocator>?, Int, UnsafePointer<UInt8>?) -> UnsafeMutablePointer<Message>?,
        _ body: (UnsafeMutablePointer<Message>) throws(WireError) -> Result
    ) throws(WireError) -> Result {
        guard frame.count <= maxByteCount else {
            throw .headerTooLong(message: message, byteCount: frame.count)
        }
        let budget = AllocationBudget(byteCount: allocationBudget)
        var allocator = budget.allocator
        let unpacked = frame.withUnsafeBytes { bytes in
            unpack(&allocator, bytes.count, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
        }
        guard let unpacked else { throw .malformedHeader(message: message) }
        let base = UnsafeMutableRawPointer(unpacked).assumingMemoryBound(to: ProtobufCMessage.self)
        defer {
            protobuf_c_message_free_unpacked(base, &allocator)
            withExtendedLifetime(budget) {}
        }
        if hasUnknownFields(base) { throw .unknownFields(message: message) }
        return try body(unpacked)
    }

    /// Packs a message built in `arena`.
    static func pack<Message>(
        _ pointer: UnsafeMutablePointer<Message>, message: String
    ) throws(WireError) -> Frame {
        let base = UnsafeMutableRawPointer(pointer).assumingMemoryBound(to: ProtobufCMessage.self)
        let byteCount = protobuf_c_message_get_packed_size(base)
        guard byteCount <= maxByteCount else { throw .headerTooLong(message: message, byteCount: byteCount) }
        return Frame(
            [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
                count = protobuf_c_message_pack(base, buffer.baseAddress)
            })
    }

    /// protobuf-c keeps what it does not know, at every level of nesting.
    private static func hasUnknownFields(_ message: UnsafePointer<ProtobufCMessage>) -> Bool {
        if message.pointee.n_unknown_fields > 0 { return true }
        guard let descriptor = message.pointee.descriptor else { return true }
        return (0..<Int(descriptor.pointee.n_fields)).contains { index in
            let field = descriptor.pointee.fields[index]
            guard field.type == PROTOBUF_C_TYPE_MESSAGE else { return false }
            return children(of: message, field).contains(where: hasUnknownFields)
        }
    }

    private static func children(
        of message: UnsafePointer<ProtobufCMessage>, _ field: ProtobufCFieldDescriptor
    ) -> [UnsafePointer<ProtobufCMessage>] {
        let base = UnsafeRawPointer(message)
        if field.label == PROTOBUF_C_LABEL_REPEATED {
            let count = base.load(fromByteOffset: Int(field.quantifier_offset), as: Int.self)
            let list = base.load(
                fromByteOffset: Int(field.offset), as: UnsafePointer<UnsafePointer<ProtobufCMessage>>?.self)
            return (0..<count).compactMap { list?[$0] }
        }
        if field.flags & UInt32(PROTOBUF_C_FIELD_FLAG_ONEOF.rawValue) != 0 {
            // Another member of the union is set: the pointer is not this field's.
            let set = base.load(fromByteOffset: Int(field.quantifier_offset), as: UInt32.self)
            guard set == field.id else { return [] }
        }
        let child = base.load(fromByteOffset: Int(field.offset), as: UnsafePointer<ProtobufCMessage>?.self)
        return child.map { [$0] } ?? []
    }
}

/// Memory for one unpacking; beyond the budget protobuf-c is told that there is none.
private final class AllocationBudget {
    private var remaining: Int

    init(byteCount: Int) { remaining = byteCount }

    /// Valid as long as this object lives.
    var allocator: ProtobufCAllocator {
        ProtobufCAllocator(
            alloc: { context, byteCount in
                guard let context else { return nil }
                return Unmanaged<AllocationBudget>.fromOpaque(context).takeUnretainedValue().allocate(byteCount)
            },
            free: { _, memory in memory?.deallocate() },
            allocator_data: Unmanaged.passUnretained(self).toOpaque())
    }

    private func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer? {
        guard byteCount >= 0, byteCount <= remaining else { return nil }
        remaining -= byteCount
        return .allocate(byteCount: max(1, byteCount), alignment: 16)
    }
}

/// Memory of a message while it is packed.
final class Arena {
    private var memory: [UnsafeMutableRawPointer] = []

    deinit { for block in memory { block.deallocate() } }

    /// A message with its defaults, then filled.
    func make<Message>(
        _ initialize: (UnsafeMutablePointer<Message>?) -> Void, _ fill: (inout Message) -> Void = { _ in }
    ) -> UnsafeMutablePointer<Message> {
        let pointer = allocate(Message.self, count: 1)
        initialize(pointer)
        fill(&pointer.pointee)
        return pointer
    }

    func text(_ text: some StringProtocol) -> ProtobufCBinaryData {
        let bytes = Array(text.utf8)
        let pointer = array(bytes)
        return ProtobufCBinaryData(len: bytes.count, data: pointer)
    }

    /// Text that only people read: its beginning, if it is longer than `maxBytes` in UTF-8.
    func text(_ text: String, atMost maxBytes: Int) -> ProtobufCBinaryData {
        var end = text.utf8.index(text.startIndex, offsetBy: maxBytes, limitedBy: text.endIndex) ?? text.endIndex
        while end.samePosition(in: text.unicodeScalars) == nil { end = text.utf8.index(before: end) }
        return self.text(text[..<end])
    }

    func array<Element: BitwiseCopyable>(_ elements: [Element]) -> UnsafeMutablePointer<Element> {
        let pointer = allocate(Element.self, count: max(1, elements.count))
        pointer.update(from: elements, count: elements.count)
        return pointer
    }

    private func allocate<Element>(_ type: Element.Type, count: Int) -> UnsafeMutablePointer<Element> {
        let block = UnsafeMutableRawPointer.allocate(
            byteCount: MemoryLayout<Element>.stride * count, alignment: MemoryLayout<Element>.alignment)
        memory.append(block)
        block.initializeMemory(as: UInt8.self, repeating: 0, count: MemoryLayout<Element>.stride * count)
        return block.bindMemory(to: Element.self, capacity: count)
    }
}

/// Reads fields of one message, naming them in errors.
struct FieldReader {
    let message: String

    init(_ message: String) { self.message = message }

    func required<Value>(_ value: Value?, _ field: String) throws(WireError) -> Value {
        guard let value else { throw .missing(message: message, field: field) }
        return value
    }

    func text(_ data: ProtobufCBinaryData, _ field: String, maxBytes: Int = 1024) throws(WireError) -> String {
        guard data.len <= maxBytes else {
            throw .value(message: message, field: field, value: "text of \(data.len) bytes")
        }
        let bytes = UnsafeBufferPointer(start: data.data, count: data.len)
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw .notText(message: message, field: field)
        }
        return text
    }

    /// A count that fits the machine's arithmetic with room to spare.
    func count(_ value: UInt32, _ field: String, in range: ClosedRange<Int> = 0...Int(Int32.max)) throws(WireError) -> Int {
        guard let value = Int(exactly: value), range.contains(value) else {
            throw .value(message: message, field: field, value: "\(value)")
        }
        return value
    }

    func frameCount(_ frames: [Frame], _ expected: Int) throws(WireError) {
        guard frames.count == expected else {
            throw .frameCount(message: message, expected: expected, actual: frames.count)
        }
    }

    func version(_ theirs: UInt32) throws(WireError) {
        guard theirs == Header.version else { throw .version(ours: Header.version, theirs: theirs) }
    }
}
