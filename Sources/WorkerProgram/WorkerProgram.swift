import ArgumentParser
import ClusterCore
import ProgramSupport
import ServiceLifecycle
import WorkerRuntime

/// What the worker programs have in common: everything but the role.
public protocol WorkerProgram: AsyncParsableCommand {
    static var role: WorkerRole { get }
    var options: WorkerOptions { get }
}

/// A running worker.
public protocol ServingWorker: Sendable {
    func run() async throws
    func drain() async
}

extension PrefillWorker: ServingWorker {}
extension DecodeWorker: ServingWorker {}
extension MixedWorker: ServingWorker {}

extension WorkerProgram {
    public func run() async throws {
        var configuration = try options.configuration(role: Self.role)
        if options.check.checkConfig { return print("configuration is valid") }
        options.parent.watch()
        let progress = ProgressLine(title: "\(configuration.worker.name): packing weights")
        configuration.onPacking = { share in
            if share < 1 { progress.show(share) } else { progress.clear() }
        }
        let logger = options.logging.makeLogger(label: configuration.worker.name)
        let worker: any ServingWorker
        switch Self.role {
        case .prefill: worker = try await PrefillWorker.start(configuration, logger: logger)
        case .decode: worker = try await DecodeWorker.start(configuration, logger: logger)
        case .mixed: worker = try await MixedWorker.start(configuration, logger: logger)
        }
        try await Program.serve(WorkerService(worker: worker), logger: logger) { await worker.drain() }
    }
}

private struct WorkerService: Service {
    let worker: any ServingWorker

    func run() async throws {
        try await withGracefulShutdownHandler {
            try await worker.run()
        } onGracefulShutdown: {
            Task { await worker.drain() }
        }
    }
}
