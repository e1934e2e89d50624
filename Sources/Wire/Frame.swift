/// One frame of a message: bytes that are owned, lent for sending, or kept alive by whoever received them.
public struct Frame: @unchecked Sendable {
    // @unchecked: the bytes are immutable while the frame exists, whoever owns them.
    private enum Storage {
        case owned([UInt8])
        case lent(UnsafeRawBufferPointer, release: @Sendable () -> Void)
        case received(UnsafeRawBufferPointer, owner: AnyObject)
    }

    private let storage: Storage

    public init(_ bytes: [UInt8]) { storage = .owned(bytes) }

    /// Lends memory to the transport without a copy. `release` is called once, on any thread, when it reads it no more;
    /// until then the bytes must not change.
    public init(lending bytes: UnsafeRawBufferPointer, release: @escaping @Sendable () -> Void) {
        storage = .lent(bytes, release: release)
    }

    /// Bytes that stay valid as long as `owner` lives.
    public init(received bytes: UnsafeRawBufferPointer, owner: AnyObject) {
        storage = .received(bytes, owner: owner)
    }

    public var count: Int {
        switch storage {
        case .owned(let bytes): bytes.count
        case .lent(let bytes, _): bytes.count
        case .received(let bytes, _): bytes.count
        }
    }

    public func withUnsafeBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
        switch storage {
        case .owned(let bytes): try bytes.withUnsafeBytes(body)
        case .lent(let bytes, _): try body(bytes)
        case .received(let bytes, let owner): try withExtendedLifetime(owner) { try body(bytes) }
        }
    }

    /// What a frame without a copy has to give back; `nil` for a frame that may be copied.
    public var loan: (bytes: UnsafeRawBufferPointer, release: @Sendable () -> Void)? {
        if case .lent(let bytes, let release) = storage { (bytes, release) } else { nil }
    }

    public var bytes: [UInt8] { withUnsafeBytes { [UInt8]($0) } }
}

/// A message that travels as frames. Whatever arrives is checked; nothing that a peer sends can trap the process.
public protocol FramedMessage: Sendable {
    /// - Throws: ``WireError`` if the message cannot be said within the wire's limits.
    func frames() throws(WireError) -> [Frame]
    /// - Throws: ``WireError`` that names the message, the field and the value.
    init(frames: [Frame]) throws(WireError)
}
