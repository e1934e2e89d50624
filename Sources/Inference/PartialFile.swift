import Foundation

/// A file that appears under its name when it is whole, and not before.
enum PartialFile {
    /// - Throws: what `body` throws, or an error of Foundation if the disk refuses; then nothing is left behind.
    static func write(to path: String, _ body: (FileHandle) throws -> Void) throws {
        let temporary = path + ".part"
        guard FileManager.default.createFile(atPath: temporary, contents: nil) else {
            throw ModelError(temporary, "", .unreadable)
        }
        do {
            let file = try FileHandle(forWritingTo: URL(fileURLWithPath: temporary))
            try body(file)
            try file.close()
            try? FileManager.default.removeItem(atPath: path)
            try FileManager.default.moveItem(atPath: temporary, toPath: path)
        } catch {
            try? FileManager.default.removeItem(atPath: temporary)
            throw error
        }
    }
}
