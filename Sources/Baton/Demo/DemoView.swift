import ClusterCore
import Foundation

/// Draws the board: in place on a terminal, as plain lines anywhere else.
actor DemoView {
    private var board: DemoBoard
    private let isTerminal = isatty(STDOUT_FILENO) == 1
    private var drawnLines = 0
    private var lastDrawn = ContinuousClock.now

    /// Often enough to follow, seldom enough to cost nothing.
    private static let frameInterval = Duration.milliseconds(50)

    init(board: DemoBoard) { self.board = board }

    /// Follows the events until they end or the task is cancelled.
    func show(_ events: AsyncThrowingStream<ClusterEvent, any Error>) async throws {
        for try await event in events {
            board.apply(event)
            if !isTerminal {
                if let line = board.line(for: event) { print(line) }
            } else if ContinuousClock.now - lastDrawn >= Self.frameInterval {
                draw()
            }
        }
        if isTerminal { draw() }
    }

    private func draw() {
        lastDrawn = .now
        var size = winsize()
        let width = ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
        let lines = board.frame(width: width)
        // Up to the first line of the last frame; each line is cleared behind its text.
        let up = drawnLines > 0 ? "\u{1B}[\(drawnLines)A" : ""
        let text = up + lines.map { $0 + "\u{1B}[K\n" }.joined()
        FileHandle.standardOutput.write(Data(text.utf8))
        drawnLines = lines.count
    }
}
