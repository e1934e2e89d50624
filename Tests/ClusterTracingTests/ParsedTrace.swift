import Foundation
import Testing

/// A trace read back, as a viewer reads it.
struct ParsedTrace {
    struct Event: Decodable {
        var phase: String
        var process: Int
        var thread: Int
        /// Microseconds.
        var time: Double
        var name: String?
        var category: String?
        var id: UInt64?
        var arguments: Arguments?

        struct Arguments: Decodable {
            var name: String?
        }

        enum CodingKeys: String, CodingKey {
            case phase = "ph", process = "pid", thread = "tid", time = "ts", name, category = "cat", id, arguments = "args"
        }
    }

    struct Span: Equatable {
        var process: String
        var begin: Double
        var end: Double
    }

    private struct Track: Hashable {
        var process: Int
        var thread: Int
    }

    private struct Key: Hashable {
        var category: String
        var id: UInt64
        var name: String
    }

    let events: [Event]

    init(_ json: String) throws {
        events = try JSONDecoder().decode([Event].self, from: Data(json.utf8))
    }

    var processNames: [String] { events.filter { $0.name == "process_name" }.compactMap { $0.arguments?.name } }

    private func processName(_ process: Int) -> String {
        let name = events.first { $0.name == "process_name" && $0.process == process }?.arguments?.name ?? "?"
        return String(name.prefix { $0 != " " })
    }

    func tracks(of name: String) -> [Int] {
        events.filter { $0.phase == "B" && $0.name == name }.map { $0.process << 32 + $0.thread }
    }

    func spans(named name: String) -> [Span] {
        var open: [Track: [(String, Double)]] = [:]
        var spans: [Span] = []
        for event in events {
            let track = Track(process: event.process, thread: event.thread)
            if event.phase == "B" { open[track, default: []].append((event.name ?? "", event.time)) }
            if event.phase == "E", let (opened, begin) = open[track]?.popLast(), opened == name {
                spans.append(Span(process: processName(event.process), begin: begin, end: event.time))
            }
        }
        return spans
    }

    func asyncSpans(named name: String) -> [Span] {
        var begins: [UInt64: Double] = [:]
        var spans: [Span] = []
        for event in events where event.name == name {
            guard let id = event.id else { continue }
            if event.phase == "b" { begins[id] = event.time }
            if event.phase == "e", let begin = begins.removeValue(forKey: id) {
                spans.append(Span(process: processName(event.process), begin: begin, end: event.time))
            }
        }
        return spans
    }

    /// Every span ends, in the order of nesting, none before it began; arrows begin and end inside spans.
    func checkSpans() throws {
        var depth: [Track: Int] = [:], open: Set<Key> = [], last = 0.0
        for event in events where event.phase != "M" {
            #expect(event.time >= last, "time goes backwards")
            last = event.time
            let track = Track(process: event.process, thread: event.thread)
            let key = Key(category: event.category ?? "", id: event.id ?? 0, name: event.name ?? "")
            switch event.phase {
            case "B": depth[track, default: 0] += 1
            case "E":
                depth[track, default: 0] -= 1
                #expect(depth[track, default: 0] >= 0, "an end without a begin")
            case "b": #expect(open.insert(key).inserted, "\(key) is open twice")
            case "e": #expect(open.remove(key) != nil, "\(key) ends without a begin")
            case "s", "f": #expect(depth[track, default: 0] > 0, "an arrow outside of a span")
            default: break
            }
        }
        #expect(depth.values.allSatisfy { $0 == 0 } && open.isEmpty, "left open: \(depth.filter { $0.value != 0 }), \(open)")
    }
}
