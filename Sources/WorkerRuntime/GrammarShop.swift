import Foundation
import Grammar
import Inference
import Synchronization
import Tokenizer

/// Compiles the constraints of requests for a worker's model, away from its steps, and keeps what was compiled.
///
/// Whoever hears of a constraint first calls ``prepare(_:)``: the socket thread, when a grant or an order arrives. The engine's thread takes the
/// outcome by ``tables(of:)`` once a row needs it, and compiles itself only if nobody was quick enough. The vocabulary is loaded from the model at the first
/// constraint.
public final class GrammarShop: Sendable {
    private struct Stock {
        var vocabulary: Result<TokenVocabulary, GrammarError>?
        var compiled: GrammarCache<Result<MaskTables, GrammarError>>
        /// Under way on some thread.
        var begun: Set<OutputConstraint> = []
    }

    private let stock: Mutex<Stock>
    /// Held while the vocabulary is read, so that it is read once.
    private let loading = Mutex(())
    private let load: @Sendable () throws -> TokenVocabulary
    /// Masks made ahead for a new grammar.
    private static let warmWalkCount = 16

    /// - Parameters:
    ///   - capacity: constraints that are kept.
    ///   - load: the model's vocabulary; called at most once, on the thread that needs it first.
    public init(capacity: Int = 32, load: @escaping @Sendable () throws -> TokenVocabulary) {
        stock = Mutex(Stock(compiled: GrammarCache(capacity: capacity)))
        self.load = load
    }

    /// For the model at `path`: a directory in Hugging Face's layout, or a GGUF file.
    public convenience init(model path: String, capacity: Int = 32) {
        self.init(capacity: capacity) { try TokenVocabulary(Tokenizer(modelPath: path)) }
    }

    /// Begins to compile the constraint, unless that was done or begun. Returns at once.
    public func prepare(_ constraint: OutputConstraint) {
        let isNew = stock.withLock { stock in
            stock.compiled.entry(of: constraint) == nil && stock.begun.insert(constraint).inserted
        }
        guard isNew else { return }
        Task.detached(priority: .utility) { _ = self.compile(constraint) }
    }

    /// The grammar of the constraint with its first masks, as a copy of the caller's own. Compiles if nobody has; may take as long as that.
    public func tables(of constraint: OutputConstraint) throws(GrammarError) -> MaskTables {
        let known = stock.withLock { $0.compiled.entry(of: constraint) }
        return try (known ?? compile(constraint)).get()
    }

    private func compile(_ constraint: OutputConstraint) -> Result<MaskTables, GrammarError> {
        let compiled = vocabulary().flatMap { vocabulary in
            Result { () throws(GrammarError) in
                var tables = MaskTables(try GrammarCompiler(vocabulary: vocabulary).compile(constraint))
                tables.warm(walkCount: Self.warmWalkCount)
                return tables
            }
        }
        stock.withLock { stock in
            stock.begun.remove(constraint)
            stock.compiled.insert(compiled, for: constraint)
        }
        return compiled
    }

    private func vocabulary() -> Result<TokenVocabulary, GrammarError> {
        loading.withLock { _ in
            if let known = stock.withLock({ $0.vocabulary }) { return known }
            let loaded: Result<TokenVocabulary, GrammarError>
            do {
                loaded = .success(try load())
            } catch let error as GrammarError {
                loaded = .failure(error)
            } catch {
                loaded = .failure(.unsupportedVocabulary("\(error)"))
            }
            stock.withLock { $0.vocabulary = loaded }
            return loaded
        }
    }
}
