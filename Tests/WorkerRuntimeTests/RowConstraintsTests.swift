import Foundation
import Generation
import Grammar
import Synchronization
import Testing
@testable import WorkerRuntime

@Suite struct RowConstraintsTests {
    private static let end: TokenID = 256
    private static let schema = OutputConstraint.jsonSchema(#"{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}},"required":["a"]}"#)

    private static func shop(_ loads: Counter = Counter()) -> GrammarShop {
        GrammarShop {
            loads.add()
            return TokenVocabulary(inner: (0...255).map { [UInt8($0)] } + [nil])
        }
    }

    private final class Counter: Sendable {
        private let value = Mutex(0)
        func add() { value.withLock { $0 += 1 } }
        var count: Int { value.withLock { $0 } }
    }

    private func row(_ id: Int, _ answer: [TokenID], _ constraint: OutputConstraint = schema) -> RowConstraints<Int>.Row {
        RowConstraints<Int>.Row(id: id, constraint: constraint, answer: answer[...], endTokens: [Self.end])
    }

    /// An answer token by token, as its worker writes it.
    private func write(_ constraints: RowConstraints<Int>, _ id: Int, seed: UInt64, from start: [TokenID] = [], count: Int) throws -> [TokenID] {
        var answer = start
        while answer.count < count {
            let allowed = try constraints.mask(of: row(id, answer)).get().tokens
            // A function of seed and index alone, as sampling is.
            let draw = (seed &+ UInt64(answer.count) &* 0x9E37_79B9_7F4A_7C15) >> 7
            answer.append(allowed[Int(draw % UInt64(allowed.count))])
            if answer.last == Self.end { break }
        }
        return answer
    }

    @Test func whoeverContinuesAnAnswerGivesTheSameMasks() throws {
        for seed in 0..<20 as Range<UInt64> {
            let whole = try write(RowConstraints(Self.shop()), 1, seed: seed, count: 40)
            // Another worker, from any token on.
            for cut in [1, whole.count / 2, whole.count - 1] {
                let other = RowConstraints<Int>(Self.shop())
                #expect(try write(other, 9, seed: seed, from: Array(whole.prefix(cut)), count: 40) == whole)
            }
        }
    }

    @Test func rowsDoNotDisturbOneAnother() throws {
        let alone = try (0..<4).map { try write(RowConstraints(Self.shop()), 0, seed: UInt64($0), count: 20) }
        let shared = RowConstraints<Int>(Self.shop(), capacity: 1, rowCapacity: 2)
        var answers = [[TokenID]](repeating: [], count: 4)
        for length in 1...20 {
            for id in 0..<4 where answers[id].last != Self.end { answers[id] = try write(shared, id, seed: UInt64(id), from: answers[id], count: length) }
        }
        #expect(answers == alone)
        #expect(shared.rowCount <= 2)
        for id in 0..<4 { shared.forget(id) }
        #expect(shared.rowCount == 0)
    }

    @Test func anAttemptThatWentAnotherWayIsReadAgain() throws {
        let constraints = RowConstraints<Int>(Self.shop(), capacity: 1)
        let open = Array("{\"a\":1".utf8).map { TokenID($0) }
        _ = try constraints.mask(of: row(1, open)).get()
        let shorter = try constraints.mask(of: row(1, Array(open.prefix(1)))).get()
        #expect(shorter.contains(TokenID(UInt8(ascii: "\""))) && !shorter.contains(TokenID(UInt8(ascii: "1"))))
        let other = try constraints.mask(of: row(1, [0x78], .regex("xy"))).get()
        #expect(other.tokens == [0x79])
    }

    @Test func failuresAreErrorsOfTheRow() {
        let constraints = RowConstraints<Int>(Self.shop())
        #expect(constraints.mask(of: row(1, [0x78])) == .failure(.tokenNotAllowed(0x78, index: 0)))
        #expect(constraints.mask(of: row(2, [], .regex("("))) == .failure(.syntax(source: .regex, offset: 1, "missing )")))
        let broken = GrammarShop { throw GrammarError.unsupportedVocabulary("none") }
        #expect(RowConstraints<Int>(broken).mask(of: row(1, [])) == .failure(.unsupportedVocabulary("none")))
    }

    @Test func theVocabularyComesFromTheModel() throws {
        let house = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let tables = try GrammarShop(model: house.appendingPathComponent("Models/baton-tiny").path).tables(of: .regex("[a-z ]+"))
        #expect(tables.grammar.vocabulary.size == 2048 && tables.grammar.vocabulary.longestToken > 4)
        let missing = GrammarShop(model: "/nowhere")
        #expect(throws: GrammarError.self) { try missing.tables(of: .regex("a")) }
    }

    @Test func theVocabularyIsLoadedOnceAndNotBeforeItIsNeeded() throws {
        let loads = Counter(), shop = Self.shop(loads)
        #expect(loads.count == 0)
        for pattern in ["a", "b", "c", "a"] { shop.prepare(.regex(pattern)) }
        for pattern in ["a", "b", "c"] { _ = try shop.tables(of: .regex(pattern)) }
        #expect(loads.count == 1)
    }
}
