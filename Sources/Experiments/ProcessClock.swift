import Foundation

/// Time since the system started this process.
public enum ProcessClock {
    /// Seconds, in steps of the system's ticks (usually 0.01); `nil` where `/proc` does not tell.
    public static var age: Double? {
        guard let stat = try? String(contentsOfFile: "/proc/self/stat", encoding: .utf8),
              let uptime = try? String(contentsOfFile: "/proc/uptime", encoding: .utf8),
              let now = uptime.split(separator: " ").first.flatMap({ Double($0) }),
              // The name, in parentheses, may hold blanks; the start is the 20th field behind it.
              let fields = stat.split(separator: ")").last?.split(separator: " "), fields.count > 19,
              let start = Double(fields[19])
        else { return nil }
        let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
        return ticks > 0 ? now - start / ticks : nil
    }
}
