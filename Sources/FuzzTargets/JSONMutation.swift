/// Changes a JSON text so that most of the results are JSON texts still.
enum JSONMutation {
    /// Numbers at the ends of what fits, wrong types, and strings that mean something to one of the parsers.
    private static let values = [
        "0", "-1", "1", "2", "3", "17", "128", "65535", "65536", "2147483647", "4294967296", "9223372036854775807",
        "18446744073709551615", "1e999", "1e-6", "0.5", "-0", "true", "false", "null", "[]", "{}", "[[[[]]]]", "\"\"",
        "[0,4]", "[1,2,3]", #""F32""#, #""BF16""#, #""I8""#, #""llama3""#, #""linear""#, #""Sequence""#, #""Replace""#,
        #""ByteLevel""#, #""Metaspace""#, #""ByteFallback""#, #""Fuse""#, #""Strip""#, #""Split""#, #""Digits""#, #""Prepend""#,
        #""NFC""#, #""NFKD""#, #""Lowercase""#, #""Isolated""#, #""MergedWithNext""#, #""TemplateProcessing""#, #""\u0041\ud83e\udd62""#,
        #""\ud800""#, #""é""#, #""e\u0301""#, #""<s>""#, #""A""#, #""\\p{L}+|\\s+(?!\\S)""#, #""(a*)*b""#, #""(?i:[^\\r\\n]{1,3})""#,
        #"{"String":"a"}"#, #"{"Regex":"x*"}"#, #"{"type":"NFC"}"#, #"{"type":"Fuse"}"#,
        #"{"type":"ByteLevel","add_prefix_space":true}"#,
    ]

    static func mutate(_ text: [UInt8], _ random: inout FuzzRandom) -> [UInt8] {
        var text = text
        for _ in 0...random.below(3) {
            let spans = spans(of: text)
            guard !spans.isEmpty else { return Array(values[random.below(values.count)].utf8) }
            let span = spans[random.below(spans.count)]
            switch random.below(8) {
            // Another value of the text, or a copy of this one beside it.
            case 0, 1: text.replaceSubrange(span, with: Array(text[spans[random.below(spans.count)]]))
            case 2: text.insert(contentsOf: text[span] + [UInt8(ascii: ",")], at: span.lowerBound)
            // Without what follows it up to the next value.
            case 3:
                let next = spans.first { $0.lowerBound > span.lowerBound }?.lowerBound ?? span.upperBound
                text.removeSubrange(span.lowerBound..<max(next, span.lowerBound))
            case 4: text.insert(contentsOf: Array(repeating: text[span], count: 1 + random.below(40)).joined(), at: span.lowerBound)
            default: text.replaceSubrange(span, with: values[random.below(values.count)].utf8)
            }
            if text.count > 1 << 16 { return Array(text.prefix(1 << 16)) }
        }
        return text
    }

    /// Where strings, numbers, words and whole containers stand, in the order in which they begin.
    private static func spans(of text: [UInt8]) -> [Range<Int>] {
        var spans: [Range<Int>] = []
        var open: [Int] = []
        var position = 0
        while position < text.count {
            let start = position
            position += 1
            switch text[start] {
            case UInt8(ascii: "\""):
                while position < text.count, text[position] != UInt8(ascii: "\"") {
                    position += text[position] == UInt8(ascii: "\\") ? 2 : 1
                }
                position = min(position + 1, text.count)
                spans.append(start..<position)
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                open.append(spans.count)
                spans.append(start..<text.count)
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                if let index = open.popLast() { spans[index] = spans[index].lowerBound..<position }
            case UInt8(ascii: ","), UInt8(ascii: ":"), 0...0x20: break
            default:
                while position < text.count, !",:]}".utf8.contains(text[position]), text[position] > 0x20 { position += 1 }
                spans.append(start..<position)
            }
        }
        return spans
    }
}
