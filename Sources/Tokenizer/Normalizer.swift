import JSONReader

/// Rewrites a stretch of text between special tokens before it is split.
indirect enum Normalizer: Sendable {
    case sequence([Normalizer])
    case prepend([UInt8])
    case replace(Matcher, with: [UInt8])
    case unicode(UnicodeForm)
    case lowercase

    init(_ value: JSONValue) throws(TokenizerError) {
        let type = try value.required("type")
        switch try type.string() {
        case "Sequence":
            var normalizers: [Normalizer] = []
            for element in try value.required("normalizers").elements() { normalizers.append(try Normalizer(element)) }
            self = .sequence(normalizers)
        case "Prepend": self = .prepend(Array(try value.required("prepend").bytes()))
        case "Replace":
            self = .replace(try Matcher(value.required("pattern")), with: Array(try value.required("content").bytes()))
        case "Lowercase": self = .lowercase
        case let name:
            guard let form = UnicodeForm(rawValue: name) else { throw type.unsupported() }
            self = .unicode(form)
        }
    }

    var growth: Growth {
        var growth = Growth()
        switch self {
        case .sequence(let normalizers): for normalizer in normalizers { growth.multiply(by: normalizer.growth.factor) }
        case .replace(let matcher, let content): growth = Growth(replacing: matcher, with: content)
        case .prepend, .unicode, .lowercase: break
        }
        return growth
    }

    /// `text` is valid UTF-8, and so is the result.
    func normalize(_ text: [UInt8]) throws(TokenizerError) -> [UInt8] {
        guard !text.isEmpty else { return text }
        switch self {
        case .sequence(let normalizers):
            var text = text
            for normalizer in normalizers { text = try normalizer.normalize(text) }
            return text
        case .prepend(let prefix): return prefix + text
        case .replace(let matcher, let content): return try matcher.replacingMatches(in: text, with: content)
        case .unicode(let form): return form.normalize(text)
        case .lowercase: return Self.lowercase(text)
        }
    }

    /// Scalar by scalar, without the rules that look at a character's neighbours.
    private static func lowercase(_ text: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        for (scalar, _) in ScalarRanges(text[...]) { result += Array(scalar.properties.lowercaseMapping.utf8) }
        return result
    }
}
