#!/usr/bin/env python3
"""Writes the valid samples from which `make fuzz` starts: valid-* in the directory of each target.

Messages are made from Protos/, one of each kind; the files of models are cut down from the fixtures beside this directory.
Other inputs here (by hash) were found by the fuzzer: `make fuzz-merge` keeps those that reach something new.
"""
import json
import re
import struct
from pathlib import Path

here = Path(__file__).resolve().parent
house = here.parents[2]


def write(target, name, data):
    directory = here / target
    directory.mkdir(exist_ok=True)
    (directory / f"valid-{name}").write_bytes(data.encode() if isinstance(data, str) else data)


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# Messages

def schemas():
    """{message: [(label, type, name, number)]}, members of a oneof marked by the label."""
    found = {}
    for name in ("common", "control", "kv", "rpc"):
        text = re.sub(r"//.*", "", (house / f"Protos/{name}.proto").read_text())
        for match in re.finditer(r"message (\w+) \{((?:[^{}]|\{[^{}]*\})*)\}", text):
            fields = []
            body = match[2]
            for oneof in re.findall(r"oneof \w+ \{([^}]*)\}", body):
                fields += [("oneof", *field) for field in re.findall(r"(\w+) (\w+) = (\d+);", oneof)]
            rest = re.sub(r"oneof \w+ \{[^}]*\}", "", body)
            fields += [(label.strip(), *field) for label, *field in re.findall(r"(repeated )?(\w+) (\w+) = (\d+);", rest)]
            found[match[1]] = fields
    return found


SCHEMAS = schemas()
TEXTS = {"code": b"overloaded", "failed": b"overloaded", "state": b"ready"}
NUMBERS = {"priority": 0, "prompt_kind": 0, "max_tokens": 5}
FLOATS = {"presence_penalty": 0.5, "frequency_penalty": -0.5}


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def value(kind, name):
    """Wire type and bytes of a field."""
    if kind in SCHEMAS:
        data = message(kind)
        return 2, varint(len(data)) + data
    if kind == "bytes":
        data = TEXTS.get(name, "é1".encode())
        return 2, varint(len(data)) + data
    if kind == "float":
        return 5, struct.pack("<f", FLOATS.get(name, 1.0))
    if kind == "fixed32":
        return 5, struct.pack("<I", 7)
    if kind == "fixed64":
        return 1, struct.pack("<Q", 7)
    return 0, varint(NUMBERS.get(name, 1))


def message(kind, chosen=None):
    """Every field set; of a oneof, the member `chosen` or the first."""
    out = b""
    oneof = [name for label, _, name, _ in SCHEMAS[kind] if label == "oneof"]
    member = chosen or (oneof[0] if oneof else None)
    for label, field, name, number in SCHEMAS[kind]:
        if label == "oneof" and name != member:
            continue
        wire, data = value(field, name)
        out += varint(int(number) << 3 | wire) + data
    return out


def frames(*parts):
    return b"".join(struct.pack("<H", len(part)) + part for part in parts)


TOKEN = struct.pack("<I", 3)
RECORD = struct.pack("<QIII", 1, 1, 1, 1)
LOGPROBS = struct.pack("<IfIf", 2, -0.5, 3, -1.5)
BIAS = struct.pack("<If", 3, -100)
FORK = struct.pack("<QII", 2, 1, 1)
SEQUENCE = [TOKEN, BIAS, FORK, b"{}"]
PAYLOADS = {
    "blocks": [b"k"], "ControlHeader.tokens": [RECORD, LOGPROBS], "prefill_finished": [LOGPROBS],
    "prompt_forked": [RECORD, LOGPROBS], "prompt_scored": [LOGPROBS], "prefill": SEQUENCE, "grant": SEQUENCE,
    "submit": ["Once é".encode(), BIAS, b"{}"], "ServerHeader.tokens": [TOKEN, LOGPROBS, b"text"],
    "prompt": [TOKEN, LOGPROBS], "finished": [b"text"], "status": [message("WorkerStatus")],
    "prefixes_changed": [struct.pack("<Q", 1), struct.pack("<Q", 2)],
}


def messages():
    for target, headers in {"kv": ["KVHeader"], "control": ["ControlHeader"], "rpc": ["ClientHeader", "ServerHeader"]}.items():
        for header in headers:
            for label, _, name, _ in SCHEMAS[header]:
                if label != "oneof":
                    continue
                payload = PAYLOADS.get(f"{header}.{name}", PAYLOADS.get(name, []))
                if header == "ClientHeader" and name == "status":
                    payload = []
                prefix = f"{header.removesuffix('Header').lower()}-" if len(headers) > 1 else ""
                write(target, f"{prefix}{name}", frames(message(header, name), *payload))
    for label, _, name, _ in SCHEMAS["Event"]:
        if label == "oneof":
            event = message("Event", name)
            number = next(number for _, _, field, number in SCHEMAS["ServerHeader"] if field == "event")
            write("rpc", f"event-{name}", frames(b"\x08\x01" + varint(int(number) << 3 | 2) + varint(len(event)) + event))


# Files of models

def checkpoints():
    for path in sorted((here.parent / "checkpoints").glob("*/config.json")):
        write("config", path.parent.name, compact(json.loads(path.read_text())))
    model = house / "Models/baton-tiny"
    write("config", "with-generation", b"\0".join(
        compact(json.loads((model / name).read_text())).encode() for name in ("config.json", "generation_config.json")))
    qwen2 = json.loads((here.parent / "checkpoints/qwen2/config.json").read_text())
    layers = ["full_attention", "sliding_attention"] * qwen2["num_hidden_layers"]
    qwen2 |= {"use_sliding_window": True, "sliding_window": 16, "layer_types": layers[:qwen2["num_hidden_layers"]]}
    write("config", "layer-types", compact(qwen2))


def gguf():
    """Metadata of every type and tensors of several, in versions 2 and 3."""
    kinds = {"u8": (0, "<B"), "i8": (1, "<b"), "u16": (2, "<H"), "i16": (3, "<h"), "u32": (4, "<I"), "i32": (5, "<i"),
             "f32": (6, "<f"), "bool": (7, "<B"), "u64": (10, "<Q"), "i64": (11, "<q"), "f64": (12, "<d")}

    def text(value):
        return struct.pack("<Q", len(value.encode())) + value.encode()

    def typed(kind, value):
        if kind == "string":
            return 8, text(value)
        if isinstance(kind, tuple):
            items = [typed(kind[1], item) for item in value]
            return 9, struct.pack("<IQ", items[0][0] if items else 4, len(items)) + b"".join(item for _, item in items)
        code, layout = kinds[kind]
        return code, struct.pack(layout, value)

    def member(key, kind, value):
        code, data = typed(kind, value)
        return text(key) + struct.pack("<I", code) + data

    def file(version, members, tensors, alignment=32):
        head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(members)) + b"".join(member(*each) for each in members)
        data = b""
        for name, dimensions, code, count in tensors:
            data += bytes(-len(data) % alignment)
            head += text(name) + struct.pack("<I", len(dimensions)) + struct.pack(f"<{len(dimensions)}Q", *dimensions)
            head += struct.pack("<IQ", code, len(data))
            data += bytes(i * 7 % 256 for i in range(count))
        return head + bytes(-len(head) % alignment) + data + bytes(-len(data) % alignment)

    every = [(f"general.{kind}", kind, 1) for kind in kinds]
    lists = [("tokenizer.ggml.tokens", ("list", "string"), ["a", "b", "é"]), ("tokenizer.ggml.scores", ("list", "f32"), [0.5, -1]),
             ("none", ("list", "u32"), []), ("nested", ("list", ("list", "i8")), [[1, 2], [3]])]
    tensors = [("token_embd.weight", [32, 2], 0, 256), ("blk.0.attn_q.weight", [32, 2], 8, 68),
               ("blk.0.attn_norm.weight", [5], 1, 10), ("x", [256, 1], 12, 144), ("y", [256], 14, 210), ("z", [2, 3, 2], 30, 24)]
    name = [("general.architecture", "string", "llama")]
    write("gguf", "empty", file(3, [], []))
    write("gguf", "metadata", file(3, name + every + lists, []))
    write("gguf", "tensors", file(3, name, tensors))
    write("gguf", "older", file(2, name + lists, tensors[:2]))
    bad = {"big-endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "truncated": file(3, name, tensors)[:200],
           "duplicate": file(3, name + name, []), "counts": b"GGUF" + struct.pack("<IQQ", 3, 2**60, 2**60) + bytes(64),
           "unknown-type": file(3, name, [("x", [4], 99, 16)]), "ragged-block": file(3, name, [("x", [33], 8, 34)])}
    for kind, data in bad.items():
        (here / "gguf" / f"refused-{kind}").write_bytes(data)
    write("gguf", "aligned", file(3, name + [("general.alignment", "u32", 64)], tensors[:3], 64))


def safetensors():
    def file(header, count):
        text = header if isinstance(header, str) else compact(header)
        return struct.pack("<Q", len(text.encode())) + text.encode() + bytes(count)

    tensor = lambda kind, shape, begin, end: {"dtype": kind, "shape": shape, "data_offsets": [begin, end]}
    write("safetensors", "empty", file("{}", 0))
    write("safetensors", "three", file({
        "__metadata__": {"format": "pt"}, "a": tensor("F32", [2, 3], 0, 24), "b": tensor("BF16", [5], 24, 34),
        "c": tensor("F16", [], 34, 36)}, 36))
    write("safetensors", "padded", file('{"é":{"shape":[0,7],"dtype":"F16","data_offsets":[0,0]}}   ', 0))
    write("safetensors", "many", file({f"model.layers.{i}.weight": tensor("BF16", [1], 2 * i, 2 * i + 2) for i in range(12)}, 24))


def tokenizers():
    configuration = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "chat_template": [{"name": "default", "template": "{{ x }}"}]}
    for path in sorted((here.parent / "tokenizers").glob("*.json")):
        if path.stem in ("lines", "variants") or path.stem.endswith(".expected"):
            continue
        tokenizer = json.loads(path.read_text())
        write("tokenizer", path.stem, compact(cut(tokenizer)))
    tiny = {
        "version": "1.0",
        "added_tokens": [{"id": 5, "content": "<s>", "special": True}, {"id": 6, "content": "</s>", "special": True},
                         {"id": 7, "content": "Te", "normalized": True, "lstrip": True, "single_word": True}],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFC"}, {"type": "Lowercase"}, {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"Regex": "\\s+"}, "content": "x"}]},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": "(?i:'s|'t)|[^\\r\\n\\p{L}]?\\p{L}+|\\p{N}{1,3}|\\s+(?!\\S)"},
             "behavior": "Isolated", "invert": False},
            {"type": "Digits", "individual_digits": True},
            {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True}]},
        "post_processor": {"type": "TemplateProcessing", "single": [
            {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [5], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 1}]},
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "<0x41>": 3, "x": 4}, "merges": [["a", "b"]],
                  "byte_fallback": True, "unk_token": "x", "fuse_unk": True},
    }
    write("tokenizer", "rich", compact(tiny))
    write("tokenizer", "with-configuration", f"{compact(tiny)}\0{compact(configuration)}")


def cut(tokenizer):
    """Sixty tokens of the vocabulary, and the merges that stay among them."""
    model = tokenizer["model"]
    used = {token["content"] for token in tokenizer.get("added_tokens", [])} | {model.get("unk_token")}
    short = sorted(model["vocab"], key=lambda token: (token not in used, len(token), model["vocab"][token]))[:60 + len(used)]
    model["vocab"] = {token: model["vocab"][token] for token in short}
    merges = [merge if isinstance(merge, list) else merge.split(" ") for merge in model["merges"]]
    model["merges"] = [merge for merge in merges if {*merge, "".join(merge)} <= model["vocab"].keys()]
    return tokenizer


def texts():
    write("json", "everything", r' {"a" : [1, -2.5e+3, true , false, null, {}, []], "b\n\u00e9\ud83e\udd80\/" : "x\ty", "": {"": ""}} ')
    write("json", "members", compact({f"k{i}": [i] for i in range(12)}))
    write("json", "nested", "[" * 20 + "]" * 20)
    write("json", "equivalent-keys", '{"é":1,"e\\u0301":2,"n":-0.0e-1}')


def templates():
    """The families' templates with one conversation each, and answers with calls. Those without `valid-` are refused."""
    conversation = [{"role": "system", "content": " S "}, {"role": "user", "content": "hé"}, {"role": "assistant", "content": None, "tool_calls": [
        {"id": "abcdefghi", "type": "function", "function": {"name": "f", "arguments": {"x": [1, 2.5]}}}]},
        {"role": "tool", "tool_call_id": "abcdefghi", "content": "3"}]
    tools = [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"x": {"type": "array"}}}}}]
    for path in sorted((here.parent / "templates/families").glob("*.jinja")):
        plain = path.stem in ("llama-2", "mistral-1", "gemma-2", "gemma-3", "llama-3", "phi-3", "smollm-2", "deepseek-2", "qwen-2.5", "mistral-3")
        variables = {"messages": conversation[1:2] if plain else conversation, "tools": tools, "bos_token": "<s>", "eos_token": "</s>",
                     "add_generation_prompt": True, "x": [3, "a"]}
        write("template", path.stem, f"{path.read_text()}\0{compact(variables)}")
    (here / "template/never-closed").write_text("{% for x in y %}{{ x")
    (here / "template/raises").write_text("{{ raise_exception('no') }}\0{}")
    for name, answer in {
        "hermes": 'See.\n<tool_call>\n{"name": "f", "arguments": {"x": [1, "}\\""]}}\n</tool_call>\n<tool_call>{"arguments": "{}", "name": "é"}</tool_call>',
        "llama": '<|python_tag|>{"type": "function", "name": "f", "parameters": {"x": {}}}; {"name": "g", "parameters": {}}',
        "mistral": '[TOOL_CALLS] [{"name": "f", "arguments": {}}, {"name": "g", "arguments": {"x": 1}}]',
        "mistral-named": '[TOOL_CALLS]f[ARGS]{"x": 1}[TOOL_CALLS]g[CALL_ID]abcdefghi[ARGS]{}',
    }.items():
        write("toolcalls", name, answer)
    (here / "toolcalls/text").write_text("Only text, é < <tool_cal [TOOL")


if __name__ == "__main__":
    messages()
    checkpoints()
    safetensors()
    gguf()
    tokenizers()
    texts()
    templates()


# Constraints

SCHEMAS = {
    "object": '{"type":"object","properties":{"a":{"type":"string","minLength":1},"b":{"type":["integer","null"],"minimum":-3}},"required":["a"]}',
    "tree": '{"$defs":{"t":{"type":"object","properties":{"n":{"anyOf":[{"$ref":"#/$defs/t"},{"const":null}]}},"required":["n"]}},"$ref":"#/$defs/t"}',
    "array": '{"type":"array","prefixItems":[{"enum":["x",1.5,{"y":[]}]}],"items":{"type":"boolean"},"minItems":1,"maxItems":4}',
    "string": '{"type":"string","pattern":"^[a-c]+$","maxLength":5}',
    "number": '{"allOf":[{"type":"number","exclusiveMinimum":0.25},{"maximum":1e1}]}',
    "keys": '{"patternProperties":{"^x":{"type":"null"}},"additionalProperties":{"type":"integer"},"maxProperties":3}',
    "one": '{"oneOf":[{"properties":{"k":{"const":"a"}},"required":["k"]},{"properties":{"k":{"const":"b"}},"required":["k"]}]}',
}
for name, text in SCHEMAS.items():
    write("schema", name, text)
write("schema", "any", "true")
for name, text in {
    "classes": r"[a-z\d_]+@[^\s@]{2,5}\.(?:com|org)?", "anchors": "^(a|b$|^c)$", "escapes": r"\u00e9\x41\u{1F600}\t[\-\]]*?", "counts": "(ab{2,3}){1,}|c{0}",
}.items():
    write("regex", name, text)
for name, text in {
    "sums": 'root ::= term ([-+] term)*\nterm ::= [0-9]+ | "(" root ")"\n', "lines": 'root ::= (\n  "a" | # comment\n  "\\x41\\n" b?\n)\nb ::= [^"\\]]{1,3} .\n',
    "words": 'root ::= [a-z]+ ("-" [a-z]+)* # words', "lists": 'root ::= "" | item "," root\nitem ::= "x"+ | [\\u00e9-\\u0fff]{2}\n',
}.items():
    write("gbnf", name, text)
