#!/usr/bin/env python3
"""Makes the expected texts of chat templates with Python's jinja2, set up as transformers sets it up.

  make_chat.py                        cases.txt, *.jinja and conversations.json in tests/golden/chat -> cases.json, templates.json
  make_chat.py collect DIR FILE...    takes the templates out of the llama-cpp-python sdist, npm tokenizer packages or
                                      tokenizer_config.json files into DIR/*.jinja
  make_chat.py expect DIR             renders every DIR/*.jinja with every conversation into DIR/expected.json
                                      (then LUMEN_TEST_TEMPLATES=DIR test_chat compares; such templates have their own licences)

Needs jinja2 >= 3.1.6.
"""
import datetime
import json
import pathlib
import sys
import tarfile

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = pathlib.Path(__file__).resolve().parent / "chat"
NOW = datetime.datetime(2026, 3, 7, 9, 5, 2)


class Generation(jinja2.ext.Extension):
    """{% generation %}: transformers marks what the assistant wrote; the text stays as it is."""

    tags = {"generation"}

    def parse(self, parser):
        lineno = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_generation"), [], [], body).set_lineno(lineno)

    def _generation(self, caller):
        return caller()


class Namespace(jinja2.utils.Namespace):
    def __init__(*args, **kwargs):
        attrs = dict(*args[1:], **kwargs)
        for name in attrs:
            Namespace.check(name)
        jinja2.utils.Namespace.__init__(args[0], attrs)

    def __setitem__(self, name, value):
        Namespace.check(name)
        jinja2.utils.Namespace.__setitem__(self, name, value)

    @staticmethod
    def check(name):
        if isinstance(name, str) and name.startswith("_"):
            raise jinja2.exceptions.SecurityError(name)


def environment():
    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env.filters["tojson"] = tojson
    env.globals.update(raise_exception=raise_exception, namespace=Namespace, strftime_now=NOW.strftime)
    return env


def render(env, text, context):
    """The rendered text, or None where jinja2 raises."""
    try:
        return env.from_string(text).render(json.loads(json.dumps(context))), None
    except Exception as e:
        return None, f"{type(e).__name__}: {e}"


def conversations():
    return json.loads((HERE / "conversations.json").read_text())


def make_cases(env):
    context = json.loads((HERE / "context.json").read_text())
    cases = []
    for block in (HERE / "cases.txt").read_text().split("\n----\n"):
        text = block.removesuffix("\n") if block.startswith("\n") else block
        expected, error = render(env, text, context)
        if error:
            print(f"refused: {text!r}\n  {error}")
        cases.append({"template": text, "expect": expected})
    return cases


def expect(env, directory):
    result, refused = {}, 0
    for path in sorted(directory.glob("*.jinja")):
        result[path.stem] = {}
        for name, context in conversations().items():
            text, error = render(env, path.read_text(), context)
            refused += text is None
            result[path.stem][name] = text
            if error and "-v" in sys.argv:
                print(path.stem, name, error)
    n = sum(map(len, result.values()))
    print(f"{len(result)} templates, {n} renderings, of which jinja2 refuses {refused}")
    return result


def templates_of(config):
    template = config.get("chat_template")
    if isinstance(template, str):
        yield "", template
    for entry in template if isinstance(template, list) else []:
        yield "-" + entry["name"], entry["template"]


def collect(out, files):
    out.mkdir(parents=True, exist_ok=True)
    for file in files:
        stem = pathlib.Path(file).name.removesuffix(".tgz").removesuffix(".tar.gz").removesuffix(".json")
        if file.endswith(".json"):
            for suffix, text in templates_of(json.loads(pathlib.Path(file).read_text())):
                (out / f"{stem}{suffix}.jinja").write_text(text)
            continue
        with tarfile.open(file) as archive:
            for member in archive:
                path = pathlib.PurePosixPath(member.name)
                if path.match("models/templates/*.jinja"):
                    (out / path.name).write_bytes(archive.extractfile(member).read())
                elif path.name == "tokenizer_config.json":
                    for suffix, text in templates_of(json.load(archive.extractfile(member))):
                        (out / f"{stem}{suffix}.jinja").write_text(text)


def dump(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def main():
    env = environment()
    if sys.argv[1:2] == ["collect"]:
        collect(pathlib.Path(sys.argv[2]), sys.argv[3:])
    elif sys.argv[1:2] == ["expect"]:
        directory = pathlib.Path(sys.argv[2])
        dump(directory / "expected.json", expect(env, directory))
    else:
        dump(HERE / "cases.json", make_cases(env))
        dump(HERE / "templates.json", expect(env, HERE))


if __name__ == "__main__":
    main()
