import CZeroMQ
import Wire

/// A libzmq message in memory of its own, so that its address stays while libzmq or a frame holds it.
struct MessagePointer {
    let pointer: UnsafeMutablePointer<zmq_msg_t>

    /// Empty, to receive into.
    init() {
        pointer = .allocate(capacity: 1)
        zmq_msg_init(pointer)
    }

    /// Holds the frame's bytes: lent ones without a copy, others copied.
    init(_ frame: Frame) {
        pointer = .allocate(capacity: 1)
        if let loan = frame.loan {
            let note = Unmanaged.passRetained(LoanNote(loan.release))
            zmq_msg_init_data(
                pointer, UnsafeMutableRawPointer(mutating: loan.bytes.baseAddress), loan.bytes.count,
                { _, hint in
                    // On one of libzmq's own threads.
                    guard let hint else { return }
                    Unmanaged<LoanNote>.fromOpaque(hint).takeRetainedValue().release()
                }, note.toOpaque())
        } else {
            zmq_msg_init_size(pointer, frame.count)
            frame.withUnsafeBytes { bytes in
                guard let source = bytes.baseAddress else { return }
                zmq_msg_data(pointer)?.copyMemory(from: source, byteCount: bytes.count)
            }
        }
    }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: zmq_msg_data(pointer), count: zmq_msg_size(pointer)) }

    /// Frees the memory; libzmq must have taken the message, or it must have been closed.
    func deallocate() { pointer.deallocate() }
}

/// What to do when libzmq is done with a lent frame.
private final class LoanNote {
    let release: @Sendable () -> Void

    init(_ release: @escaping @Sendable () -> Void) { self.release = release }
}

extension Frame {
    /// Keeps a received message alive as long as anybody reads the frame.
    init(received message: MessagePointer) {
        self.init(received: message.bytes, owner: ReceivedMessage(message))
    }
}

private final class ReceivedMessage {
    private let message: MessagePointer

    init(_ message: MessagePointer) { self.message = message }

    deinit {
        zmq_msg_close(message.pointer)
        message.deallocate()
    }
}
