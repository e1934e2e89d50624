import Generation
import Grammar

/// The masks of a batch's rows. Belongs to the engine's thread.
///
/// A row's state is derived from the tokens of its answer alone. It is kept from step to step, and where it is not there (a row that was resumed,
/// moved, or taken over from a dead worker), the tokens are read again from the first. So nothing has to be parked, sent or repaired with a row.
///
///     let mask = constraints.mask(of: row)              // before sampling
///     BatchSampler.Row(…, mask: try mask.get(), …)
///     constraints.forget(row.id)                        // when the row has ended
///
/// A failure ends the row's request: the constraint cannot be compiled, or the answer so far breaks it.
final class RowConstraints<RowID: Hashable> {
    struct Row {
        /// Of an attempt and a choice: whatever has an answer of its own.
        var id: RowID
        var constraint: OutputConstraint
        /// The answer so far, also what other workers computed of it.
        var answer: ArraySlice<TokenID>
        /// Of the request's stop conditions.
        var endTokens: [TokenID]
    }

    private struct Progress {
        var constraint: OutputConstraint
        var state: GrammarState
        var answer: [TokenID]
        var lastUse: UInt64
    }

    private let shop: GrammarShop
    private var tables: GrammarCache<MaskTables>
    private var progress: [RowID: Progress] = [:]
    private var uses: UInt64 = 0
    /// Rows that are kept though nobody said that they ended.
    private let rowCapacity: Int

    /// - Parameters:
    ///   - capacity: grammars whose masks are kept.
    ///   - rowCapacity: rows whose states are kept; more than run at a time.
    init(_ shop: GrammarShop, capacity: Int = 8, rowCapacity: Int = 4096) {
        self.shop = shop
        self.rowCapacity = rowCapacity
        tables = GrammarCache(capacity: capacity)
    }

    /// Rows whose states are kept.
    var rowCount: Int { progress.count }

    /// The tokens that may come next in the row's answer. Empty where nothing may follow, which the sampler refuses: an answer that is complete
    /// and whose request has no end token.
    func mask(of row: Row) -> Result<TokenMask, GrammarError> {
        Result { () throws(GrammarError) in
            if tables.entry(of: row.constraint) == nil { tables.insert(try shop.tables(of: row.constraint), for: row.constraint) }
            guard let grammar = tables.entry(of: row.constraint)?.grammar else { throw .unsatisfiable }
            let state = try state(of: row, grammar)
            return tables.update(row.constraint) { $0.mask(of: state, endTokens: row.endTokens) }
                ?? TokenMask(vocabularySize: grammar.vocabulary.size)
        }
    }

    /// The row has ended or left.
    func forget(_ row: RowID) { progress[row] = nil }

    private func state(of row: Row, _ grammar: CompiledGrammar) throws(GrammarError) -> GrammarState {
        var known = progress.removeValue(forKey: row.id)
        // Another attempt may have gone another way, and a restarted one back.
        if let kept = known, kept.constraint != row.constraint || !row.answer.starts(with: kept.answer) { known = nil }
        var current = known ?? Progress(constraint: row.constraint, state: grammar.start, answer: [], lastUse: 0)
        for token in row.answer.dropFirst(current.answer.count) {
            try current.state.advance(by: token, endTokens: row.endTokens, in: grammar)
            current.answer.append(token)
        }
        uses += 1
        current.lastUse = uses
        progress[row.id] = current
        if progress.count > rowCapacity, let oldest = progress.min(by: { $0.value.lastUse < $1.value.lastUse }) {
            progress[oldest.key] = nil
        }
        return current.state
    }
}
