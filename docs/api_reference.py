"""The reference of the native interface, from the headers themselves: what each says in comments becomes text, what it declares
becomes code. `docs/generate.py` writes it to docs/API_REFERENCE.md.

A header is paragraphs between blank lines. Comment lines at the head of a paragraph are its text, and the declarations below
them its code. In a text, a line that begins two or three blanks in, with a mark and two blanks or with a hyphen, is an item of a list; lines
four blanks in, that continue no item, are an example. `// --- NAME ---` begins a section. Bodies of inline functions are left out.
"""

from __future__ import annotations

import re
from pathlib import Path

#: How a processor and its compiler are spoken to: not part of the interface.
INTERNAL = {"atomics_c11.h", "atomics_noise.h", "atomics_vector.h", "cpu.h"}
SECTION = re.compile(r"-{3,} (.+?) -{3,}")
ITEM = re.compile(r" {0,3}(?:- +(?P<hyphen>\S.*)|(?P<mark>\S{1,24}(?: \S{1,12})?)  +(?P<text>\S.*))")
FUNCTION = re.compile(r"^(?!typedef|#|//| )[\w ]+?[ *]+(\w+)\([^;{]*\)[^;{]*;", re.MULTILINE)
TYPE = re.compile(
    r"^typedef .*?(\w+)(?:\[\w+\]|\([^)]*\))?;|^\} (\w+);|^(?:struct|union|enum) (\w+) \{", re.MULTILINE
)
INLINE = re.compile(r"^(?:static|extern) inline [^;{}]*\{", re.MULTILINE)


def page(include: Path) -> str:
    """The whole reference of the headers in a folder."""
    headers = [path for path in sorted(include.glob("*.h")) if path.name not in INTERNAL]
    out = [
        "# The native interface",
        "",
        "What the headers in `native/include` say and declare. How the parts work, and why they are right, is told",
        "in `docs/native`.",
        "",
        "| header | functions | types |",
        "|---|---|---|",
    ]
    texts = {path.name: without_bodies(path.read_text()) for path in headers}
    for name, text in texts.items():
        functions, types = (", ".join(f"`{n}`" for n in names) for names in names_of(text))
        out.append(f"| [`{name}`](#{anchor(name)}) | {functions} | {types} |")
    for name, text in texts.items():
        out += ["", f"## `{name}`", "", *body_of(text)]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).rstrip() + "\n"


def anchor(name: str) -> str:
    return re.sub(r"[^\w-]", "", name.lower())


def names_of(text: str) -> tuple[list[str], list[str]]:
    """The functions and the types that a header declares, in its order."""
    functions = dict.fromkeys(FUNCTION.findall(text))
    types = dict.fromkeys(next(filter(None, found)) for found in TYPE.findall(text))
    return list(functions), [name for name in types if name.endswith("_t")]


def without_bodies(text: str) -> str:
    """The text with `;` in place of the bodies of inline functions."""
    while found := INLINE.search(text):
        depth, at = 1, found.end()
        while depth > 0 and at < len(text):
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        head = text[found.start() : found.end() - 1].rstrip()
        text = text[: found.start()] + re.sub(r"^(?:static|extern) inline ", "", head) + ";" + text[at:]
    return text


def body_of(text: str) -> list[str]:
    """One header without its title."""
    out: list[str] = []
    for paragraph in re.split(r"\n[ \t]*\n", text):
        lines = [line for line in paragraph.split("\n") if not is_plumbing(line)]
        words: list[str] = []
        while lines and lines[0].startswith("//"):
            line = lines.pop(0)[2:]
            section = SECTION.fullmatch(line.strip())
            if section:
                out += [*prose(words), f"### {section.group(1)}", ""]
                words = []
            else:
                words.append(line.removeprefix(" "))
        out += prose(words)
        if any(line.strip() for line in lines):
            out += ["```c", *lines, "```", ""]
    return out


def is_plumbing(line: str) -> bool:
    return bool(re.match(r"#\s*(?:include|pragma|if|ifdef|ifndef|else|elif|endif|undef)\b", line))


def prose(lines: list[str]) -> list[str]:
    """Comment lines as Markdown: sentences, items and examples."""
    out: list[str] = []
    within = ""  # "", item or example
    for line in [*lines, ""]:
        item = ITEM.fullmatch(line) if line.startswith(("  ", "- ")) else None
        indented = line.startswith("    ")
        if within == "example" and not (indented or (not line and out[-1])):
            while not out[-1]:
                out.pop()
            out += ["```", ""]
            within = ""
        if within == "example":
            out.append(line.removeprefix("    "))
        elif item is not None and not (indented and within == ""):
            if within == "" and out and out[-1]:
                out.append("")
            mark = f"**{escaped(item['mark'])}** " if item["mark"] else ""
            out.append(f"- {mark}{escaped(item['hyphen'] or item['text'])}")
            within = "item"
        elif indented and within == "":
            out += [*([""] if out and out[-1] else []), "```c", line.removeprefix("    ")]
            within = "example"
        elif within == "item" and line.startswith(" "):
            out.append(f"  {escaped(line.strip())}")
        else:
            if within == "item" and line:
                out.append("")
            within = ""
            out.append(escaped(line.strip()))
    if within == "example":
        out += ["```", ""]
    return out


def escaped(text: str) -> str:
    """Signs that Markdown would take for its own, outside of `code`."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([*<|])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)
