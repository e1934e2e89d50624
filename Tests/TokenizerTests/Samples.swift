import Foundation

/// A minimal `tokenizer.json` whose parts tests exchange.
enum Samples {
    static let vocab = #"{"a":0,"b":1,"x":2,"c":3,"ab":4,"<s>":5}"#
    static let addedTokens = #"[{"id":5,"content":"<s>","special":true}]"#

    static func model(
        type: String = #""BPE""#, vocab: String = vocab, merges: String = #"["a b"]"#, other: String = ""
    ) -> String {
        #"{"type":\#(type),"vocab":\#(vocab),"merges":\#(merges)\#(other)}"#
    }

    static func json(
        model: String = model(), addedTokens: String = addedTokens, normalizer: String = "null",
        preTokenizer: String = "null", postProcessor: String = "null", decoder: String = "null", version: String = #""1.0""#
    ) -> Data {
        Data("""
            {"version":\(version),"truncation":null,"padding":null,"added_tokens":\(addedTokens),"normalizer":\(normalizer),
            "pre_tokenizer":\(preTokenizer),"post_processor":\(postProcessor),"decoder":\(decoder),"model":\(model)}
            """.utf8)
    }

    static func template(single: String, special: String = #"{"<s>":{"id":"<s>","ids":[5],"tokens":["<s>"]}}"#) -> String {
        #"{"type":"TemplateProcessing","single":\#(single),"pair":[],"special_tokens":\#(special)}"#
    }
}

/// SplitMix64 (Steele et al., OOPSLA 2014): a seeded sequence for tests.
struct SplitMix {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}
