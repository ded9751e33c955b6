"""Codec and IDL say the same: Python's thrift reads what Rust writes, and the other way round.

1. crates/wire/tests/golden/python.jsonl is what make_golden.py makes now (Rust's tests read it).
2. What `cargo run -p statestore-wire --example golden` writes, and what the reference wrote,
   decodes completely with the generated code, and encodes to the same bytes.
"""

import json
import subprocess
import sys

import make_golden
from statestore_idl import METHODS, ROOT, decode, encode

REFERENCE = ROOT / "crates" / "wire" / "tests" / "golden" / "reference.jsonl"


def complaints(source, lines):
    """What is wrong with messages, one JSON document a line."""
    seen = set()
    for number, document in enumerate(lines, 1):
        message = json.loads(document)
        data = bytes.fromhex(message["hex"])
        where = f"{source}:{number}: {message['method']} {message['type']}"
        try:
            method, kind, content, seqid = decode(data)
        except Exception as error:  # whatever the generated code throws at bad bytes
            yield f"{where}: {error!r}"
            continue
        seen.add((method, kind))
        if (method, kind) != (message["method"], message["type"]):
            yield f"{where}: decodes as {method} {kind}"
        elif encode(method, kind, content, seqid) != data:
            yield f"{where}: Python writes {encode(method, kind, content, seqid).hex()}"
    if source == "rust":
        for method in METHODS:
            for kind in ("call", "reply"):
                if (method, kind) not in seen:
                    yield f"{source}: no {kind} of {method}"


def main():
    made = "".join(make_golden.lines())
    problems = []
    if not make_golden.GOLDEN.exists() or make_golden.GOLDEN.read_text() != made:
        problems.append(f"{make_golden.GOLDEN.relative_to(ROOT)} is stale: run make_golden.py")
    command = "cargo run --quiet --locked -p statestore-wire --example golden".split()
    rust = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    rust = rust.stdout.splitlines()
    reference = REFERENCE.read_text().splitlines()
    problems += complaints("rust", rust)
    problems += complaints("reference", reference)
    for problem in problems:
        print(problem, file=sys.stderr)
    counts = f"{made.count(chr(10))} made by Python, {len(rust)} by Rust, {len(reference)} captured"
    print(f"golden messages: {counts}; {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
