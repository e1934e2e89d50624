import CPCRE2
import JSONReader

/// A compiled pattern of the file, run by PCRE2 on UTF-8.
final class Pattern: @unchecked Sendable {
    // Unchecked because of the pointer alone: the code is written by `init` and `deinit` and only read in between,
    // which PCRE2 allows from any number of threads. All that changes during a match belongs to the call.
    private let code: OpaquePointer
    let source: String

    private static let maximumByteCount = 1 << 14
    /// In kibibytes; PCRE2's own limit is 20 GB.
    private static let heapLimit: UInt32 = 64 * 1024
    /// Steps of one match attempt.
    private static let matchLimit: UInt32 = 10_000_000

    /// GPT-2's own pattern, which a ``ByteLevel`` pre-tokenizer implies.
    static let gpt2 = #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#

    /// Compiles the pattern that `value` stands for or implies.
    init(_ pattern: String, from value: JSONValue) throws(TokenizerError) {
        guard !pattern.isEmpty else { throw value.invalid(.emptyPattern) }
        guard pattern.utf8.count <= Self.maximumByteCount else { throw value.invalid(.patternTooLong) }
        let translated: String
        do {
            translated = try PatternSyntax.translate(pattern)
        } catch {
            throw .unsupported(
                file: value.document.file, key: value.path, value: "\(JSONValue.quoted(pattern)) (at \(error.construct))")
        }
        guard let code = Self.compile(Array(translated.utf8)) else { throw value.invalid(.patternDoesNotCompile) }
        self.code = code
        self.source = pattern
        // Without JIT support every match is interpreted: slower, same result.
        _ = pcre2_jit_compile_8(code, PCRE2_JIT_COMPLETE)
    }

    /// Compiles one of our own patterns.
    init(known pattern: String) {
        guard let translated = try? PatternSyntax.translate(pattern), let code = Self.compile(Array(translated.utf8)) else {
            preconditionFailure("pattern \(pattern)")
        }
        self.code = code
        self.source = pattern
        // Without JIT support every match is interpreted: slower, same result.
        _ = pcre2_jit_compile_8(code, PCRE2_JIT_COMPLETE)
    }

    deinit { pcre2_code_free_8(code) }

    private static func compile(_ pattern: [UInt8]) -> OpaquePointer? {
        guard let context = pcre2_compile_context_create_8(nil) else { return nil }
        defer { pcre2_compile_context_free_8(context) }
        pcre2_set_newline_8(context, UInt32(PCRE2_NEWLINE_LF))
        var error: Int32 = 0
        var offset = 0
        // Ruby's `^` and `$` always match at line ends.
        let options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C
        return pcre2_compile_8(pattern, pattern.count, options, &error, &offset, context)
    }

    /// All matches in `text`, which must be valid UTF-8, as ranges of offsets from its start: leftmost first, not
    /// overlapping, and no empty match right after another.
    func matches(in text: ArraySlice<UInt8>) throws(TokenizerError) -> [Range<Int>] {
        guard let data = pcre2_match_data_create_8(1, nil), let context = pcre2_match_context_create_8(nil) else {
            throw .matchLimitExceeded(pattern: source)
        }
        defer {
            pcre2_match_data_free_8(data)
            pcre2_match_context_free_8(context)
        }
        pcre2_set_heap_limit_8(context, Self.heapLimit)
        pcre2_set_match_limit_8(context, Self.matchLimit)

        let found: [Range<Int>]? = text.withUnsafeBufferPointer { text in
            guard let base = text.baseAddress else { return [] }
            var matches: [Range<Int>] = []
            var start = 0
            while start <= text.count {
                var status = pcre2_match_8(code, base, text.count, start, PCRE2_NO_UTF_CHECK, data, context)
                if status == PCRE2_ERROR_JIT_STACKLIMIT {
                    status = pcre2_match_8(code, base, text.count, start, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data, context)
                }
                if status == PCRE2_ERROR_NOMATCH { return matches }
                guard status >= 0, let offsets = pcre2_get_ovector_pointer_8(data) else { return nil }
                let match = offsets[0]..<max(offsets[0], offsets[1])
                if match.isEmpty, match.lowerBound == matches.last?.upperBound {
                    start = Self.characterEnd(after: start, in: text)
                    continue
                }
                matches.append(match)
                start = match.upperBound
            }
            return matches
        }
        guard let found else { throw .matchLimitExceeded(pattern: source) }
        return found
    }

    private static func characterEnd(after start: Int, in text: UnsafeBufferPointer<UInt8>) -> Int {
        var end = start + 1
        while end < text.count, text[end] & 0xC0 == 0x80 { end += 1 }
        return end
    }
}
