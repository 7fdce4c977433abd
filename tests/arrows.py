#!/usr/bin/env python3
"""Which room may include which, and that no C++ under src/ names a weight format: tests/arrows.py [ROOT]

ARROWS below is the one table; everything may include base and its own room, and nothing may include what is not listed.
The rooms' DEPENDS in CMakeLists.txt are held to the same table. Names of formats come from lum/formats/*.lum; those that
are also scalar types (f32, …) may be said. Tests (x_test.cpp, x_test_y.h, test_x.h) may name formats and use what
TEST_ARROWS adds. Prints file:line of each offence; exit status 1 when there is one.
"""
import re
import sys
import tempfile
from pathlib import Path

COMPILER = ["syntax", "sema", "ir", "formats", "passes", "loops", "schedule", "machine", "target", "plan", "compile"]
DEVICES = ["cuda", "webgpu", "metal", "wasm"]
BACKEND = ["ir", "loops", "schedule", "machine", "target", "tensor"]

ARROWS = {
    "base": [],
    "syntax": [],
    "ir": [],
    "formats": ["ir"],
    "sema": ["syntax", "ir", "formats"],
    "passes": ["ir", "formats"],
    "loops": ["ir", "formats", "machine"],
    "schedule": ["ir", "formats", "loops", "machine"],
    "machine": [],
    "target": ["loops", "machine", "tensor"],
    "plan": COMPILER + ["tensor"],
    "compile": COMPILER + ["tensor"],
    "cpu": BACKEND,
    "gpu": BACKEND,
    "null": BACKEND,
    **{d: BACKEND + ["gpu"] for d in DEVICES},
    "tensor": [],
    "checkpoint": ["tensor"],
    "convert": COMPILER + ["engine", "tensor", "checkpoint"],
    "engine": COMPILER + ["tensor", "checkpoint"],
    "tokenizer": [],
    "chat": [],
    "runtime": COMPILER + ["engine", "tokenizer", "chat", "checkpoint", "hub"],
    "hub": [],
    "server": ["runtime", "engine", "tokenizer", "chat"],
    "measure": COMPILER + ["runtime", "engine"],
    "capi": ["runtime", "cpu", "gpu", "null"] + DEVICES,
}
TEST_ARROWS = {  # kernels are checked against the interpreter; sources of .lum and GGUF files feed tests
    **{d: COMPILER for d in COMPILER + ["cpu", "gpu", "null"] + DEVICES},
    **{r: ["checkpoint"] for r in ["tokenizer", "chat"]},
}
TEST_ARROWS["plan"] = COMPILER + ["null"]  # plans are made for some device: one that only lists its kernels
TEST_ARROWS["tokenizer"] = ["checkpoint"]  # real vocabularies come in GGUF files
SCALARS = {"bool", "i8", "u8", "i16", "u16", "i32", "u32", "i64", "u64", "f16", "bf16", "f32", "f64"}


def room_of(path):
    """The room of a path below src/, as in an #include: 'compiler/ir/ir.h' -> 'ir'. None: no room."""
    parts = path.split("/")
    if parts[0] == "compiler":
        room = parts[1] if len(parts) > 2 else parts[1].split(".")[0].removesuffix("_test")
    elif parts[0] == "backend":
        room = parts[1]
    else:
        room = parts[0]
    return room if len(parts) > 1 and room in ARROWS else None


def is_test(path):
    return re.search(r"(^|_)test(_\w+)?\.(h|cpp)$", path.split("/")[-1]) is not None


def included(root):
    """(file, line number, its path below src/, included path) of every #include "…"."""
    for file in sorted((root / "src").rglob("*")):
        if file.suffix in (".h", ".cpp"):
            for n, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
                m = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
                if m:
                    yield file, n, str(file.relative_to(root / "src")), m.group(1)


def check_includes(root):
    for file, n, here, there in included(root):
        a, b = room_of(here), room_of(there)
        where = f"{file.relative_to(root)}:{n}"
        if a is None:
            yield f"{where}: this file lies in no room that tests/arrows.py knows"
        elif b is None:
            if not (file.parent / there).exists() and (root / "src" / there).exists():
                yield f"{where}: includes {there}, which lies in no room that tests/arrows.py knows"
        elif not may(a, b, is_test(here)):
            yield f"{where}: {a} may not include {b} ({there}); it may include: {', '.join(['base', a, *ARROWS[a]])}"


def may(a, b, test=False):
    return b in (a, "base") or b in ARROWS[a] or (test and b in TEST_ARROWS.get(a, []))


def check_cmake(root):
    for n, line in enumerate((root / "CMakeLists.txt").read_text().splitlines(), 1):
        m = re.match(r"lumen_room\((\w+) (\S+)(.*)\)", line)
        if not m:
            continue
        room = room_of(m.group(2) + "/x.h")
        if room is None:
            yield f"CMakeLists.txt:{n}: tests/arrows.py knows no room {m.group(2)}"
            continue
        test = False
        for word in m.group(3).split():
            if word in ("DEPENDS", "LINK", "TEST_DEPENDS"):
                test = word == "TEST_DEPENDS"
            elif word == "lumen_plan" and may(room, "compile", test):
                pass  # compile.h has no library of its own
            elif word.startswith("lumen_") and not may(room, word[len("lumen_") :], test):
                yield f"CMakeLists.txt:{n}: {room} may not depend on {word[len('lumen_'):]}"


def formats(root):
    names = set()
    for file in sorted((root / "lum/formats").glob("*.lum")):
        names |= set(re.findall(r"^\s*format\s+(\w+)", file.read_text(), re.M))
    return sorted(names - SCALARS)


def check_names(root):
    names = formats(root)
    if not names:
        yield "lum/formats: no format is declared there, so nothing is checked"
        return
    # q4_k is found in dequantise_q4_k and kQ4K too, but not inside a longer word or number
    every = "|".join(sorted({re.escape(n) for n in names} | {n.replace("_", "") for n in names}, key=len, reverse=True))
    pattern = re.compile(rf"(?<![a-z0-9])k?({every})(?![a-z0-9])", re.I)
    for file in sorted((root / "src").rglob("*")):
        here = str(file.relative_to(root))
        if file.suffix not in (".h", ".cpp") or is_test(here):
            continue
        for n, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
            for m in pattern.finditer(re.sub(r"//.*", "", line)):  # comments may give examples
                yield f"{here}:{n}: names the format '{m.group(1)}'; formats belong in lum/formats"


def findings(root):
    return [*check_includes(root), *check_cmake(root), *check_names(root)]


def check_itself():
    """A tree with one offence of each kind must give exactly these findings."""
    with tempfile.TemporaryDirectory() as d:
        root = Path(d)
        for path, text in {
            "src/tokenizer/a.cpp": '#include "base/x.h"\n#include "compiler/ir/ir.h"\n',
            "src/nowhere/b.h": '#include "base/x.h"\n',
            "src/backend/cpu/c_test.cpp": '#include "compiler/plan/p.h"\n// q9_k is fine in a test\n',
            "src/backend/cpu/c.cpp": '#include "compiler/plan/p.h"\nint kQ9K = dequantise_q9_k(aq9_kb, f32);  // a comment may say q9_k\n',
            "src/base/x.h": "",
            "src/compiler/target.h": '#include "compiler/machine.h"\n#include "tensor/t.h"\n#include "engine/e.h"\n',
            "lum/formats/q9.lum": "format q9_k {\n}\nformat f32 {\n}\n",
            "CMakeLists.txt": "lumen_room(chat chat DEPENDS lumen_base lumen_tokenizer)\nlumen_room(cpu backend/cpu TEST_DEPENDS lumen_plan)\n",
        }.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        got = sorted(f.split(": ")[0] for f in findings(root))
        want = ["CMakeLists.txt:1", "src/backend/cpu/c.cpp:1", "src/backend/cpu/c.cpp:2", "src/backend/cpu/c.cpp:2",
                "src/compiler/target.h:3", "src/nowhere/b.h:1", "src/tokenizer/a.cpp:2"]
        assert got == want, f"arrows.py does not find what it must: {got}"


def main():
    check_itself()
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()
    bad = findings(root)
    for line in bad:
        print(line)
    count = sum(1 for _ in included(root))
    print(f"arrows: {count} includes and {len(formats(root))} formats' names checked, {len(bad)} offences")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
