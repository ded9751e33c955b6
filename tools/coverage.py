#!/usr/bin/env python3
"""Which test shows which rule: writes docs/coverage.md from the tree.

Rules are the numbered lines of docs/spec/behaviour.md (T-6, H-5a), the weaknesses of its
section 10 (W13), and the rules of docs/spec/ha.md ("rule 7", "ha.md rules 5, 6"; here ha-7). A
test cites a rule by its number, in its name (`t6_...`), in the comment or
doc above it, or in its body. Tests are Rust functions under a test attribute, Python functions
named test_*, and the text scenarios (comment lines that begin with #). A number in code that is
not a test is an explanation, and does not count.

    tools/coverage.py            write docs/coverage.md
    tools/coverage.py --check    write nothing; exit 1 if the file is stale, a rule that must be
                                 covered has no test, or a test cites a rule that does not exist

Only the standard library is used, so that it runs before anything is installed.
"""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SPEC = "docs/spec/behaviour.md"
HA_SPEC = "docs/spec/ha.md"
DEVIATIONS = "docs/deviations.md"
OUTPUT = "docs/coverage.md"

FAMILIES = {
    "T": "Topics, versions, deltas",
    "S": "Priority topics and scheduling",
    "F": "Heartbeats and failure detection",
    "R": "Registration",
    "C": "Active catalogd election",
    "N": "Catalogd notification",
    "K": "RPC client",
    "B": "Subscriber",
    "H": "High availability",
    "W": "Weaknesses of the reference, built right",
    "h": "The pair that can be trusted (ha.md)",
}
REQUIRED = "TSFRCNKBHh"
# Weaknesses that are built right; the others belong to what is not there yet.
REQUIRED_WEAKNESSES = {f"W{n}" for n in [*range(1, 29), 32, 33, 34, 35, 36]}
# Its samples name rules without showing any.
OWN_TESTS = "tests/python/test_coverage_tool.py"
SKIPPED_FOLDERS = {"target", ".git", "__pycache__", "node_modules", "proptest-regressions"}

HA_ROW = re.compile(r"^(\d+)\. (.*)$")
HA_CITED = re.compile(r"\brules? (\d+(?:(?:, | and | to )\d+)*)(?![\w.-])")
RULE_ROW = re.compile(r"^\|\s*([TSFRCNKBH]-\d+[a-f]?)\s*\|(.*)\|\s*$")
WEAKNESS_ROW = re.compile(r"^\|\s*(\d+)\s*\|(.*)\|\s*$")
CITED = re.compile(
    r"(?<![\w-])([TSFRCNKBH])-(\d+)([a-f]?)(?![\w])"  # T-6, H-5a
    r"(?:\s*(?:\.\.=?|to|\u2013)\s*(?:\1-)?(\d+)(?![\w]))?"  # T-20..T-24, T-20..24
    r"|(?<![\w-])W([1-9]\d*)(?![\w])(?:\s*(?:\.\.=?|to|\u2013)\s*W(\d+)(?![\w]))?"  # W13, W12..W19
)
NAMED = re.compile(r"^(?:test_)?((?:[tsfrcnkbhw]_?\d+[a-f]?_)+)")
NAME_PART = re.compile(r"([tsfrcnkbhw])_?(\d+[a-f]?)_")
TEST_ATTRIBUTE = re.compile(r"^\s*#\[(?:\w+::)*test(?:_case)?\b.*\]?\s*$")
FUNCTION = re.compile(r"^\s*(?:pub(?:\([^)]*\))?\s+)?(?:async\s+)?fn\s+(\w+)")


def main(arguments):
    if arguments not in ([], ["--check"]):
        print(__doc__, file=sys.stderr)
        return 2
    tree = Coverage(ROOT)
    if arguments == ["--check"]:
        return tree.check()
    (ROOT / OUTPUT).write_text(tree.table(), encoding="utf-8")
    print(f"{OUTPUT}: {tree.totals()}")
    return 0


class Coverage:
    """The rules of one tree, and for each the tests that cite it, as (file, test name)."""

    def __init__(self, root):
        self.root = Path(root)
        self.rules = rules_of((self.root / SPEC).read_text(encoding="utf-8"))
        self.rules |= ha_rules_of((self.root / HA_SPEC).read_text(encoding="utf-8"))
        self.deviations = self.read_deviations()
        self.tests = {rule: set() for rule in self.rules}
        self.unknown = []
        for path in sorted(self.sources()):
            name = path.relative_to(self.root).as_posix()
            for test, text in tests_of(name, path.read_text(encoding="utf-8")):
                self.cite(name, test, text)
        for rule in self.deviations:
            if rule not in self.rules:
                self.unknown.append((rule, DEVIATIONS, ""))

    def sources(self):
        for path in walk(self.root):
            inside = path.relative_to(self.root)
            scenario = path.suffix == ".txt" and "scenarios" in inside.parts
            if inside.as_posix() != OWN_TESTS and (path.suffix in (".rs", ".py") or scenario):
                yield path

    def cite(self, file, test, text):
        for rule in sorted(cited(test, text)):
            if rule in self.tests:
                self.tests[rule].add((file, test))
            else:
                self.unknown.append((rule, file, test))

    def read_deviations(self):
        path = self.root / DEVIATIONS
        found = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                cells = cells_of(line)
                if len(cells) >= 3 and not set(cells[0]) <= set("-: "):
                    for rule in cited("", cells[0]):
                        found[rule] = cells[1]
        return found

    def missing(self):
        return [r for r in self.rules if must_be_covered(r) and not self.tests[r]]

    def check(self):
        complaints = [f"{rule}: no test cites it ({self.rules[rule]})" for rule in self.missing()]
        complaints += [f"{rule}: cited in {file} {test}, but there is no such rule"
                       for rule, file, test in self.unknown]
        path = self.root / OUTPUT
        if not path.exists() or path.read_text(encoding="utf-8") != self.table():
            complaints.append(f"{OUTPUT} is stale: run ./check fix")
        for line in complaints:
            print(line)
        print(self.totals())
        return 1 if complaints else 0

    def totals(self):
        required = [r for r in self.rules if must_be_covered(r)]
        covered = [r for r in required if self.tests[r]]
        return f"{len(covered)} of {len(required)} rules that must have a test have one"

    def table(self):
        lines = [
            "# Which test shows which rule",
            "",
            "Made by `tools/coverage.py` from the rule numbers that tests cite; do not edit, run",
            "`./check fix`. The rules themselves: [spec/behaviour.md](spec/behaviour.md). Rules",
            "deliberately built otherwise, and why: [deviations.md](deviations.md).",
            "",
            f"{self.totals()}.",
            "Those of [spec/ha.md](spec/ha.md) stand here as ha-1 to ha-21.",
        ]
        for family, title in FAMILIES.items():
            rules = [r for r in self.rules if r[0] == family]
            if not rules:
                continue
            covered = sum(1 for r in rules if self.tests[r])
            lines += ["", f"## {family}: {title} ({covered} of {len(rules)})", "",
                      "| Rule | Statement | Tests |", "|---|---|---|"]
            lines += [self.row(rule) for rule in rules]
        return "\n".join(lines) + "\n"

    def row(self, rule):
        statement = self.rules[rule]
        if rule in self.deviations:
            statement += " **Built otherwise**"
        by_file = {}
        for file, test in sorted(self.tests[rule]):
            by_file.setdefault(file, []).append(test)
        tests = "<br>".join(linked(file, names) for file, names in by_file.items())
        if not tests:
            tests = "**none**" if must_be_covered(rule) else "not yet"
        return f"| {rule} | {statement} | {tests} |"


def linked(file, names):
    listed = ", ".join(f"`{name}`" for name in names if name)
    return f"[{file}](../{file})" + (f": {listed}" if listed else "")


def must_be_covered(rule):
    return rule[0] in REQUIRED or rule in REQUIRED_WEAKNESSES


def walk(folder):
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or path.name in SKIPPED_FOLDERS:
            continue
        if path.is_dir():
            yield from walk(path)
        else:
            yield path


def rules_of(text):
    """Rule number -> statement cut to one line, in the order of the page."""
    rules = {}
    weaknesses = False
    for line in text.splitlines():
        if line.startswith("## "):
            weaknesses = "weaknesses" in line.lower()
        row = RULE_ROW.match(line)
        if row:
            cells = [cell for cell in cells_of(f"|{row.group(2)}|") if cell]
            rules[row.group(1)] = shortened(" / ".join(cells))
        row = WEAKNESS_ROW.match(line) if weaknesses else None
        if row:
            rules[f"W{row.group(1)}"] = shortened(cells_of(f"|{row.group(2)}|")[-1])
    return rules


def ha_rules_of(text):
    """The numbered rules of section 3."""
    rules = {}
    inside = False
    for line in text.splitlines():
        if line.startswith("## "):
            inside = line.startswith("## 3")
        row = HA_ROW.match(line) if inside else None
        if row:
            rules[f"ha-{row.group(1)}"] = shortened(row.group(2))
    return rules


def cells_of(line):
    if not line.startswith("|"):
        return []
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip()[1:-1])]


def shortened(text, limit=120):
    if len(text) <= limit:
        return text
    cut = text[:limit].rsplit(" ", 1)[0].rstrip(",;:(")
    if cut.count("`") % 2:
        cut += "`"
    return cut + " ..."


def cited(name, text):
    """The rule numbers in a test's name and text."""
    found = set()
    prefix = NAMED.match(name)
    if prefix:
        for family, number in NAME_PART.findall(prefix.group(1)):
            found.add(f"W{number}" if family == "w" else f"{family.upper()}-{number}")
    for hit in HA_CITED.finditer(text):
        parts = re.split(r", | and ", hit.group(1))
        for part in parts:
            first, _, last = part.partition(" to ")
            found.update(f"ha-{n}" for n in range(int(first), int(last or first) + 1))
    for hit in CITED.finditer(text):
        family, number, letter, end, weakness, weakness_end = hit.groups()
        if weakness:
            for n in range(int(weakness), int(weakness_end or weakness) + 1):
                found.add(f"W{n}")
        elif letter or not end:
            found.add(f"{family}-{number}{letter}")
        else:
            found.update(f"{family}-{n}" for n in range(int(number), int(end) + 1))
    return found


def tests_of(file, text):
    """(test name, everything that counts as its text) for each test of a file."""
    if file.endswith(".rs"):
        return rust_tests(text)
    if file.endswith(".py"):
        return python_tests(text)
    return [("", "\n".join(line for line in text.splitlines() if line.startswith("#")))]


def python_tests(text):
    tests = []
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        if function and node.name.startswith("test"):
            first = min([node.lineno] + [d.lineno for d in node.decorator_list]) - 1
            while first > 0 and lines[first - 1].lstrip().startswith("#"):
                first -= 1
            tests.append((node.name, "\n".join(lines[first:node.end_lineno])))
    return tests


def rust_tests(text):
    """Functions under a test attribute, with the comments above them and their bodies."""
    tests = []
    lines = text.splitlines()
    for at, line in enumerate(lines):
        if not TEST_ATTRIBUTE.match(line):
            continue
        name, opening = None, at
        for opening in range(at + 1, min(at + 30, len(lines))):
            named = FUNCTION.match(lines[opening])
            if named:
                name = named.group(1)
                break
        if name is None:
            continue
        first = at
        while first > 0 and re.match(r"\s*(//|#\[|\)?\]$)", lines[first - 1]):
            first -= 1
        tests.append((name, "\n".join(lines[first:end_of_block(lines, opening) + 1])))
    return tests


def end_of_block(lines, opening):
    """The last line of the function that opens here: the first later line that closes at its
    own indentation. Formatted code, so no parser is needed."""
    indent = re.match(r"\s*", lines[opening]).group()
    for at in range(opening, len(lines)):
        line = lines[at].rstrip()
        if line == f"{indent}}}" or (at == opening and line.endswith("}")):
            return at
    return len(lines) - 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
