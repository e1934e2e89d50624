import JSONReader

/// Why a tokenizer could not be loaded, or a text not be split.
///
/// Every case names the file, the path of the key in it (`added_tokens[3].id`) and the offending value.
public enum TokenizerError: Error, Sendable, Hashable {
    /// The file could not be read at all.
    case unreadableFile(file: String, reason: String)
    /// The file is not JSON.
    case malformedJSON(file: String, JSONError)
    case missingKey(file: String, key: String)
    case wrongType(file: String, key: String, expected: String, found: String)
    /// The value is legal, but stands for something this tokenizer does not do.
    case unsupported(file: String, key: String, value: String)
    /// The value has the right type, but contradicts itself or the rest of the file.
    case invalid(file: String, key: String, value: String, defect: Defect)
    /// Matching the file's own pattern against a text took more steps or memory than allowed.
    case matchLimitExceeded(pattern: String)

    /// What is wrong with a value of the right type.
    public enum Defect: String, Sendable, Hashable, CaseIterable {
        case idOutOfRange = "token id out of range"
        case duplicateID = "token id is already taken"
        case conflictingID = "token has another id in model.vocab"
        case duplicateToken = "token appears twice"
        case emptyToken = "token is empty"
        case tokenTooLong = "token is too long"
        case malformedMerge = "merge is not a pair of tokens"
        case mergeOutOfVocabulary = "merge names or makes a token that is not in the vocabulary"
        case unknownToken = "token is not in the vocabulary"
        case unknownTokenID = "no token has this id"
        case unknownSpecialToken = "special token is not declared in special_tokens"
        case mismatchedCounts = "ids and tokens differ in number"
        case notOneCharacter = "not exactly one character"
        case emptyPattern = "pattern is empty"
        case patternTooLong = "pattern is too long"
        case patternDoesNotCompile = "pattern does not compile"
        case numberOutOfRange = "number out of range"
        case tooManySteps = "more steps than any tokenizer needs"
        case unboundedGrowth = "rewrites a text to many times its length"
        case invalidText = "token is not valid UTF-8"
        case contradiction = "contradicts another key of the same object"
    }
}

extension TokenizerError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unreadableFile(let file, let reason):
            "\(file): cannot be read: \(reason)"
        case .malformedJSON(let file, let error):
            "\(file): \(error)"
        case .missingKey(let file, let key):
            "\(file): \(key): missing"
        case .wrongType(let file, let key, let expected, let found):
            "\(file): \(key): expected \(expected), found \(found)"
        case .unsupported(let file, let key, let value):
            "\(file): \(key): unsupported value \(value)"
        case .invalid(let file, let key, let value, let defect):
            "\(file): \(key): invalid value \(value): \(defect.rawValue)"
        case .matchLimitExceeded(let pattern):
            "the text cannot be split within limits by the pattern \(pattern)"
        }
    }
}
