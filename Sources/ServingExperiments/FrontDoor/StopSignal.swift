import Synchronization

/// Tells whoever asks that it is time to stop, once that has been said.
final class StopSignal: Sendable {
    private let state = Atomic(false)

    var isGiven: Bool { state.load(ordering: .relaxed) }

    func give() { state.store(true, ordering: .relaxed) }
}
