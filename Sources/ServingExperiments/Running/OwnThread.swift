import Foundation
import Kernels

/// Runs long work on a thread of its own, the first of a team that is pinned to `cores`: an engine belongs to one thread, and
/// the cooperative pool is no place for it.
func onTeam<Result: Sendable>(
    of cores: [Int], _ work: @escaping @Sendable (ThreadTeam) throws -> Result
) async throws -> Result {
    try await withCheckedThrowingContinuation { done in
        let thread = Thread { done.resume(with: Swift.Result { try run(work, cores) }) }
        thread.stackSize = 8 << 20
        thread.start()
    }
}

private func run<Result>(_ work: (ThreadTeam) throws -> Result, _ cores: [Int]) throws -> Result {
    let team = try ThreadTeam(maxThreads: cores.count)
    try team.place(on: cores)
    // Whoever is woken by this thread may be a new thread, and that inherits where this one may run; so do processes.
    defer { try? team.place(on: []) }
    return try work(team)
}

extension Duration {
    var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
