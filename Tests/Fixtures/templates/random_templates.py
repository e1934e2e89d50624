#!/usr/bin/env python3
"""Writes random templates and what Jinja2 makes of them, to compare: random_templates.py SEED COUNT FILE, then

    BATON_TEMPLATE_CASES=FILE swift test -c release -Xswiftc -enable-testing --filter EqualityTests

Left out on purpose are results that show a memory address, `safe` (which here leaves no mark on a string), and a name that a block `set`
reads while it is being set. What still differs, a few times in ten thousand, is a variable of the request that an inner body reads and the
template sets further down: Jinja2 calls it undefined, and here it is seen.
"""
import copy
import json
import random
import re
import sys

from make_templates import rendered

NAMES = ["s", "n", "f", "l", "d", "t", "none", "e", "msgs", "u", "x", "y"]
STRINGS = ["''", "'a'", "'Héllo '", "'a b c'", "' x\\n'", "\"it's\"", "'1'", "'-2.5'", "'a,b,,c'", "'%s'", "'{}'", "'ΣΑΣ'", "'role'", "'b.1'",
           "'\\u2028'", "'ß'", "'ǆ x'"]
INTEGERS = ["0", "1", "2", "-1", "3", "7", "100", "10"]
FLOATS = ["0.5", "2.0", "1e16", "-0.0", "1e-7", "3.14159"]
ATTRIBUTES = ["a", "b", "role", "content", "items", "get", "x", "keys", "values", "tool_calls", "upper", "index", "count", "function"]
FILTERS = [
    "trim", "tojson", "length", "upper", "lower", "title", "capitalize", "first", "last", "list", "string", "int", "float", "abs", "sort",
    "unique|list", "reverse|list", "items|list", "dictsort", "join", "sum", "max", "min", "indent", "default('q')", "wordcount", "round",
    "map('string')|list", "map('upper')|list", "select|list", "reject('none')|list", "map(attribute='role')|list", "selectattr('role')|list",
    "selectattr('role','equalto','user')|list", "d('z', true)", "tojson(indent=2)", "batch(2)|list", "slice(2)|list", "truncate(5)", "center(9)",
    "replace('a','bb')", "join('-')", "sort(reverse=true)", "count", "map('length')|list", "rejectattr('a','defined')|list", "sort(attribute='role')",
    "trim('a ')", "indent(2,true)", "int(7)", "dictsort(by='value')", "select('string')|list", "attr('a')", "map('default','q')|list",
]
TESTS = ["defined", "undefined", "none", "string", "mapping", "iterable", "sequence", "number", "boolean", "true", "false", "integer", "float", "odd",
         "even", "upper", "lower", "divisibleby 2", "eq 1", "in [1,'a']", "ne 'a'", "gt 1", "lt 'b'", "equalto none", "callable", "ge 2"]
METHODS = [
    "strip()", "split()", "split('a')", "split(' ', 1)", "upper()", "lower()", "title()", "capitalize()", "startswith('a')", "endswith(' ')",
    "replace('a','b')", "lstrip()", "rstrip('c')", "find('b')", "count('a')", "rsplit(',',1)", "splitlines()", "partition(' ')", "isdigit()",
    "join(['x','y'])", "get('a')", "get('zz','d')", "items()|list", "keys()|list", "values()|list", "zfill(5)", "swapcase()", "format(1)",
    "index('a')", "isalpha()", "istitle()", "rfind('a')", "center(7)", "isupper()", "removeprefix('a')", "copy()", "rpartition('b')", "isspace()",
    "isnumeric()", "isprintable()",
]
LOOP_PARTS = ["{{ loop.index }}", "{{ loop.last }}", "{{ loop.length }}", "{{ loop.previtem }}", "{{ loop.nextitem }}", "{{ loop.revindex0 }}",
              "{{ loop.first }}", "{{ loop.cycle('p','q') }}", "{{ loop.changed(x) }}"]
ITERABLES = ["l", "d", "msgs", "d.items()", "range(3)", "s", "d|items", "l|map('string')", "msgs|selectattr('content')", "[[1,2],[3,4]]"]
TEXTS = ["", " ", "\n", "x", "\n  ", "  ", "a b", "\n\n", "\t", "  \n", "é"]
VARIABLES = [
    {"s": "Héllo wörld ", "n": 3, "f": 2.5, "l": [1, 2, 3, "a"], "d": {"a": 1, "b": [1, 2], "role": "user", "Z": None}, "t": True, "none": None,
     "e": "", "msgs": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": None, "tool_calls": [
         {"function": {"name": "f", "arguments": {"x": 1.0, "y": "q\"'"}}}]}, {"role": "user", "content": "b <x> \u2028"}]},
    {"s": "a b a\n c", "n": 0, "f": -0.1, "l": ["b", "A", "a"], "d": {}, "t": False, "none": None, "e": "  ", "msgs": [], "x": 1,
     "y": {"a": [{"role": "z"}]}},
    {"s": "abc", "n": -7, "f": 1e10, "l": [[1, 2], [3, 4]], "d": {"items": 1, "get": 2, "a": "x"}, "t": True, "none": None, "e": "E",
     "msgs": [{"role": "system", "content": [{"type": "text", "text": "T"}]}], "x": "str"},
]


class Author:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.any = self.random.choice

    def chance(self, share):
        return self.random.random() < share

    def literal(self):
        return self.any(self.any([STRINGS, INTEGERS, FLOATS, ["true", "false", "none"]]))

    def expression(self, depth=3):
        if depth <= 0:
            return self.literal() if self.chance(1 / 3) else self.any(NAMES)
        part = lambda: self.expression(depth - 1)
        kind = self.random.randrange(22)
        if kind == 0:
            return self.literal()
        if kind <= 2:
            return self.any(NAMES)
        if kind == 3:
            return f"{part()} {self.any(['+', '-', '*', '/', '//', '%', '~', '~'])} {part()}"
        if kind == 4:
            return f"({part()} {self.any(['==', '!=', '<', '>', '<=', '>=', 'in', 'not in'])} {part()})"
        if kind == 5:
            return f"{part()} {self.any(['and', 'or'])} {part()}"
        if kind == 6:
            return f"not {part()}"
        if kind <= 9:
            return f"({part()})|{self.any(FILTERS)}"
        if kind == 10:
            return f"({part()}) is {self.any(['', 'not '])}{self.any(TESTS)}"
        if kind == 11:
            return f"({part()} if {part()} else {part()})"
        if kind == 12:
            return f"[{', '.join(part() for _ in range(self.random.randrange(4)))}]"
        if kind == 13:
            return "{" + ", ".join(f"{self.any(STRINGS)}: {part()}" for _ in range(self.random.randrange(3))) + "}"
        if kind == 14:
            return f"({part()}).{self.any(ATTRIBUTES)}"
        if kind == 15:
            return f"({part()})[{self.any([self.any(INTEGERS), self.any(STRINGS), part()])}]"
        if kind == 16:
            bounds = ["", "1", "-1", "0", "2", "-2", "10"]
            return f"({self.any(['s', 'l', 'x', 'd', 'u'])})[{self.any(bounds)}:{self.any(bounds)}{self.any(['', ':', ':2', ':-1'])}]"
        if kind <= 18:
            return f"({part()}).{self.any(METHODS)}"
        if kind == 19:
            return f"({part()}, {part()})"
        if kind == 20:
            return f"{self.any(['-', '+'])}{part()}"
        return f"range({self.any(INTEGERS)}, {self.any(INTEGERS)})|list"

    def sign(self):
        return self.any(["", "", "", "-", "+"])

    def tag(self, text):
        return f"{{%{self.sign()} {text} {self.sign()}%}}"

    def block(self, depth, in_loop=False):
        return "".join(self.any(TEXTS) + self.statement(depth, in_loop) for _ in range(self.random.randrange(1, 4)))

    def statement(self, depth, in_loop):
        body = lambda loop=in_loop: self.block(depth - 1, loop)
        kind = self.random.randrange(17) if depth > 0 else self.random.randrange(4)
        if kind <= 1:
            return f"{{{{{self.any(['', '-', ' '])} {self.expression(2)} {self.any(['', '-'])}}}}}" + self.any(TEXTS)
        if kind == 2:
            return self.tag(f"set {self.any(['x', 'u', 's'])} = {self.expression(2)}")
        if kind == 3:
            return f"{{#{self.sign()} c {self.sign()}#}}" + self.any(TEXTS)
        if kind == 4:
            more = self.tag(f"elif {self.expression(2)}") + body() if self.chance(.3) else ""
            other = self.tag("else") + body() if self.chance(.5) else ""
            return self.tag(f"if {self.expression(2)}") + body() + more + other + self.tag("endif") + self.any(TEXTS)
        if kind <= 7:
            condition = f" if {self.expression(1)}" if self.chance(.3) else ""
            head = f"for {self.any(['x', 'y', 'x, y', 'i', '(x, i)'])} in {self.any(ITERABLES + [self.expression(2)])}{condition}"
            part = self.any(LOOP_PARTS) if self.chance(.6) else ""
            other = self.tag("else") + body() if self.chance(.3) else ""
            return self.tag(head) + body(True) + part + other + self.tag("endfor") + self.any(TEXTS)
        if kind == 8:
            return self.tag(f"set z{self.any(['', '|upper', '|trim|length'])}") + body() + self.tag("endset")
        if kind == 9:
            head = f"macro m{self.random.randrange(2)}({self.any(['', 'a', 'a, b=1', 'x=n', 'a=x, b=y'])})"
            return self.tag(head) + body(False) + self.any(["{{ a }}", "{{ b }}", "{{ varargs }}", "{{ kwargs }}", ""]) + self.tag("endmacro")
        if kind == 10:
            return f"{{{{ m{self.random.randrange(2)}({self.any(['', '1', 's, n', 'b=3', '1, 2, 3', 'x=u', 'a=l'])}) }}}}"
        if kind == 11:
            assignment = self.tag(f"set ns.{self.any('vw')} = {self.expression(1)}")
            return self.tag("set ns = namespace(v=0, w='')") + assignment + "{{ ns.v }}{{ ns.w }}"
        if kind == 12 and in_loop:
            return self.tag(f"if {self.expression(1)}") + self.tag(self.any(["break", "continue"])) + self.tag("endif")
        if kind == 13:
            return self.tag(f"filter {self.any(['upper', 'trim', 'title', 'replace(1, 2)'])}") + body() + self.tag("endfilter")
        if kind == 14:
            return self.tag(f"with {self.any(['x', 'y'])} = {self.expression(1)}") + body() + self.tag("endwith")
        if kind == 15:
            return self.tag("generation") + body(False) + self.tag("endgeneration")
        if kind == 16:
            inner = self.any(TEXTS) + "{{ x }}{%" + self.any(TEXTS)
            return f"{{%{self.sign()} raw {self.any(['', '-'])}%}}" + inner + f"{{%{self.sign()} endraw {self.sign()}%}}"
        return self.any(["{{ x }}", "{{ y }}", "{{ u is defined }}"])


def main(seed, count, path):
    cases = []
    for index in range(count):
        author = Author(f"{seed}-{index}")
        template = author.block(2) if index % 2 else "{{ " + author.expression(4) + " }}"
        variables = VARIABLES[index % len(VARIABLES)]
        # Jinja2's `indent` changes the list that it is wrongly given.
        outcome = rendered(template, copy.deepcopy(variables))
        if not re.search(r"at 0x|<Macro|<generator|<Namespace", outcome.get("text", "")):
            cases.append({"template": template, "variables": variables, **outcome})
    with open(path, "w") as file:
        json.dump({"cases": cases}, file)
    print(len(cases), "cases,", sum("text" in case for case in cases), "rendered by Jinja2")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
