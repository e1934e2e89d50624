import Foundation
import LocalCluster
import Testing

@testable import Jobs

/// A process that works on a batch is killed again and again, at whatever moment.
@Suite struct CrashTests {
    private static let program = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent(".build/release/JobStoreWriter")

    @Test(.timeLimit(.minutes(3))) func eachLineEndsOnceThroughKills() async throws {
        let place = try TestStore()
        let log = place.directory.appendingPathComponent("asked.log")
        let count = 3000
        var ended: [Set<String>] = [[]]
        var asked: [[Substring]] = []
        var seen = 0
        var kills = 0
        while true {
            // Longer and longer, so that it comes to its end on any machine.
            let writer = try await ChildProcess.start(
                name: "writer", executable: Self.program, arguments: [place.path, String(count), log.path],
                log: place.directory.appendingPathComponent("writer.log"))
            let pause = Duration.milliseconds(40 + kills * 15)
            let killer = Task {
                try await Task.sleep(for: pause)
                writer.signal(SIGKILL)
            }
            let code = await writer.waitForExit()
            killer.cancel()
            let lines = ((try? String(contentsOf: log, encoding: .utf8)) ?? "").split(separator: "\n")
            asked.append(Array(lines[min(seen, lines.count)...]))
            seen = lines.count
            let store = try await JobStore.open(path: place.path, patience: .seconds(5))
            let batch = try await store.batches(after: nil, limit: 1).elements.first
            if let batch { ended.append(try await check(batch, in: store)) } else { ended.append([]) }
            if code == 0 { break }
            kills += 1
            try #require(kills < 200, "exit code \(code)")
        }
        #expect(kills >= 3)
        // Nobody asks for what has ended, and whatever is asked twice has the same seed.
        for (life, lines) in asked.enumerated() {
            let again = Set(lines.map { String($0.prefix { $0 != " " }) }).intersection(ended[life])
            #expect(again.isEmpty, "life \(life) asks again: \(again.prefix(5))")
        }
        let pairs = Set(asked.joined())
        #expect(pairs.count == count, "\(pairs.count) pairs of line and seed")
        #expect(ended.last?.count == count)
    }

    /// - Returns: lines that have ended.
    private func check(_ batch: Batch, in store: JobStore) async throws -> Set<String> {
        var (ids, position, answers): (Set<String>, Int64, Int64) = ([], 0, 0)
        while true {
            let lines = try await store.endedLines(of: batch.id, after: position, in: .completion, limit: 1000)
            guard let last = lines.last else { break }
            #expect(lines.map(\.position) == Array(position + 1...last.position), "places have gaps")
            position = last.position
            for line in lines {
                let object = try #require(try JSONSerialization.jsonObject(with: Data(line.text)) as? [String: Any])
                let id = try #require(object["custom_id"] as? String)
                #expect(ids.insert(id).inserted, "\(id) ended twice")
                if line.isAnswer { answers += 1 }
            }
        }
        #expect(batch.counts.ended == position && batch.counts.completed == answers)
        return ids
    }
}
