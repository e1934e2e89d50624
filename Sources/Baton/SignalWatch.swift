@preconcurrency import Dispatch
import Foundation

/// Runs a closure when a signal comes, instead of the signal's own effect.
final class SignalWatch: Sendable {
    private let source: any DispatchSourceSignal
    private let number: Int32

    init(_ number: Int32, _ react: @escaping @Sendable () -> Void) {
        self.number = number
        signal(number, SIG_IGN)
        source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler(handler: react)
        source.resume()
    }

    func stop() {
        source.cancel()
        signal(number, SIG_DFL)
    }
}
