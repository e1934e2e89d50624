import Foundation

/// Results on disk, one JSON file a cell, so that a benchmark of hours may be interrupted at any moment and go on later.
public struct ResultStore: Sendable {
    public let directory: URL

    /// - Throws: an error of Foundation if the directory cannot be made.
    public init(directory: URL) throws {
        self.directory = directory
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    }

    private func file(_ name: String) -> URL { directory.appendingPathComponent(name + ".json") }

    /// What an earlier run measured for exactly this cell with exactly this build. A file that is damaged or of another
    /// form is as good as none: the cell is measured again.
    public func result(of cell: Cell, build: String) -> CellResult? {
        guard let result: CellResult = read(cell.name), result.cell == cell, result.build == build else { return nil }
        return result
    }

    public func rates(of key: RatesResult.Key, build: String) -> EngineRates? {
        guard let result: RatesResult = read(key.name), result.key == key, result.build == build else { return nil }
        return result.rates
    }

    public func longSession(build: String) -> LongSession.Outcome? {
        guard let result: StoredSession = read(StoredSession.name), result.build == build else { return nil }
        return result.outcome
    }

    public func store(_ result: CellResult) throws { try write(result, result.cell.name) }
    public func store(_ result: RatesResult) throws { try write(result, result.key.name) }
    public func store(_ outcome: LongSession.Outcome, build: String) throws {
        try write(StoredSession(outcome: outcome, build: build), StoredSession.name)
    }

    private struct StoredSession: Codable {
        static let name = "long-session"
        var outcome: LongSession.Outcome
        var build: String
    }

    func read<Value: Decodable>(_ name: String) -> Value? {
        guard let data = try? Data(contentsOf: file(name)) else { return nil }
        return try? JSONDecoder().decode(Value.self, from: data)
    }

    /// Whole or not at all.
    func write(_ value: some Encodable, _ name: String) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
        try encoder.encode(value).write(to: file(name), options: .atomic)
    }
}
