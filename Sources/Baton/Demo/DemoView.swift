import ClusterCore
import Foundation

/// Draws the board: in place on a terminal, as plain lines anywhere else.
actor DemoView {
    private var board: DemoBoard
    private let isTerminal = isatty(STDOUT_FILENO) == 1
    private var history: [ClusterEvent] = []
    private var drawnLines = 0
    private var lastDrawn = ContinuousClock.now

    /// Often enough to follow, seldom enough to cost nothing.
    private static let frameInterval = Duration.milliseconds(50)

    init(board: DemoBoard) { self.board = board }

    /// Follows the events until they end or the task is cancelled.
    func show(_ events: AsyncThrowingStream<ClusterEvent, any Error>) async throws {
        for try await event in events {
            history.append(event)
            board.apply(event)
            if !isTerminal {
                if let line = board.line(for: event) { print(line) }
            } else if ContinuousClock.now - lastDrawn >= Self.frameInterval {
                draw()
            }
        }
        if isTerminal { draw() }
    }

    /// Shows what happened once more, `factor` times slower: on a small model it is over before one can look.
    func replay(on board: DemoBoard, slowerBy factor: Int) async throws {
        guard isTerminal, factor > 0, var last = history.first?.time else { return }
        print("\nthe same once more, \(factor) times slower:\n")
        self.board = board
        drawnLines = 0
        for event in history {
            // Long pauses (before the first request) show nothing.
            try await Task.sleep(for: min((event.time - last) * factor, .milliseconds(600)))
            last = event.time
            self.board.apply(event)
            draw()
        }
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
