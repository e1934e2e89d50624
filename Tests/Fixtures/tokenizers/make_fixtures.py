#!/usr/bin/env python3
"""Makes the tokenizer fixtures: small tokenizers of each kind, texts, and what the `tokenizers` library makes of them.

    pip install tokenizers==0.23.3
    python make_fixtures.py

Writes, beside this script:
    lines.json          the texts, shared by all kinds
    KIND.json           a trained tokenizer.json
    KIND.expected.json  prefix/suffix: what special tokens surround a text; ids: per line, without them;
                        decoded: per line where it differs from the line, [index, keeping special tokens, skipping them];
                        samples: random ids with their decoded texts, [ids, keeping, skipping]
    variants.json       tiny tokenizers, one for each component and option, with a few texts each
"""

import collections
import json
import pathlib
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = pathlib.Path(__file__).parent
RANDOM = random.Random(20240607)

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")

# ---------------------------------------------------------------------------------------------------------- texts

NOUNS = "river lantern worker block query cache token garden whistle engine ladder fox bridge letter morning".split()
VERBS = "carries finds streams repairs counts forgets returns follows measures paints".split()
ADJECTIVES = "quiet running bright broken patient wooden distant careful northern".split()
CYRILLIC = "река фонарь рабочий очередь утро письмо считает находит тихий ёжик объём йод Україна їжак".split()
GREEK = "ποτάμι φανάρι γράμμα πρωί ἄνθρωπος".split()
ACCENTED = ["naïve", "café", "Zürich", "façade", "señor", "smörgåsbord", "Łódź", "İstanbul", "ﬁne", "Straße", "Việt"]
DECOMPOSED = ["nai\u0308ve", "cafe\u0301", "A\u030angstro\u0308m", "e\u0323\u0302", "q\u0307\u0323", "\u0344x", "\u212bngstrom",
              "\U00020041\u0301", "\u01c4\u0323", "\u0385\u0323", "\u0898\u0323", "\u1e9b\u0323", "\u1112\u1161\u11a8\u11a8", "각\u11a8",
              "a\u0315\u0300\u05ae\u0327b", "\u0958", "\ufb1d"]
INDIC_ETC = ["नमस्ते", "क्षत्रिय", "ภาษาไทย", "שָׁלוֹם", "مَرْحَبًا", "한국어", "각", "\u1112\u1161\u11ab", "தமிழ்", "ქართული"]
CONTRACTIONS = ["I'm", "you're", "we'll", "he'd", "it's", "don't", "they've", "I'M", "YOU'RE", "WE'LL", "IT'S", "DON'T",
                "it\u2019s", "'\u017f", "'S", "'ll'll", "rock'n'roll"]
EMOJI = ["😀", "👩‍💻", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇺🇦🇯🇵", "👍🏽", "❤️", "1️⃣", "🧑🏿‍🚀", "☃", "🫠", "✋🏻✋🏿"]
DIGITS = ["7", "42", "2024", "1234567", "3.14159", "1e-9", "0xFF", "٤٢", "४२", "Ⅻ", "½", "²³", "١٢٣٤٥", "1,000,000"]
SPACES = [" ", "  ", "   ", "\t", "\t\t", "\n", "\n\n", "\r\n", " \n ", "\u00a0", "\u3000", "\u2009", "\u2028", "\u0085",
          "\u180e", "\u200b", "\ufeff", "\u000b", "\u000c", "      ", " \t \t", "\r", "\u1680"]
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<s>", "</s>", "<unk>", "<|begin_of_text|>", "<|eot_id|>", "<pad>",
            "<tool>", "[W]", "<|im_sta", "|>", "<0x41>", "<0xE5>", "<keep>", "▁", "▁▁a", "<left>", "<right>"]
CODE = ["def f(x):\n    return x * 2\n", "for (int i = 0; i < n; ++i) {\n\tsum += a[i];\n}", "let xs = [1, 2, 3].map { $0 + 1 }",
        "if err != nil {\r\n    return err\r\n}", "SELECT * FROM t WHERE id = 'x' AND n >= 10;", "<div class=\"a b\">&nbsp;</div>",
        "#!/bin/sh\nset -eu\necho \"${HOME}/$1\" | sed 's/a/b/g'", "self.__init__(**kwargs)  # TODO: naïve", "x=y==z!=w<=v>>u&&t||s",
        "https://example.org/a_b?c=d&e=%20f#g", "\\begin{equation} e^{i\\pi} + 1 = 0 \\end{equation}", "a\\n\\t\\u00e9"]
PUNCTUATION = ["...", "?!", "--", "—", "«»", "“”", "()", "[]{}", "@#$%^&*", "،", "。", "！", "·", "\\", "`", "~", "€", "→", "''", "___"]
ODD = ["\u0000", "\u0001", "\u007f", "\ue000", "\ufffd", "\ufffe", "\U0010ffff", "\U0001f9ff", "\U00020000", "\u0300", "\u200d", "\ufe0f"]


def cjk():
    return "".join(chr(RANDOM.choice([RANDOM.randint(0x4E00, 0x9FA5), RANDOM.randint(0x3041, 0x3096), RANDOM.randint(0x30A1, 0x30FA)]))
                   for _ in range(RANDOM.randint(1, 6)))


def long_word():
    letters = RANDOM.choice(["abcdefghij", "etaoinshr", "абвгдежз", "ab", "中文字", "aé"])
    return "".join(RANDOM.choice(letters) for _ in range(RANDOM.randint(30, 120)))


def sentence():
    words = ["The", RANDOM.choice(ADJECTIVES), RANDOM.choice(NOUNS), RANDOM.choice(VERBS), "the", RANDOM.choice(NOUNS)]
    if RANDOM.random() < 0.3:
        words += ["because", RANDOM.choice(CONTRACTIONS), RANDOM.choice(ADJECTIVES)]
    return " ".join(words) + RANDOM.choice([".", "!", "?", ",", ""])


def mixture(count):
    kinds = [lambda: RANDOM.choice(NOUNS), lambda: RANDOM.choice(CYRILLIC), lambda: RANDOM.choice(GREEK), lambda: RANDOM.choice(ACCENTED),
             lambda: RANDOM.choice(DECOMPOSED), lambda: RANDOM.choice(INDIC_ETC), lambda: RANDOM.choice(CONTRACTIONS),
             lambda: RANDOM.choice(EMOJI), lambda: RANDOM.choice(DIGITS), lambda: RANDOM.choice(SPECIALS),
             lambda: RANDOM.choice(PUNCTUATION), lambda: RANDOM.choice(ODD), cjk]
    return "".join(RANDOM.choice(kinds)() + (RANDOM.choice(SPACES) if RANDOM.random() < 0.6 else "") for _ in range(count))


def make_lines():
    lines = ["", " ", "  ", "\n", "\r\n", "a", " a", "a ", "<s>", "<s><s>", " <s> ", "▁", "▁a", "Hello world"]
    lines += NOUNS + CYRILLIC + GREEK + ACCENTED + DECOMPOSED + INDIC_ETC + CONTRACTIONS + EMOJI + DIGITS + SPACES + SPECIALS
    lines += CODE + PUNCTUATION + ODD
    lines += [a + token + b for token in SPECIALS for a in ("", "x", " ", "x \n", "_") for b in ("", "y", " ", "\t y", "é", " ,")]
    lines += [sentence() for _ in range(350)]
    lines += [RANDOM.choice(CODE) + RANDOM.choice(SPACES) + RANDOM.choice(CODE) for _ in range(60)]
    lines += [mixture(RANDOM.randint(1, 4)) for _ in range(1100)]
    lines += [mixture(RANDOM.randint(5, 9)) for _ in range(150)]
    lines += ["".join(RANDOM.choice(SPACES) for _ in range(RANDOM.randint(2, 6))) + RANDOM.choice(NOUNS) for _ in range(120)]
    lines += [long_word() for _ in range(50)]
    lines += ["".join(RANDOM.choice("0123456789") for _ in range(RANDOM.randint(4, 20))) for _ in range(40)]
    return list(dict.fromkeys(lines))


def training_texts():
    texts = [sentence() for _ in range(1500)] + CODE * 10
    for words in (CYRILLIC, GREEK, ACCENTED, INDIC_ETC, CONTRACTIONS, EMOJI):
        texts += [" ".join(RANDOM.choice(words) for _ in range(6)) for _ in range(60)]
    return texts + [" ".join(cjk() for _ in range(4)) for _ in range(60)] + ["    " * RANDOM.randint(1, 3) + "x = 1" for _ in range(50)]


# ----------------------------------------------------------------------------------------------------- tokenizers

def special(content, **options):
    return AddedToken(content, special=True, normalized=options.pop("normalized", False), **options)


def train(tokenizer, size, specials, texts, alphabet=None):
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=size, special_tokens=specials, initial_alphabet=alphabet or [], show_progress=False))
    return tokenizer


def byte_level(pattern, size, specials, texts, normalizer=None, ignore_merges=False):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = (
        pre_tokenizers.ByteLevel(add_prefix_space=False) if pattern is None else pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(pattern), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]))
    tokenizer.decoder = decoders.ByteLevel()
    return train(tokenizer, size, specials, texts, pre_tokenizers.ByteLevel.alphabet())


def with_common_letters(texts):
    """Leaves rare letters to byte fallback, as large vocabularies do."""
    counts = collections.Counter("".join(texts))
    return [text for text in texts if all(counts[letter] >= 20 for letter in text)]


def sentencepiece(size, texts):
    texts = with_common_letters(texts)
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    specials = [special("<unk>"), special("<s>"), special("</s>")]
    train(tokenizer, size, specials + [AddedToken(f"<0x{byte:02X}>") for byte in range(256)], texts)
    value = json.loads(tokenizer.to_str())
    # The byte tokens belong to the vocabulary alone: in a text they are letters like others.
    value["added_tokens"] = [token for token in value["added_tokens"] if not token["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(value))
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", "<s> $A <s> $B", [("<s>", tokenizer.token_to_id("<s>"))])
    tokenizer.decoder = decoders.Sequence([
        decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return tokenizer


def gpt2(texts):
    tokenizer = byte_level(None, 700, [special("<|endoftext|>")], texts)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_tokens([
        AddedToken("<tool>", normalized=True), AddedToken("[W]", single_word=True), AddedToken("<keep>", lstrip=True, rstrip=True),
        AddedToken("<left>", lstrip=True), AddedToken("<right>", rstrip=True)])
    return tokenizer


def llama3(texts):
    specials = [special("<|begin_of_text|>"), special("<|end_of_text|>"), special("<|eot_id|>"), special("<pad>", lstrip=True)]
    tokenizer = byte_level(LLAMA3, 1000, specials, texts, ignore_merges=True)
    begin = ("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing("<|begin_of_text|> $A", "<|begin_of_text|> $A <|begin_of_text|> $B", [begin])])
    return tokenizer


def qwen2(texts):
    tokenizer = byte_level(QWEN2, 800, [special("<|endoftext|>"), special("<|im_start|>"), special("<|im_end|>")], texts, normalizers.NFC())
    tokenizer.add_tokens([AddedToken("<tool>", normalized=False), AddedToken("cafe\u0301", normalized=True)])
    return tokenizer


def llama2(texts):
    tokenizer = sentencepiece(900, texts)
    tokenizer.pre_tokenizer = None
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.add_tokens([AddedToken("<tool>", normalized=True), AddedToken("[W]", normalized=False, single_word=True)])
    return tokenizer


def mistral(texts):
    tokenizer = sentencepiece(800, texts)
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        "<s> $A </s>", "<s> $A </s> $B", [("<s>", tokenizer.token_to_id("<s>")), ("</s>", tokenizer.token_to_id("</s>"))])
    tokenizer.add_tokens([AddedToken("<keep>", normalized=False, lstrip=True, rstrip=True)])
    return tokenizer


def with_string_merges(text):
    value = json.loads(text)
    value["model"]["merges"] = [" ".join(pair) for pair in value["model"]["merges"]]
    return dump(value)


# --------------------------------------------------------------------------------------------------- expectations

def dump(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def write(name, value):
    (HERE / name).write_bytes((value if isinstance(value, str) else dump(value)).encode())


def both_decoded(tokenizer, ids):
    return [tokenizer.decode(ids, skip_special_tokens=False), tokenizer.decode(ids, skip_special_tokens=True)]


def random_samples(tokenizer, count):
    bound = max(tokenizer.get_vocab().values()) + 3
    byte_tokens = sorted(id for token, id in tokenizer.get_vocab().items() if token.startswith("<0x") or len(token) == 1)
    samples = []
    for _ in range(count):
        pool = byte_tokens if RANDOM.random() < 0.5 else range(bound)
        ids = [RANDOM.choice(pool) if RANDOM.random() < 0.9 else RANDOM.randrange(bound) for _ in range(RANDOM.randint(1, 14))]
        samples.append([ids, *both_decoded(tokenizer, ids)])
    return samples


def expectation(tokenizer, lines, sample_count):
    prefix, suffix = [], []
    if (whole := tokenizer.encode("a").ids) != (bare := tokenizer.encode("a", add_special_tokens=False).ids):
        start = next(i for i in range(len(whole)) if whole[i:i + len(bare)] == bare)
        prefix, suffix = whole[:start], whole[start + len(bare):]
    ids = [tokenizer.encode(line, add_special_tokens=False).ids for line in lines]
    for line, bare in zip(lines, ids):
        assert tokenizer.encode(line).ids == prefix + bare + suffix, line
    texts = [both_decoded(tokenizer, prefix + bare + suffix) for bare in ids]
    decoded = [[i, *text] for i, (line, text) in enumerate(zip(lines, texts)) if text != [line, line]]
    return {"prefix": prefix, "suffix": suffix, "ids": ids, "decoded": decoded, "samples": random_samples(tokenizer, sample_count)}


# ------------------------------------------------------------------------------------------------------- variants

def variants(texts):
    """Name, tokenizer: a base with one component or option exchanged."""
    def base(**parts):
        tokenizer = byte_level(None, 290, [special("<s>"), special("</s>")], texts)
        for name, part in parts.items():
            setattr(tokenizer, name, part)
        return tokenizer

    def spaced(**parts):
        tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        train(tokenizer, 130, [special("<unk>"), special("<s>")], texts[:800])
        for name, part in parts.items():
            setattr(tokenizer, name, part)
        return tokenizer

    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    yield "byte_level_prefix_space", base(pre_tokenizer=pre_tokenizers.ByteLevel(add_prefix_space=True))
    yield "byte_level_no_regex", base(pre_tokenizer=plain)
    for behavior in ("removed", "isolated", "merged_with_previous", "merged_with_next", "contiguous"):
        for invert in (False, True):
            split = pre_tokenizers.Split(Regex(r"[aeiou\s]"), behavior, invert=invert)
            yield f"split_{behavior}_{invert}", base(pre_tokenizer=pre_tokenizers.Sequence([split, plain]))
    yield "split_string", base(pre_tokenizer=pre_tokenizers.Sequence([pre_tokenizers.Split("e ", "merged_with_previous"), plain]))
    yield "split_empty_matches", base(pre_tokenizer=pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(r"\d*(?=[aeé])"), "isolated"), plain]))
    yield "split_escapes", base(pre_tokenizer=pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r"(?i)THE|[\x{3041}-\u30FA]|\x41|\D\.$|^\S|[\d\-\s]{2,3}?|\P{L}++e"), "isolated"), plain]))
    for individual in (False, True):
        yield f"digits_{individual}", base(pre_tokenizer=pre_tokenizers.Sequence([pre_tokenizers.Digits(individual), plain]))
    for normalizer in (normalizers.NFD(), normalizers.NFKC(), normalizers.NFKD(), normalizers.Lowercase(),
                       normalizers.Replace(Regex(r"\s+"), " "), normalizers.Sequence([normalizers.NFC(), normalizers.Replace("e", "[e]")])):
        tokenizer = base(normalizer=normalizer)
        tokenizer.add_tokens([AddedToken("Café", normalized=True), AddedToken("ﬁne", normalized=True, special=True)])
        yield f"normalizer_{type(normalizer).__name__}", tokenizer
    for scheme in ("always", "first", "never"):
        for split in (True, False):
            yield f"metaspace_{scheme}_{split}", spaced(
                pre_tokenizer=pre_tokenizers.Metaspace(prepend_scheme=scheme, split=split), decoder=decoders.Metaspace(prepend_scheme=scheme))
    yield "metaspace_after_split", spaced(pre_tokenizer=pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r"[Tq]"), "removed"), pre_tokenizers.Metaspace(prepend_scheme="first")]))
    yield "no_decoder", spaced()
    yield "no_unknown", base(pre_tokenizer=pre_tokenizers.Split(Regex(r"\s+"), "removed"))
    yield "decoder_fuse_replace", spaced(decoder=decoders.Sequence([decoders.Fuse(), decoders.Replace("e▁t", "<E T>"), decoders.Strip("▁", 2, 0)]))
    yield "decoder_token_strip", spaced(decoder=decoders.Sequence([decoders.Strip("▁", 1, 0), decoders.Replace("er", "")]))
    two = processors.TemplateProcessing("</s> <s> $A </s>", None, [("<s>", 0), ("</s>", 1)])
    yield "processor_sequence", base(post_processor=processors.Sequence([two, processors.ByteLevel()]))


def main():
    texts, lines = training_texts(), make_lines()
    write("lines.json", lines)
    for make in (gpt2, llama3, qwen2, llama2, mistral):
        text = make(texts).to_str()
        write(f"{make.__name__}.json", with_string_merges(text) if make in (gpt2, llama2) else dump(json.loads(text)))
        tokenizer = Tokenizer.from_file(str(HERE / f"{make.__name__}.json"))
        write(f"{make.__name__}.expected.json", expectation(tokenizer, lines, 300))
    chosen = RANDOM.sample([line for line in lines if len(line) < 60], 110)
    result = []
    for name, tokenizer in variants(texts):
        tokenizer = Tokenizer.from_str(tokenizer.to_str())
        result.append({"name": name, "tokenizer": dump(json.loads(tokenizer.to_str())), "expected": expectation(tokenizer, chosen, 25)})
    write("variants.json", {"lines": chosen, "variants": result})


if __name__ == "__main__":
    main()
