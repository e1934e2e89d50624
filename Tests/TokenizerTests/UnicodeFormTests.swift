import Testing

@testable import Tokenizer

/// The variants' fixtures compare the forms with the reference implementation; these are the rules one by one.
@Suite struct UnicodeFormTests {
    private static func scalars(_ form: UnicodeForm, _ text: String) -> [UInt32] {
        String(decoding: form.normalize(Array(text.utf8)), as: UTF8.self).unicodeScalars.map(\.value)
    }

    @Test func composition() {
        #expect(Self.scalars(.nfc, "e\u{301}\u{212B}") == [0xE9, 0xC5])
        #expect(Self.scalars(.nfd, "\u{1E69}") == [0x73, 0x323, 0x307])
        // Marks are sorted by class; one that is blocked by another of its class stays.
        #expect(Self.scalars(.nfc, "s\u{307}\u{323}") == [0x1E69])
        #expect(Self.scalars(.nfc, "a\u{308}\u{30A}") == [0xE4, 0x30A])
        // Excluded from composition.
        #expect(Self.scalars(.nfc, "\u{958}\u{344}") == [0x915, 0x93C, 0x308, 0x301])
        #expect(Self.scalars(.nfkc, "\u{FB01}\u{1C4}\u{323}") == [0x66, 0x69, 0x44, 0x1E92, 0x30C])
    }

    @Test func hangul() {
        #expect(Self.scalars(.nfc, "\u{1112}\u{1161}\u{11AB}\u{11AB}") == [0xD55C, 0x11AB])
        #expect(Self.scalars(.nfc, "\u{D558}\u{11AB}") == [0xD55C])
        #expect(Self.scalars(.nfd, "\u{D55C}\u{AC00}") == [0x1112, 0x1161, 0x11AB, 0x1100, 0x1161])
    }

    @Test("Characters above U+FFFF are not taken for those with the same low bits")
    func supplementary() {
        #expect(Self.scalars(.nfc, "\u{20041}\u{301}") == [0x20041, 0x301])
        #expect(Self.scalars(.nfc, "\u{11099}\u{110BA}") == [0x1109A])
    }

    @Test("Characters younger than Unicode 9.0 count as unassigned")
    func pinned() {
        #expect(Self.scalars(.nfkc, "\u{32FF}") == [0x32FF])
        #expect(Self.scalars(.nfc, "a\u{301}\u{898}\u{323}") == [0xE1, 0x898, 0x323])
    }
}
