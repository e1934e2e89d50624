/// One event of Chrome's trace format ("Trace Event Format", JSON array form), which Perfetto and chrome://tracing read.
struct TraceRecord: Sendable, Hashable {
    enum Kind: Sendable, Hashable {
        /// Name of a process (a worker) or of a thread (a row, a prompt) in the viewer.
        case processName(String)
        case threadName(String)
        /// Order of processes or threads in the viewer.
        case processOrder(Int)
        case threadOrder(Int)
        /// A span on a track; its begin and end nest.
        case begin(name: String)
        case end
        /// A span on no track, told from others of its category by the id.
        case asyncBegin(name: String, category: String, id: UInt64)
        case asyncEnd(name: String, category: String, id: UInt64)
        /// An arrow from the span that is open on one track to the one that is open on another.
        case flowStart(id: UInt64)
        case flowEnd(id: UInt64)
        case instant(name: String)
        case counter(name: String, value: Int)
    }

    var kind: Kind
    /// Microseconds since the coordinator started.
    var time: Double
    var process: Int
    var thread: Int

    var json: String {
        var fields = ["\"ph\":\"\(phase)\"", "\"pid\":\(process)", "\"tid\":\(thread)", "\"ts\":\(Self.number(time))"]
        switch kind {
        case .processName(let name): fields += Self.metadata("process_name", "\"name\":\(Self.quoted(name))")
        case .threadName(let name): fields += Self.metadata("thread_name", "\"name\":\(Self.quoted(name))")
        case .processOrder(let order): fields += Self.metadata("process_sort_index", "\"sort_index\":\(order)")
        case .threadOrder(let order): fields += Self.metadata("thread_sort_index", "\"sort_index\":\(order)")
        case .begin(let name): fields.append("\"name\":\(Self.quoted(name))")
        case .end: break
        case .asyncBegin(let name, let category, let id), .asyncEnd(let name, let category, let id):
            fields += ["\"name\":\(Self.quoted(name))", "\"cat\":\(Self.quoted(category))", "\"id\":\(id)"]
        case .flowStart(let id): fields += ["\"name\":\"KV\"", "\"cat\":\"KV\"", "\"id\":\(id)"]
        case .flowEnd(let id): fields += ["\"name\":\"KV\"", "\"cat\":\"KV\"", "\"id\":\(id)", "\"bp\":\"e\""]
        case .instant(let name): fields += ["\"name\":\(Self.quoted(name))", "\"s\":\"t\""]
        case .counter(let name, let value): fields += ["\"name\":\(Self.quoted(name))", "\"args\":{\"value\":\(value)}"]
        }
        return "{\(fields.joined(separator: ","))}"
    }

    private var phase: String {
        switch kind {
        case .processName, .threadName, .processOrder, .threadOrder: "M"
        case .begin: "B"
        case .end: "E"
        case .asyncBegin: "b"
        case .asyncEnd: "e"
        case .flowStart: "s"
        case .flowEnd: "f"
        case .instant: "i"
        case .counter: "C"
        }
    }

    private static func metadata(_ name: String, _ argument: String) -> [String] { ["\"name\":\"\(name)\"", "\"args\":{\(argument)}"] }

    /// Microseconds with three digits behind the point: nanoseconds, also after days.
    private static func number(_ microseconds: Double) -> String {
        let nanoseconds = Int64((microseconds * 1000).rounded())
        let fraction = "\(nanoseconds.magnitude % 1000)"
        return "\(nanoseconds / 1000).\(String(repeating: "0", count: 3 - fraction.count))\(fraction)"
    }

    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\u{00}"..<"\u{20}": quoted += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
