"""tools/lint-rooms against a small tree with one planted violation of each kind: each must be found, and nothing else."""

import importlib.machinery
import importlib.util
import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def load(name):
    loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(ROOT / "tools" / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


lint = load("lint-rooms")

CONF = """\
room base :
room low : base
room low/sub : base
room high : base low
public base : base.h
public low : low.h
home curl/ : high
home sqlite3.h : low
"""

FILES = {
    "src/rooms.conf": CONF,
    "src/base/base.h": "/* Base. */\n#ifndef BASE_BASE_H\n#define BASE_BASE_H\nint base_one(void);\n#endif\n",
    "src/base/base.c": '/* Base. */\n#include "base/base.h"\nint base_one(void)\n{\n    return 1;\n}\n',
    "src/low/low.h": "/* Low. */\n#ifndef LOW_LOW_H\n#define LOW_LOW_H\n#include <stddef.h>\nsize_t low_two(void);\n#endif\n",
    "src/low/inner.h": "/* Private. */\n#ifndef LOW_INNER_H\n#define LOW_INNER_H\nint low_inner(void);\n#endif\n",
    "src/low/low.c": '/* Low. */\n#include "low/low.h"\n\n#include "base/base.h"\n#include "low/inner.h"\n'
                     "size_t low_two(void)\n{\n    return (size_t)(base_one() + low_inner());\n}\n"
                     "int low_inner(void)\n{\n    return 2;\n}\n",
    "src/low/sub/sub.c": '/* Sub. */\n#include "base/base.h"\nint low_sub(void);\nint low_sub(void)\n{\n    return base_one();\n}\n',
    "src/high/high.c": '/* High. */\n#include "low/low.h"\nint high_three(void);\nint high_three(void)\n{\n'
                       "    return (int)low_two();\n}\n",
    "Makefile": "build: ## build\n\ttrue\n",
    "README.md": "See `src/base/base.c:base_one`, `base/base.h`, `src/*/low.c`, [low](src/low/low.h) and `make build`.\n"
                 "Not paths: `application/xml`, `/2013-04-01/hostedzone`, `build/program`, `a/b`, `src/NAME/x.c`.\n",
}


class FakeTree:
    def __init__(self, root):
        self.root = root
        for name, text in FILES.items():
            self.write(name, text)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def append(self, name, text):
        self.write(name, (self.root / name).read_text() + text)

    def compile(self):
        """What meson would leave: the objects of each room's library, and compile_commands.json."""
        build = self.root / "build"
        entries = []
        for source in sorted((self.root / "src").rglob("*.c")):
            name = source.relative_to(self.root / "src")
            output = Path("src") / name.parent / f"lib{name.parent.name}.a.p" / f"{name.name}.o"
            (build / output).parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["gcc", "-c", "-I", self.root / "src", "-o", build / output, source], check=True)
            entries.append({"directory": str(build), "file": f"../src/{name}", "output": str(output),
                            "command": f"cc -I../src -o {output} -c ../src/{name}"})
        (build / "compile_commands.json").write_text(json.dumps(entries))

    def findings(self, *checks):
        return [f"{path}: {message}" for path, _, message in
                lint.run(self.root, self.root / "build", checks or list(lint.CHECKS))]


@pytest.fixture
def tree(tmp_path):
    return FakeTree(tmp_path)


def only(findings, *words):
    """There is one finding, and it has these words."""
    assert len(findings) == 1, findings
    for word in words:
        assert word in findings[0]


def test_a_good_tree_has_no_findings(tree):
    tree.compile()
    assert tree.findings() == []


def test_a_room_that_is_not_allowed(tree):
    tree.append("src/base/base.c", '#include "low/low.h"\n')
    only(tree.findings("includes"), "src/base/base.c", "base may not include low")


def test_a_room_inside_a_folder_of_another_is_its_own(tree):
    tree.append("src/low/sub/sub.c", '#include "low/low.h"\n')
    only(tree.findings("includes"), "src/low/sub/sub.c", "low/sub may not include low")


def test_a_private_header_of_another_room(tree):
    tree.append("src/high/high.c", '#include "low/inner.h"\n')
    only(tree.findings("includes"), "src/high/high.c", "low/inner.h is private to low")


def test_an_include_without_a_room(tree):
    tree.append("src/low/low.c", '#include "inner.h"\n')
    only(tree.findings("includes"), "src/low/low.c", "no room in front")


def test_an_include_of_nothing(tree):
    tree.append("src/low/low.c", '#include "low/gone.h"\n')
    only(tree.findings("includes"), "src/low/low.c", "does not exist")


def test_headers_in_a_circle(tree):
    tree.write("src/low/low.h", FILES["src/low/low.h"] + '#include "low/inner.h"\n')
    tree.write("src/low/inner.h", FILES["src/low/inner.h"] + '#include "low/low.h"\n')
    only(tree.findings("includes"), "headers in a circle", "low/low.h", "low/inner.h")


def test_rooms_in_a_circle(tree):
    tree.write("src/rooms.conf", CONF.replace("room base :", "room base : high"))
    only(tree.findings("includes"), "src/rooms.conf", "rooms in a circle", "base", "high")


def test_a_file_in_no_room(tree):
    tree.write("src/lost/lost.c", "/* Lost. */\n")
    only(tree.findings("includes"), "src/lost/lost.c", "no room")


@pytest.mark.parametrize("line, words", [
    ("room base : low\n", "twice"),
    ("room new : nothing\n", "has no room line"),
    ("public nothing : x.h\n", "no such room"),
    ("corridor x : y\n", "not a room, public or home line"),
    ("room x\n", "not a room, public or home line"),
])
def test_a_line_of_rooms_conf_that_makes_no_sense(tree, line, words):
    tree.append("src/rooms.conf", line)
    assert any(words in finding for finding in tree.findings("includes"))


def test_a_public_header_that_is_gone(tree):
    tree.append("src/rooms.conf", "public high : high.h\n")
    only(tree.findings("includes"), "src/rooms.conf", "high/high.h does not exist")


def test_a_hand_written_prototype_reaches_into_a_room(tree):
    tree.append("src/base/base.c", "int low_inner(void);\nint base_bad(void);\nint base_bad(void)\n{\n"
                                   "    return low_inner();\n}\n")
    tree.compile()
    assert tree.findings("includes") == []
    only(tree.findings("symbols"), "src/base/base.c", "low_inner of low")


def test_a_symbol_in_two_rooms(tree):
    tree.append("src/high/high.c", "int base_one(void);\nint base_one(void)\n{\n    return 3;\n}\n")
    tree.compile()
    only(tree.findings("symbols"), "base_one is defined in two rooms")


def test_symbols_want_a_build(tree):
    only(tree.findings("symbols"), "build first")


def test_a_third_party_header_away_from_home(tree):
    tree.append("src/high/high.c", "#include <sqlite3.h>\n#include <curl/curl.h>\n#include <stdio.h>\n")
    only(tree.findings("homes"), "src/high/high.c", "<sqlite3.h> has its home in low")


def test_cmocka_in_a_program(tree):
    tree.append("src/high/high.c", "#include <cmocka.h>\n")
    tree.write("src/high/high_test.c", "/* Tests. */\n#include <cmocka.h>\n")
    only(tree.findings("homes"), "src/high/high.c", "cmocka.h")


def test_a_header_that_needs_another_before_it(tree):
    tree.write("src/low/inner.h", FILES["src/low/inner.h"].replace("int low_inner(void)", "size_t low_inner(void)"))
    only(tree.findings("headers"), "src/low/inner.h", "does not compile alone", "size_t")


def test_a_header_whose_guard_is_anothers(tree):
    tree.write("src/low/inner.h", FILES["src/low/inner.h"].replace("LOW_INNER_H", "LOW_LOW_H"))
    only(tree.findings("headers"), "src/low/inner.h", "guard is not LOW_INNER_H")


@pytest.mark.parametrize("text, words", [
    ("`src/base/gone.c`", "names src/base/gone.c, which does not exist"),
    ("`base/gone.h`", "names base/gone.h"),
    ("`src/base/base.c:base_two`", "there is no base_two in it"),
    ("[a page](docs/gone.md)", "links to docs/gone.md"),
    ("`make rocket`", "no such target"),
    ("`src/*/gone.c`", "names src/*/gone.c"),
    ("`test_gone.py::test_one`", "there is no test/integration/test_gone.py"),
    ("`test_here.py::test_two`", "there is no test_two in it"),
    ("`src/high/high_test.c::one`", "there is no one in it"),
])
def test_a_document_that_names_what_is_not_there(tree, text, words):
    tree.write("test/integration/test_here.py", "def test_one():\n    test_two()\n")
    tree.write("src/high/high_test.c", "/* Tests: one. */\ncmocka_unit_test(two),\n")
    tree.append("README.md", "`test_here.py::test_one` `src/high/high_test.c::two`\n" + text + "\n")
    only(tree.findings("docs"), "README.md", words)


def test_documents_below_docs_are_read_too(tree):
    tree.write("docs/guide/one.md", "[two](two.md) `base/gone.h`\n")
    tree.write("docs/guide/two.md", "Nothing.\n")
    only(tree.findings("docs"), "docs/guide/one.md", "base/gone.h")


def test_listings_are_left_alone(tree):
    tree.append("README.md", "```\n`base/gone.h`\n```\n")
    assert tree.findings("docs") == []


def test_a_file_without_an_opening_comment(tree):
    tree.write("src/high/bare.c", "int x;\n")
    only(tree.findings("files"), "src/high/bare.c", "open with a comment")


def test_a_file_that_is_too_long(tree):
    tree.write("src/high/long.c", "/* Long. */\n" + "\n" * 900)
    only(tree.findings("files"), "src/high/long.c", "901 lines")
    tree.write("src/high/long.c", "/* Long: over 800 lines because it is one table. */\n" + "\n" * 900)
    assert tree.findings("files") == []


def test_a_function_that_is_too_long(tree):
    body = "int f(void)\n{\n" + "    ;\n" * 81 + "}\n"
    tree.write("src/high/long.c", "/* Long. */\nint g;\n" + body)
    only(tree.findings("files"), "src/high/long.c", "a function of 81 lines")
    tree.write("src/high/long.c", "/* Long. */\nint g;\n// NOLINTNEXTLINE(readability-function-size): one table\n" + body)
    assert tree.findings("files") == []
    tree.write("src/high/long.c", "/* Long. */\n" + body.replace("    ;\n", "", 1))
    assert tree.findings("files") == []


def test_what_is_cleaned_up_has_a_value_first(tree):
    body = "int f(void)\n{\n    struct buf one CLEANUP(buf_done);\n%s    buf_init(&one);\n    return 0;\n}\n"
    tree.write("src/high/clean.c", "/* Clean. */\n" + body % "")
    assert tree.findings("cleanup") == []
    tree.write("src/high/clean.c", "/* Clean. */\n" + body % "    if (g) {\n        return 1;\n    }\n")
    only(tree.findings("cleanup"), "src/high/clean.c", "one is cleaned up without")


@pytest.mark.parametrize("comment, good", [
    ("// NOLINT", False),
    ("// NOLINT(bugprone-x)", False),
    ("// NOLINTNEXTLINE", False),
    ("// NOLINT(bugprone-x): the library's own signature", True),
    ("/* NOLINTNEXTLINE(bugprone-x,cert-y): the library's own signature */", True),
])
def test_a_nolint_needs_a_check_and_a_reason(tree, comment, good):
    tree.append("src/high/high.c", comment + "\n")
    findings = tree.findings("files")
    assert findings == [] if good else len(findings) == 1
