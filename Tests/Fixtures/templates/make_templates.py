#!/usr/bin/env python3
"""Renders the templates here with Jinja2, in the environment that transformers sets up, and writes what comes out.

families/*.jinja are written after the constructs that each family's template uses, every one with every conversation; constructs.txt
holds single expressions and statements, each with the same variables. Expected: families.json and constructs.json. Needs jinja2 and transformers.
"""
import datetime
import json
import warnings
from pathlib import Path

import jinja2
from transformers.utils import chat_template_utils

here = Path(__file__).resolve().parent
warnings.simplefilter("ignore")


class Noon(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2025, 3, 7, 14, 5, 9)


chat_template_utils.datetime = Noon


def rendered(source, variables):
    """{"text": …}, or {"error": when} for what Jinja2 refuses."""
    try:
        template = chat_template_utils._compile_jinja_template(source)
    except Exception:
        return {"error": "reading"}
    try:
        return {"text": template.render(**variables)}
    except jinja2.TemplateError as error:
        return {"error": "rendering", "message": str(error)}
    except Exception:
        return {"error": "rendering"}


TOOLS = [
    {"type": "function", "function": {"name": "get_weather", "description": "The weather \"now\"", "parameters": {
        "type": "object", "required": ["place"], "properties": {
            "place": {"type": "string", "description": "City & state"}, "unit": {"type": "string", "enum": ["c", "f"], "default": "c"},
            "days": {"type": "array", "items": {"type": "integer"}}, "limit": {"type": ["number", "null"], "maximum": 18446744073709551615}}}}},
    {"type": "function", "function": {"name": "now", "description": "Time", "parameters": {"type": "object", "properties": {}}}},
]
SYSTEM = {"role": "system", "content": "Be  brief. "}
USER = {"role": "user", "content": " What's the weather in Zürich? <x> & \u2028"}
ANSWER = {"role": "assistant", "content": "Let me see.\n"}
THOUGHT = {"role": "assistant", "content": "<think>\nhm\n</think>\n\nBy tool"}
CALL = {"role": "assistant", "content": None, "tool_calls": [
    {"id": "abcdefghi", "type": "function", "function": {"name": "get_weather", "arguments": {"place": "Zürich", "days": [1, 2.5, True, None]}}}]}
CALLS = {"role": "assistant", "content": "", "tool_calls": CALL["tool_calls"] + [
    {"id": "abcdefghj", "type": "function", "function": {"name": "now", "arguments": "{}"}}]}
RESULT = {"role": "tool", "name": "get_weather", "tool_call_id": "abcdefghi", "content": "{\"t\": 3}"}
RESULT2 = {"role": "tool", "name": "now", "tool_call_id": "abcdefghj", "content": "12:00"}
PARTS = {"role": "user", "content": [{"type": "text", "text": "one "}, {"type": "image"}, {"type": "text", "text": "two"}]}
REASONED = {"role": "assistant", "content": "done", "reasoning_content": "thought", "thinking": "thought"}

CONVERSATIONS = [
    [USER], [SYSTEM, USER], [SYSTEM, USER, ANSWER, USER], [USER, ANSWER, USER, THOUGHT, USER], [USER, THOUGHT], [SYSTEM, USER, CALL, RESULT],
    [USER, CALL, RESULT, ANSWER, USER], [USER, CALLS, RESULT, RESULT2], [PARTS], [SYSTEM, PARTS, REASONED, USER], [USER, USER], [ANSWER], [],
]


def contexts():
    common = {"documents": None, "bos_token": "<s>", "eos_token": "</s>"}
    for messages in CONVERSATIONS:
        for tools in (None, TOOLS):
            yield {**common, "messages": messages, "tools": tools, "add_generation_prompt": len(messages) % 2 == 1}
    yield {**common, "messages": [USER], "tools": None, "add_generation_prompt": True, "enable_thinking": False}
    yield {**common, "messages": [SYSTEM, USER], "tools": TOOLS, "add_generation_prompt": True, "date_string": "1 Jan 2025", "builtin_tools": ["a", "code_interpreter"]}


VARIABLES = {
    "s": "Héllo wörld ", "n": 3, "f": 2.5, "l": [1, 2, 3, "a"], "d": {"a": 1, "b": [1, 2], "items": "x", "Z": None, "é": "ü"}, "t": True,
    "none": None, "e": "", "msgs": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1.0, "y": "q\"'"}}}]},
        {"role": "user", "content": "b <x> & \u2028"}],
}


def write(name, value):
    (here / name).write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def main():
    listed = list(contexts())
    families = {path.stem: path.read_text() for path in sorted((here / "families").glob("*.jinja"))}
    write("families.json", {"contexts": listed, "expected": {
        name: [rendered(source, context) for context in listed] for name, source in families.items()}})
    constructs = (here / "constructs.txt").read_text().removesuffix("\n").split("\n====\n")
    write("constructs.json", {"variables": VARIABLES, "cases": [
        {"template": source, **rendered(source, VARIABLES)} for source in constructs]})


if __name__ == "__main__":
    main()
