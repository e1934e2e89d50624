/// What stands above the tables.
public struct ReportContext: Sendable {
    /// Processor, cores and memory, in a line.
    public var machine: String
    public var model: String
    /// Identity of programs and model.
    public var build: String
    /// As in 2026-01-31.
    public var date: String
    /// The command that made it.
    public var command: String

    public init(machine: String, model: String, build: String, date: String, command: String) {
        self.machine = machine
        self.model = model
        self.build = build
        self.date = date
        self.command = command
    }
}
