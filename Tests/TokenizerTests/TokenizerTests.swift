import Foundation
import Generation
import Testing

@testable import Tokenizer

@Suite struct TokenizerTests {
    @Test("Ids and texts equal the reference implementation's", arguments: Fixtures.kinds)
    func kinds(kind: String) throws {
        let lines: [String] = try Fixtures.decoded("lines.json")
        #expect(lines.count > 2000)
        try check(
            Fixtures.tokenizer(kind), Fixtures.decoded("\(kind).expected.json"), lines: lines, name: kind)
    }

    @Test("Every component and option equals the reference implementation's")
    func variants() throws {
        let variants: Variants = try Fixtures.decoded("variants.json")
        #expect(variants.variants.count > 30)
        for variant in variants.variants {
            let tokenizer = try Tokenizer(json: Data(variant.tokenizer.utf8))
            try check(tokenizer, variant.expected, lines: variants.lines, name: variant.name)
        }
    }
}
