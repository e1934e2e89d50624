/// How threads share a product of `rows` with `units` of weights (panels, or pairs of them): they take items one by one, in
/// order. An item is a unit with all rows or with some of them, which changes no sum.
///
/// Threads of equal speed walk through neighbouring units each, because a kernel fetches the beginning of the next unit
/// while it multiplies with the end of one; were they to take turns, they would fetch for one another.
struct ProductCut: Sendable {
    struct Item: Sendable {
        var unit: Int
        var rows: Range<Int>
    }

    /// Items of all rows; they come first.
    private let whole: Int
    private let rows: Int
    private let rowsPerPiece: Int
    private let pieces: Int
    private let threads: Int
    /// How many items there are.
    let count: Int
    /// Whether the product takes so long that threads should not have to wait for its end.
    let isLong: Bool

    /// Rows of an item at most, so that their outputs stay in a core's cache.
    static let mostRows = 96
    /// Below these, reading the weights of a unit twice costs more than a thread that waits for another's last unit.
    private static let leastRowsToCut = 24

    /// - Parameter tileHeight: of the kernel's tiles, a divisor of ``mostRows``; pieces are multiples of it.
    init(rows: Int, units: Int, threads: Int, tileHeight: Int) {
        self.rows = rows
        self.threads = threads
        let isTall = rows > Self.mostRows, isCut = isTall || (threads > 1 && rows >= Self.leastRowsToCut)
        isLong = isTall
        pieces = isTall ? (rows + Self.mostRows - 1) / Self.mostRows : isCut ? 2 : 1
        let share = (rows + pieces - 1) / pieces
        rowsPerPiece = isCut ? (share + tileHeight - 1) / tileHeight * tileHeight : rows
        // What is left of an even share, and the last unit of each thread: they end together.
        whole = isTall ? 0 : isCut ? max(0, units - units % threads - threads) : units
        count = whole + (units - whole) * pieces
    }

    subscript(index: Int) -> Item {
        if index < whole { return Item(unit: Self.place(of: index, among: whole, threads), rows: 0..<rows) }
        let piece = whole > 0 ? index - whole : Self.place(of: index, among: count, threads)
        let first = piece % pieces * rowsPerPiece
        return Item(unit: whole + piece / pieces, rows: first..<min(first + rowsPerPiece, rows))
    }

    /// Items 0, 1, 2 … are the first of each thread's stretch, then the second of each; what no stretch holds is last.
    private static func place(of index: Int, among count: Int, _ threads: Int) -> Int {
        let stretch = count / threads
        return index < stretch * threads ? index % threads * stretch + index / threads : index
    }
}
