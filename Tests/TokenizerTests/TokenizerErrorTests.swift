import Foundation
import Testing

@testable import Tokenizer

/// A change to a good file, and the message that names it.
struct BadFile: Sendable, CustomTestStringConvertible {
    let json: Data
    let message: String
    var testDescription: String { message }

    init(_ message: String, _ json: Data) {
        self.json = json
        self.message = message
    }

    static let all = models + vocabularies + addedTokens + normalizers + preTokenizers + postProcessors + decoders + growing

    private static func model(_ message: String, _ model: String) -> BadFile {
        BadFile("tokenizer.json: \(message)", Samples.json(model: model))
    }

    static let models: [BadFile] = [
        BadFile("tokenizer.json: byte 0: unexpected end of the text", Data()),
        BadFile("tokenizer.json: (root): expected an object, found an array", Data("[]".utf8)),
        BadFile("tokenizer.json: model: missing", Data("{}".utf8)),
        BadFile(#"tokenizer.json: version: unsupported value "2.0""#, Samples.json(version: #""2.0""#)),
        BadFile("tokenizer.json: version: expected a string, found 1", Samples.json(version: "1")),
        model(#"model.type: unsupported value "Unigram""#, Samples.model(type: #""Unigram""#)),
        model("model.dropout: unsupported value 0.1", Samples.model(other: #","dropout":0.1"#)),
        model(#"model.dropout: expected a number, found "0""#, Samples.model(other: #","dropout":"0""#)),
        model(#"model.continuing_subword_prefix: unsupported value "@@""#,
            Samples.model(other: #","continuing_subword_prefix":"@@""#)),
        model(#"model.end_of_word_suffix: unsupported value "</w>""#, Samples.model(other: #","end_of_word_suffix":"</w>""#)),
        model(#"model.unk_token: invalid value "<unk>": token is not in the vocabulary"#, Samples.model(other: #","unk_token":"<unk>""#)),
        model("model.fuse_unk: expected true or false, found 1", Samples.model(other: #","fuse_unk":1"#)),
        model("model.fuse_unk: key appears twice", Samples.model(other: #","fuse_unk":false,"fuse_unk":true"#)),
        model("model.merges: missing", #"{"vocab":{}}"#),
        model("model.vocab: missing", #"{"merges":[]}"#),
        model(#"model.merges[0]: invalid value "a  b": merge is not a pair of tokens"#, Samples.model(merges: #"["a  b"]"#)),
        model("model.merges[1]: invalid value an array: merge is not a pair of tokens", Samples.model(merges: #"["a b",["a","b","x"]]"#)),
        model("model.merges[0][1]: expected a string, found 1", Samples.model(merges: #"[["a",1]]"#)),
        model("model.merges[0]: expected an array, found 7", Samples.model(merges: "[7]")),
        model(#"model.merges[0]: invalid value "a x": merge names or makes a token that is not in the vocabulary"#,
            Samples.model(merges: #"["a x"]"#)),
    ]

    static let vocabularies: [BadFile] = [
        model("model.vocab: expected an object, found an array", Samples.model(vocab: "[]")),
        model(#"model.vocab["a\u{a}b"]: expected a non-negative integer, found "x\u{0}""#, Samples.model(vocab: #"{"a\nb":"x\u0000"}"#)),
        model("model.vocab.a: invalid value -1: token id out of range", Samples.model(vocab: #"{"a":-1}"#)),
        model("model.vocab.a: invalid value 99999999999999999999: token id out of range", Samples.model(vocab: #"{"a":99999999999999999999}"#)),
        model("model.vocab.a: invalid value 70000: token id out of range", Samples.model(vocab: #"{"a":70000}"#)),
        model("model.vocab.a: expected a non-negative integer, found 1.5", Samples.model(vocab: #"{"a":1.5}"#)),
        model(#"model.vocab.a: expected a non-negative integer, found "1""#, Samples.model(vocab: #"{"a":"1"}"#)),
        model(#"model.vocab["é x"]: invalid value 3: token id is already taken"#, Samples.model(vocab: #"{"a":3,"é x":3}"#)),
        model("model.vocab.a: key appears twice", Samples.model(vocab: #"{"a":0,"b":1,"\u0061":2}"#)),
    ]

    private static func added(_ message: String, _ tokens: String, normalizer: String = "null") -> BadFile {
        BadFile("tokenizer.json: added_tokens\(message)", Samples.json(addedTokens: tokens, normalizer: normalizer))
    }

    static let addedTokens: [BadFile] = [
        added(": expected an array, found an object", "{}"),
        added("[0].id: missing", #"[{"content":"<t>"}]"#),
        added("[0].id: invalid value -5: token id out of range", #"[{"id":-5,"content":"<t>"}]"#),
        added("[0].id: invalid value 4294967296: token id out of range", #"[{"id":4294967296,"content":"<t>"}]"#),
        added(#"[0].content: invalid value "": token is empty"#, #"[{"id":6,"content":""}]"#),
        added(#"[0].content: invalid value "\#(String(repeating: "a", count: 80))…": token is too long"#,
            #"[{"id":6,"content":"\#(String(repeating: "a", count: 513))"}]"#),
        added(#"[0].content: invalid value "\#(String(repeating: "q", count: 80))…": token is too long"#,
            #"[{"id":6,"content":"\#(String(repeating: "q", count: 200))"}]"#,
            normalizer: #"{"type":"Replace","pattern":{"String":"q"},"content":"▁"}"#),
        added(#"[0].content: invalid value "q": token is empty"#, #"[{"id":6,"content":"q"}]"#,
            normalizer: #"{"type":"Replace","pattern":{"String":"q"},"content":""}"#),
        added("[1].id: invalid value 6: token id is already taken", #"[{"id":6,"content":"<t>"},{"id":6,"content":"<u>"}]"#),
        added("[0].id: invalid value 6: token has another id in model.vocab", #"[{"id":6,"content":"<s>"}]"#),
        added("[0].id: invalid value 1: token has another id in model.vocab", #"[{"id":1,"content":"<t>"}]"#),
        added(#"[1].content: invalid value "<t>": token appears twice"#, #"[{"id":6,"content":"<t>"},{"id":7,"content":"<t>"}]"#),
        added(#"[1].content: invalid value "T": token appears twice"#, #"[{"id":6,"content":"t"},{"id":7,"content":"T"}]"#,
            normalizer: #"{"type":"Lowercase"}"#),
        added("[0].lstrip: expected true or false, found 0", #"[{"id":6,"content":"<t>","lstrip":0}]"#),
    ]

    private static func normalizer(_ message: String, _ value: String) -> BadFile {
        BadFile("tokenizer.json: normalizer\(message)", Samples.json(normalizer: value))
    }

    static let normalizers: [BadFile] = [
        normalizer(".type: missing", "{}"),
        normalizer(": expected an object, found 1", "1"),
        normalizer(#".normalizers[1].type: unsupported value "Precompiled""#,
            #"{"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Precompiled"}]}"#),
        normalizer(".prepend: missing", #"{"type":"Prepend"}"#),
        normalizer(".pattern.Regex: missing", #"{"type":"Replace","pattern":{},"content":""}"#),
        normalizer(#".pattern.String: invalid value "": pattern is empty"#, #"{"type":"Replace","pattern":{"String":""},"content":""}"#),
        normalizer(#".pattern.Regex: invalid value "(": pattern does not compile"#,
            #"{"type":"Replace","pattern":{"Regex":"("},"content":""}"#),
        normalizer(#".pattern.Regex: unsupported value "\w" (at \w)"#, #"{"type":"Replace","pattern":{"Regex":"\\w"},"content":""}"#),
    ]

    /// Nine steps that may each double a text.
    private static func doubling(_ type: String, _ key: String, _ step: String) -> String {
        #"{"type":"Sequence","\#(key)":[\#(Array(repeating: #"{"type":"\#(type)",\#(step)}"#, count: 9).joined(separator: ","))]}"#
    }

    static let growing: [BadFile] = [
        // Each of many patterns would be compiled to machine code.
        preTokenizer(": invalid value an object: more steps than any tokenizer needs",
            #"{"type":"Sequence","pretokenizers":[\#(Array(repeating: #"{"type":"Digits"}"#, count: 400).joined(separator: ","))]}"#),
        // One token that is named often.
        postProcessor(".single: invalid value an array: rewrites a text to many times its length",
            Samples.template(
                single: "[" + Array(repeating: #"{"SpecialToken":{"id":"t"}}"#, count: 20).joined(separator: ",") + "]",
                special: #"{"t":{"ids":[\#(Array(repeating: "5", count: 20).joined(separator: ","))],"tokens":[]}}"#
                    .replacing(#""tokens":[]"#, with: #""tokens":[\#(Array(repeating: "\"t\"", count: 20).joined(separator: ","))]"#))),
        postProcessor(".single: invalid value an array: rewrites a text to many times its length",
            Samples.template(single: "[" + Array(repeating: #"{"SpecialToken":{"id":"t"}}"#, count: 300).joined(separator: ",") + "]")),
        postProcessor(".special_tokens.t.ids: invalid value an array: rewrites a text to many times its length",
            Samples.template(
                single: #"[{"SpecialToken":{"id":"t"}}]"#,
                special: #"{"t":{"ids":[\#(Array(repeating: "5", count: 300).joined(separator: ","))],"tokens":["t"]}}"#)),
        normalizer(": invalid value an object: rewrites a text to many times its length",
            doubling("Replace", "normalizers", #""pattern":{"String":"q"},"content":"qq""#)),
        normalizer(": invalid value an object: rewrites a text to many times its length",
            doubling("Replace", "normalizers", #""pattern":{"Regex":"x*"},"content":"x""#)),
        preTokenizer(": invalid value an object: rewrites a text to many times its length",
            doubling("ByteLevel", "pretokenizers", #""add_prefix_space":false"#)),
        decoder(".decoders[8]: invalid value an object: rewrites a text to many times its length",
            doubling("Replace", "decoders", #""pattern":{"String":"q"},"content":"qq""#)),
    ]

    private static func preTokenizer(_ message: String, _ value: String) -> BadFile {
        BadFile("tokenizer.json: pre_tokenizer\(message)", Samples.json(preTokenizer: value))
    }

    static let preTokenizers: [BadFile] = [
        preTokenizer(#".type: unsupported value "BertPreTokenizer""#, #"{"type":"BertPreTokenizer"}"#),
        preTokenizer(#".pretokenizers[0].type: unsupported value "X""#, #"{"type":"Sequence","pretokenizers":[{"type":"X"}]}"#),
        preTokenizer(".add_prefix_space: missing", #"{"type":"ByteLevel"}"#),
        preTokenizer(#".behavior: unsupported value "Odd""#, #"{"type":"Split","pattern":{"String":"a"},"behavior":"Odd"}"#),
        preTokenizer(".pattern: missing", #"{"type":"Split","behavior":"Isolated"}"#),
        preTokenizer(#".pattern.Regex: invalid value "\#(String(repeating: "a", count: 80))…": pattern is too long"#,
            #"{"type":"Split","behavior":"Isolated","pattern":{"Regex":"\#(String(repeating: "a", count: 1 << 15))"}}"#),
        preTokenizer(#".replacement: invalid value "ab": not exactly one character"#, #"{"type":"Metaspace","replacement":"ab"}"#),
        preTokenizer(#".prepend_scheme: unsupported value "last""#, #"{"type":"Metaspace","replacement":"_","prepend_scheme":"last"}"#),
        preTokenizer(".add_prefix_space: invalid value false: contradicts another key of the same object",
            #"{"type":"Metaspace","replacement":"_","add_prefix_space":false}"#),
    ]

    private static func postProcessor(_ message: String, _ value: String) -> BadFile {
        BadFile("tokenizer.json: post_processor\(message)", Samples.json(postProcessor: value))
    }

    private static let template = Samples.template(single: #"[{"Sequence":{"id":"A","type_id":0}}]"#)

    static let postProcessors: [BadFile] = [
        postProcessor(#".type: unsupported value "BertProcessing""#, #"{"type":"BertProcessing"}"#),
        postProcessor(".single: unsupported value an array", Samples.template(single: "[]")),
        postProcessor(#".single[0].Sequence.id: unsupported value "B""#, Samples.template(single: #"[{"Sequence":{"id":"B"}}]"#)),
        postProcessor(".single[0].Sequence: missing", Samples.template(single: "[{}]")),
        postProcessor(#".single[0].SpecialToken.id: invalid value "<t>": special token is not declared in special_tokens"#,
            Samples.template(single: #"[{"SpecialToken":{"id":"<t>"}}]"#)),
        postProcessor(".special_tokens.t.ids[0]: invalid value 9: no token has this id",
            Samples.template(single: #"[{"SpecialToken":{"id":"t"}}]"#, special: #"{"t":{"ids":[9],"tokens":["t"]}}"#)),
        postProcessor(".special_tokens.t.ids: invalid value an array: ids and tokens differ in number",
            Samples.template(single: #"[{"SpecialToken":{"id":"t"}}]"#, special: #"{"t":{"ids":[5,5],"tokens":["t"]}}"#)),
        postProcessor(#".special_tokens.t.tokens: expected an array, found "t""#,
            Samples.template(single: #"[{"SpecialToken":{"id":"t"}}]"#, special: #"{"t":{"ids":[5],"tokens":"t"}}"#)),
        postProcessor(#".processors[1].type: unsupported value "TemplateProcessing""#,
            #"{"type":"Sequence","processors":[\#(template),\#(template)]}"#),
    ]

    private static func decoder(_ message: String, _ value: String) -> BadFile {
        BadFile("tokenizer.json: decoder\(message)", Samples.json(decoder: value))
    }

    private static func afterFuse(_ step: String) -> String {
        #"{"type":"Sequence","decoders":[{"type":"Fuse"},\#(step)]}"#
    }

    static let decoders: [BadFile] = [
        decoder(#".type: unsupported value "WordPiece""#, #"{"type":"WordPiece"}"#),
        decoder(#".pattern.Regex: unsupported value "a""#, #"{"type":"Replace","pattern":{"Regex":"a"},"content":""}"#),
        decoder(".start: invalid value 9999999999: number out of range", #"{"type":"Strip","content":" ","start":9999999999,"stop":0}"#),
        decoder(#".content: invalid value "": not exactly one character"#, #"{"type":"Strip","content":"","start":0,"stop":0}"#),
        decoder(#".decoders[1].type: unsupported value "ByteLevel""#, afterFuse(#"{"type":"ByteLevel"}"#)),
        decoder(#".decoders[1].type: unsupported value "ByteFallback""#, afterFuse(#"{"type":"ByteFallback"}"#)),
        decoder(#".decoders[1].type: unsupported value "Metaspace""#, afterFuse(#"{"type":"Metaspace","replacement":"_"}"#)),
    ]
}

@Suite struct TokenizerErrorTests {
    @Test("The unchanged sample loads")
    func sample() throws {
        let tokenizer = try Tokenizer(json: Samples.json())
        #expect(try tokenizer.encode("ab<s>c") == [4, 5, 3])
    }

    @Test("A bad file is refused by file, key and value", arguments: BadFile.all)
    func refused(file: BadFile) throws {
        let error = #expect(throws: TokenizerError.self) { try Tokenizer(json: file.json) }
        #expect(error?.description == file.message)
    }

    @Test(
        "Errors of tokenizer_config.json name that file",
        arguments: [
            (#"{"bos_token":"<t>"}"#, #"bos_token: invalid value "<t>": token is not in the vocabulary"#),
            (#"{"eos_token":{"content":"<t>"}}"#, #"eos_token.content: invalid value "<t>": token is not in the vocabulary"#),
            (#"{"eos_token":{}}"#, "eos_token.content: missing"),
            (#"{"eos_token":5}"#, "eos_token: expected a string, found 5"),
            (#"{"chat_template":5}"#, "chat_template: expected a string, found 5"),
            (#"{"chat_template":[{"template":"x"}]}"#, "chat_template[0].name: missing"),
            ("{", "byte 1: unexpected end of the text"),
        ])
    func configuration(json: String, message: String) throws {
        let error = #expect(throws: TokenizerError.self) {
            try Tokenizer(json: Samples.json(), configuration: Data(json.utf8))
        }
        #expect(error?.description == "tokenizer_config.json: \(message)")
    }

    @Test func missingFile() throws {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString)
        let error = #expect(throws: TokenizerError.self) { try Tokenizer(modelDirectory: directory) }
        #expect(error?.description == "tokenizer.json: cannot be read: no such file in \(directory.path)")
    }
}
