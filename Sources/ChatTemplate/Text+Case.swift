/// Letter case, as Python maps it: by Unicode's full mappings, independent of any language.
extension Text {
    private func mappedASCII(_ map: (UInt8) -> UInt8) -> Text { Text(bytes: bytes.map(map)) }

    private static func lowered(_ byte: UInt8) -> UInt8 { (0x41...0x5A).contains(byte) ? byte | 0x20 : byte }
    private static func raised(_ byte: UInt8) -> UInt8 { (0x61...0x7A).contains(byte) ? byte & ~0x20 : byte }

    var uppercased: Text {
        if isASCII { return mappedASCII(Self.raised) }
        return Text(scalars.reduce(into: "") { $0 += $1.properties.uppercaseMapping })
    }

    var lowercased: Text {
        if isASCII { return mappedASCII(Self.lowered) }
        let scalars = Array(scalars)
        return Text(scalars.indices.reduce(into: "") { $0 += Self.lowercase(scalars, $1) })
    }

    /// The lower case of one scalar, which for a sigma depends on whether a word ends with it.
    private static func lowercase(_ scalars: [Unicode.Scalar], _ index: Int) -> String {
        guard scalars[index] == "Σ" else { return scalars[index].properties.lowercaseMapping }
        let before = scalars[..<index].last { !$0.properties.isCaseIgnorable }
        let after = scalars[(index + 1)...].first { !$0.properties.isCaseIgnorable }
        return before?.properties.isCased == true && after?.properties.isCased != true ? "ς" : "σ"
    }

    /// The first letter in title case, all others in lower case.
    var capitalized: Text {
        let scalars = Array(scalars)
        return Text(scalars.indices.reduce(into: "") {
            $0 += $1 == 0 ? scalars[0].properties.titlecaseMapping : Self.lowercase(scalars, $1)
        })
    }

    /// Python's `str.title`: a word is a run of letters that have case.
    var titlecased: Text {
        let scalars = Array(scalars)
        var result = ""
        var isInWord = false
        for index in scalars.indices {
            result += isInWord ? Self.lowercase(scalars, index) : scalars[index].properties.titlecaseMapping
            isInWord = scalars[index].properties.isCased
        }
        return Text(result)
    }

    /// Jinja's `title`: a word begins behind white space, a hyphen or an opening bracket.
    var filterTitlecased: Text {
        let scalars = Array(scalars)
        var result = ""
        var isInWord = false
        for index in scalars.indices {
            let scalar = scalars[index]
            let isSeparator = WhiteSpace.contains(scalar) || ["-", "(", "{", "[", "<"].contains(scalar)
            result += isSeparator ? String(Character(scalar)) : isInWord ? Self.lowercase(scalars, index) : scalar.properties.uppercaseMapping
            isInWord = !isSeparator
        }
        return Text(result)
    }

    var caseSwapped: Text {
        let scalars = Array(scalars)
        return Text(scalars.indices.reduce(into: "") { result, index in
            let properties = scalars[index].properties
            result += properties.isUppercase ? Self.lowercase(scalars, index) : properties.isLowercase ? properties.uppercaseMapping
                : String(Character(scalars[index]))
        })
    }

    // MARK: Questions

    /// Whether it has letters with case, all of them lower.
    var isLower: Bool {
        scalars.contains(where: \.properties.isLowercase) && !scalars.contains(where: \.isUpperOrTitle)
    }

    var isUpper: Bool {
        scalars.contains(where: \.properties.isUppercase)
            && !scalars.contains { $0.properties.isLowercase || $0.properties.generalCategory == .titlecaseLetter }
    }

    var isTitle: Bool {
        var isInWord = false, hasWord = false
        for scalar in scalars {
            if scalar.isUpperOrTitle {
                if isInWord { return false }
                (isInWord, hasWord) = (true, true)
            } else if scalar.properties.isLowercase {
                if !isInWord { return false }
            } else {
                isInWord = false
            }
        }
        return hasWord
    }
}

extension Unicode.Scalar {
    fileprivate var isUpperOrTitle: Bool { properties.isUppercase || properties.generalCategory == .titlecaseLetter }

    var isLetter: Bool {
        switch properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
        default: false
        }
    }

    var isDecimal: Bool { properties.numericType == .decimal }
    var isDigit: Bool { properties.numericType == .decimal || properties.numericType == .digit }
    var isNumeric: Bool { properties.numericType != nil }
}
