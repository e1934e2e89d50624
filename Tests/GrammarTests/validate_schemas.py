#!/usr/bin/env python3
"""Random schemas, answers drawn from their masks, and a validator that others wrote.

    python3 -m venv .venv-schemas && .venv-schemas/bin/pip install 'jsonschema[format]==4.26.0'
    .venv-schemas/bin/python Tests/GrammarTests/validate_schemas.py [--schemas 1000] [--seed 1] [--answers 3] [--max-tokens 300]

Every answer that ended by itself must be valid, formats included. Every answer that was cut must be the beginning of a JSON text. The
bundled model's vocabulary is used, none of its knowledge. Exits with 1 if one is not, or a schema is refused.
"""
import argparse
import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import jsonschema

house = Path(__file__).resolve().parents[2]
PATTERNS = ["^[a-z]+$", "^\\d{3}-\\d{2}$", "b", "^(foo|bar)?$", "^[^x]{2,6}$", "[A-Z]\\w", "^\"\\\\.$", "é$"]
FORMATS = ["date", "time", "date-time", "uuid", "email", "ipv4", "ipv6", "uri", "hostname", "duration"]
NAMES = ["a", "b", "name", "é", "with space", "q\"uote", "back\\slash", "value", "x1", "line\nend"]


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.definitions = {}
        self.used = Counter()

    def document(self):
        self.definitions = {}
        schema = self.schema(3)
        if self.definitions:
            schema = {"$defs": self.definitions, **schema}
        return schema

    def schema(self, depth):
        kinds = ["null", "boolean", "integer", "number", "string", "string", "format", "enum", "types"]
        if depth > 0:
            kinds += ["array", "object", "object", "object", "anyOf", "oneOf", "allOf", "tuple", "recursion", "map", "patterned"]
        kind = self.random.choice(kinds)
        self.used[kind] += 1
        made = getattr(self, "make_" + kind)(depth)
        if self.random.random() < 0.1:
            made = {"title": "t", "description": "d", **made}
        return made

    def make_null(self, depth):
        return {"type": "null"}

    def make_boolean(self, depth):
        return {"type": "boolean"}

    def make_types(self, depth):
        return {"type": self.random.sample(["null", "boolean", "integer", "number", "string", "array", "object"], 2)}

    def make_integer(self, depth):
        schema = {"type": "integer"}
        low = self.random.randint(-1500, 1500)
        if self.random.random() < 0.6:
            schema[self.random.choice(["minimum", "exclusiveMinimum"])] = low
        if self.random.random() < 0.6:
            schema[self.random.choice(["maximum", "exclusiveMaximum"])] = low + self.random.randint(2, 2000)
        return schema

    def make_number(self, depth):
        schema = {"type": "number"}
        low = round(self.random.uniform(-200, 200), self.random.randint(0, 4))
        if self.random.random() < 0.6:
            schema[self.random.choice(["minimum", "exclusiveMinimum"])] = low
        if self.random.random() < 0.6:
            schema[self.random.choice(["maximum", "exclusiveMaximum"])] = round(low + self.random.uniform(0.5, 300), 3)
        return schema

    def make_string(self, depth):
        schema = {"type": "string"}
        if self.random.random() < 0.5:
            least = self.random.randint(0, 5)
            schema["minLength"] = least
            schema["maxLength"] = least + self.random.randint(0, 60)
        elif self.random.random() < 0.6:
            schema["pattern"] = self.random.choice(PATTERNS)
        return schema

    def make_format(self, depth):
        return {"type": "string", "format": self.random.choice(FORMATS)}

    def make_enum(self, depth):
        values = ["x", "a\"b", "é\n", 1, 2.5, -3e2, True, None, [1, "y"], {"k": [], "l": {"m": 0}}, ""]
        if self.random.random() < 0.3:
            return {"const": self.random.choice(values)}
        return {"enum": self.random.sample(values, self.random.randint(1, 6))}

    def make_array(self, depth):
        schema = {"type": "array", "items": self.schema(depth - 1)}
        least = self.random.randint(0, 3)
        if self.random.random() < 0.5:
            schema["minItems"] = least
        if self.random.random() < 0.6:
            schema["maxItems"] = least + self.random.randint(0, 4)
        return schema

    def make_tuple(self, depth):
        schema = {"type": "array", "prefixItems": [self.schema(depth - 1) for _ in range(self.random.randint(1, 3))]}
        if self.random.random() < 0.5:
            schema["items"] = self.random.choice([False, self.schema(0)])
        if self.random.random() < 0.5:
            schema["minItems"] = self.random.randint(0, len(schema["prefixItems"]))
        return schema

    def make_object(self, depth):
        names = self.random.sample(NAMES, self.random.randint(0, 5))
        schema = {"type": "object", "properties": {name: self.schema(depth - 1) for name in names}}
        schema["required"] = [name for name in names if self.random.random() < 0.5]
        choice = self.random.random()
        if choice < 0.4:
            schema["additionalProperties"] = False
        elif choice < 0.6:
            schema["additionalProperties"] = self.schema(0)
        else:
            choice = 1 if choice < 0.9 else 2
            if choice == 2:
                schema["additionalProperties"] = True
        if self.random.random() < 0.2:
            schema["minProperties"] = self.random.randint(0, len(names))
        if self.random.random() < 0.2:
            schema["maxProperties"] = len(names) + self.random.randint(0, 2)
        return schema

    def make_map(self, depth):
        return {"type": "object", "additionalProperties": self.schema(depth - 1), "minProperties": self.random.randint(0, 1)}

    def make_patterned(self, depth):
        return {
            "type": "object", "patternProperties": {"^x": self.schema(depth - 1), "^y.z": self.schema(0)},
            "additionalProperties": self.random.choice([False, {"type": "null"}]),
        }

    def make_anyOf(self, depth):
        return {"anyOf": [self.schema(depth - 1) for _ in range(self.random.randint(1, 3))]}

    def make_oneOf(self, depth):
        count = self.random.randint(1, 3)
        return {"oneOf": [
            {"type": "object", "properties": {"kind": {"const": str(i)}, "v": self.schema(depth - 1)}, "required": ["kind"]} for i in range(count)
        ] + [{"type": "boolean"}]}

    def make_allOf(self, depth):
        first, second = self.make_object(depth), {"properties": {"extra": self.schema(depth - 1)}, "required": ["extra"]}
        first.pop("additionalProperties", None)
        for count in ("minProperties", "maxProperties"):
            first.pop(count, None)
        return {"allOf": [first, second]}

    def make_recursion(self, depth):
        name = f"node{len(self.definitions)}"
        self.definitions[name] = {}
        self.definitions[name] = {
            "type": "object",
            "properties": {"v": self.schema(0), "next": {"anyOf": [{"type": "null"}, {"$ref": f"#/$defs/{name}"}]},
                           "all": {"type": "array", "items": {"$ref": f"#/$defs/{name}"}}},
            "required": ["next"], "additionalProperties": False,
        }
        return {"$ref": f"#/$defs/{name}"}


def is_beginning(text):
    """Whether some JSON text begins like this: by a pushdown reader of RFC 8259 that never looks ahead."""
    stack, state, index = [], "value", 0
    def after_value():
        return {"[": "array next", "{": "object next"}.get(stack[-1] if stack else "", "end")
    while index < len(text):
        char = text[index]
        if char in " \n\t\r":
            index += 1
            continue
        if state in ("value", "array first") and not (state == "array first" and char == "]"):
            if char in "[{":
                stack.append(char)
                state = "array first" if char == "[" else "object first"
                index += 1
            elif char == '"':
                index = string_end(text, index)
                if index is None:
                    return False
                state = after_value()
            else:
                rest = text[index:]
                stop = next((i for i, c in enumerate(rest) if c in ",]}: \n\t\r"), len(rest))
                word, index = rest[:stop], index + stop
                is_last = index == len(text)
                if not is_scalar(word, is_last):
                    return False
                state = after_value()
        elif state == "array first" and char == "]" or state == "array next" and char == "]":
            stack.pop()
            state, index = after_value(), index + 1
        elif state in ("object first", "key") and char == '"':
            index = string_end(text, index)
            if index is None:
                return False
            state = "colon"
        elif state in ("object first", "object next") and char == "}":
            stack.pop()
            state, index = after_value(), index + 1
        elif state == "colon" and char == ":":
            state, index = "value", index + 1
        elif state == "array next" and char == ",":
            state, index = "value", index + 1
        elif state == "object next" and char == ",":
            state, index = "key", index + 1
        else:
            return False
    return True


def string_end(text, index):
    """Behind the closing quote; the text's end if it is cut; None if it is broken."""
    index += 1
    while index < len(text):
        if text[index] == '"':
            return index + 1
        if ord(text[index]) < 0x20:
            return None
        if text[index] == "\\":
            if index + 1 < len(text) and text[index + 1] not in '"\\/bfnrtu':
                return None
            index += 1
        index += 1
    return len(text)


def is_scalar(word, may_go_on):
    if may_go_on and any(whole.startswith(word) for whole in ("true", "false", "null")):
        return True
    for end in ("", "0", "1") if may_go_on else ("",):
        try:
            if not isinstance(json.loads(word + end), (list, dict, str)):
                return True
        except ValueError:
            pass
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--schemas", type=int, default=1000)
    parser.add_argument("--answers", type=int, default=3)
    parser.add_argument("--max-tokens", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--baton", default=str(house / ".build/release/baton"))
    parser.add_argument("--model", default=str(house / "Models/baton-tiny"))
    arguments = parser.parse_args()

    maker = Maker(arguments.seed)
    schemas = [maker.document() for _ in range(arguments.schemas)]
    lines = "".join(json.dumps(schema, ensure_ascii=False) + "\n" for schema in schemas)
    run = subprocess.run(
        [arguments.baton, "sample-schemas", "--model", arguments.model, "--answers", str(arguments.answers), "--seed", str(arguments.seed),
         "--max-tokens", str(arguments.max_tokens)],
        input=lines.encode(), stdout=subprocess.PIPE, check=True)
    results = [json.loads(line) for line in run.stdout.decode().splitlines()]
    if len(results) != len(schemas):
        sys.exit(f"{len(results)} results for {len(schemas)} schemas")
    checker, count = jsonschema.Draft202012Validator.FORMAT_CHECKER, Counter()
    for schema, result in zip(schemas, results):
        def complain(what, text=""):
            count[what] += 1
            print(f"{what}: {json.dumps(schema, ensure_ascii=False)}\n    {text[:600]!r}", file=sys.stderr)
        if "error" in result:
            # Nothing obeys some of them: two bounds may leave no whole number, a count no property.
            if "no text obeys" in result["error"]:
                count["schemas of nothing"] += 1
            else:
                complain("REFUSED", result["error"])
            continue
        validator = jsonschema.Draft202012Validator(schema, format_checker=checker)
        for answer in result["answers"]:
            if answer["finished"]:
                try:
                    validator.validate(json.loads(answer["text"]))
                    count["valid"] += 1
                except (ValueError, jsonschema.ValidationError) as error:
                    complain("INVALID", f"{answer['text']} | {str(error)[:200]}")
            elif is_beginning(answer["text"].rstrip("\ufffd")):
                count["cut, a valid beginning"] += 1
            else:
                complain("BROKEN BEGINNING", answer["text"])
    formats = sorted(set(FORMATS) & set(checker.checkers))
    print(f"{len(schemas)} schemas, {sum(maker.used.values())} parts ({len(maker.used)} kinds), formats checked: {', '.join(formats)}")
    print(", ".join(f"{number} {what}" for what, number in sorted(count.items())))
    sys.exit(any(count[what] for what in ("REFUSED", "INVALID", "BROKEN BEGINNING")))


if __name__ == "__main__":
    main()
