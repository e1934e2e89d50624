import CZeroMQ
import ClusterCore
import Foundation
import Synchronization

/// One thread that owns sockets: it waits for them, for jobs and for timers in one place.
///
/// It is the executor of the actors that own these sockets, so that their code runs where libzmq demands it: on the
/// thread that made the socket, and on no other.
// @unchecked: `queue` is guarded by its mutex; everything marked as confined is touched on the thread alone.
public final class SocketThread: SerialExecutor, @unchecked Sendable {
    private enum Work {
        case job(UnownedJob)
        case closure(@Sendable () -> Void)
    }

    private struct Queue {
        /// In the order of submission.
        var work: [Work] = []
        var stopping = false
    }

    private let queue = Mutex(Queue())
    /// An eventfd: readable when there are jobs.
    private let doorbell: Int32
    private let context: Context
    /// The thread while it runs, 0 before and after; asked by any thread.
    private let thread = Atomic<pthread_t>(0)
    // Confined to the thread.
    private var sockets: [Registration] = []
    private var timers: [Timer] = []

    private struct Registration {
        let socket: Socket
        let ready: () -> Void
    }

    /// - Parameter name: of the thread, at most 15 bytes of it are shown by the system.
    /// - Throws: ``TransportError/system(operation:endpoint:code:)`` if the system has no more descriptors.
    public init(name: String) throws {
        context = try Context()
        doorbell = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
        guard doorbell >= 0 else { throw TransportError.system(operation: "eventfd", endpoint: "", code: errno) }
        let body = Thread { [self] in
            Self.tellName(name)
            main()
        }
        body.stackSize = 4 << 20
        body.start()
    }

    deinit { close(doorbell) }

    /// Ends the thread after the jobs that are waiting. What is submitted later never runs.
    public func stop() {
        queue.withLock { $0.stopping = true }
        ring()
    }

    // MARK: Executor

    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.withLock { $0.work.append(.job(job)) }
        ring()
    }

    /// Runs `body` on the thread, after what was submitted before.
    public func run(_ body: @escaping @Sendable () -> Void) {
        queue.withLock { $0.work.append(.closure(body)) }
        ring()
    }

    public func asUnownedSerialExecutor() -> UnownedSerialExecutor { UnownedSerialExecutor(ordinary: self) }

    public func checkIsolated() {
        precondition(isCurrent, "called off the socket thread")
    }

    public func isIsolatingCurrentContext() -> Bool? { isCurrent }

    var isCurrent: Bool { thread.load(ordering: .relaxed) == pthread_self() }

    // MARK: Sockets and timers, confined to the thread

    func makeSocket(_ kind: Socket.Kind, security: LinkSecurity, maxMessageBytes: Int) throws -> Socket {
        checkIsolated()
        return try Socket(kind, context: context, security: security, maxMessageBytes: maxMessageBytes)
    }

    /// Calls `ready` on this thread whenever `socket` may have something to read. It should read a bounded number of
    /// messages; it is called again for the rest.
    ///
    /// Links that connect are served before those that are bound: a worker's orders and heartbeats never wait behind the
    /// KV that others send it.
    func register(_ socket: Socket, first: Bool = false, ready: @escaping () -> Void) {
        checkIsolated()
        sockets.insert(Registration(socket: socket, ready: ready), at: first ? 0 : sockets.count)
    }

    /// Sockets that are waited for.
    var socketCount: Int {
        checkIsolated()
        return sockets.count
    }

    func unregister(_ socket: Socket) {
        checkIsolated()
        sockets.removeAll { $0.socket === socket }
    }

    /// Something to do later on this thread.
    public final class Timer {
        fileprivate let time: Instant
        fileprivate var action: (() -> Void)?

        fileprivate init(time: Instant, action: @escaping () -> Void) {
            self.time = time
            self.action = action
        }

        /// Forgets the action. On the thread only.
        public func cancel() { action = nil }
    }

    /// Runs `action` at `time` unless the timer is cancelled before. On the thread only.
    public func schedule(at time: Instant, _ action: @escaping () -> Void) -> Timer {
        checkIsolated()
        let timer = Timer(time: time, action: action)
        timers.append(timer)
        return timer
    }

    // MARK: The loop

    /// Foundation has a name for threads, too, which now and then does not come to the system.
    private static func tellName(_ name: String) {
        let file = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return }
        _ = name.withCString { write(file, $0, min(15, strlen($0))) }
        close(file)
    }

    private func ring() {
        var one: UInt64 = 1
        // Fails only if the counter is full, and then the thread wakes anyway.
        _ = write(doorbell, &one, MemoryLayout<UInt64>.size)
    }

    private func main() {
        thread.store(pthread_self(), ordering: .relaxed)
        while true {
            let taken = queue.withLock { queue in
                defer { queue.work = [] }
                return queue
            }
            for work in taken.work {
                switch work {
                case .job(let job): job.runSynchronously(on: asUnownedSerialExecutor())
                case .closure(let closure): closure()
                }
            }
            runTimers()
            serveSockets()
            let idle = queue.withLock { $0.work.isEmpty }
            if taken.stopping, idle { break }
            if idle { wait() }
        }
        for registration in sockets { registration.socket.close() }
        sockets = []
        timers = []
        context.terminate()
        thread.store(0, ordering: .relaxed)
    }

    private func runTimers() {
        guard !timers.isEmpty else { return }
        let now = Instant.now
        let due = timers.filter { $0.time <= now }.sorted { $0.time < $1.time }
        timers.removeAll { $0.time <= now || $0.action == nil }
        for timer in due {
            // An earlier one may have cancelled it.
            timer.action?()
        }
    }

    private func serveSockets() {
        // A handler may register and unregister sockets.
        for registration in sockets where !registration.socket.isClosed && registration.socket.isReadable {
            registration.ready()
        }
    }

    private func wait() {
        if sockets.contains(where: { !$0.socket.isClosed && $0.socket.isReadable }) { return }
        var items = sockets.map { zmq_pollitem_t(socket: $0.socket.handle, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0) }
        items.append(zmq_pollitem_t(socket: nil, fd: doorbell, events: Int16(ZMQ_POLLIN), revents: 0))
        _ = zmq_poll(&items, Int32(items.count), millisecondsToNextTimer)
        var count: UInt64 = 0
        _ = read(doorbell, &count, MemoryLayout<UInt64>.size)
    }

    private var millisecondsToNextTimer: Int {
        guard let next = timers.lazy.filter({ $0.action != nil }).map(\.time).min() else { return -1 }
        let left = next.nanoseconds.subtractingReportingOverflow(Instant.now.nanoseconds)
        if left.overflow || left.partialValue > 3_600_000_000_000 { return 3_600_000 }
        // Rounded up, so as not to wake early and spin.
        return max(0, Int((left.partialValue + 999_999) / 1_000_000))
    }
}

/// A libzmq context; ends when its last socket is closed.
final class Context {
    private let handle: UnsafeMutableRawPointer

    init() throws(TransportError) {
        guard let handle = zmq_ctx_new() else { throw .last("zmq_ctx_new") }
        self.handle = handle
        zmq_ctx_set(handle, ZMQ_MAX_SOCKETS, 4096)
    }

    func makeSocket(_ type: Int32) throws(TransportError) -> UnsafeMutableRawPointer {
        guard let socket = zmq_socket(handle, type) else { throw .last("zmq_socket") }
        return socket
    }

    /// Waits until libzmq has let go of everything, so that every buffer lent to it is back.
    func terminate() { while zmq_ctx_term(handle) != 0, zmq_errno() == EINTR {} }
}
