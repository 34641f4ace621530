"""What the golden scripts share: where things lie, how they are written, and how two makings are compared.

A script is started as `NAME.py make` or `NAME.py check`. Its inputs (checkpoints, texts, templates, packed weights) are the
files of tests/golden themselves; what it makes again are the values that other tools say about them. `make` writes them over
those that are there (git shows what changed), `check` holds them against those that are there and writes nothing.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TOKENIZERS_PARALLELISM": "false"}

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
# rows of logits that are kept of every prompt but the first
PROMPT_ROWS = 4


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def read_json(path):
    return json.loads((GOLDEN / path).read_text(encoding="utf-8"))


def compact(value, **options):
    return json.dumps(value, separators=(",", ":"), **options)


def lines(head, rows):
    """A JSON object with one key a line, so that a change of one is a change of one line."""
    body = ",\n".join(f"{json.dumps(key)}:{compact(value)}" for key, value in rows.items())
    return f"{head}{{\n{body}\n}}"


def floats(path):
    """Tensors of a safetensors file as numpy arrays."""
    from safetensors.numpy import load_file

    return load_file(GOLDEN / path)


class Making:
    """Takes what a script makes, and writes or compares it."""

    def __init__(self):
        self.writes = {"make": True, "check": False}[sys.argv[1] if len(sys.argv) > 1 else "check"]
        self.only = set(sys.argv[2:])
        self.same, self.different = 0, []

    def wanted(self, name):
        return not self.only or name in self.only

    def text(self, path, text):
        """A text file; as JSON it is compared by its values."""
        there = GOLDEN / path
        if self.writes:
            there.write_text(text, encoding="utf-8")
        elif not there.is_file():
            self.different.append(f"{path}: is not there")
        else:
            self.compare(path, json.loads(there.read_text(encoding="utf-8")), json.loads(text))

    def tensors(self, path, tensors, tolerance=1e-4):
        """A safetensors file of numpy arrays; compared to the tolerance that the tests have."""
        import numpy as np
        from safetensors.numpy import save_file

        if self.writes:
            save_file({name: np.ascontiguousarray(t) for name, t in tensors.items()}, GOLDEN / path)
            return
        there = floats(path)
        if set(there) != set(tensors):
            odd = sorted(set(there) ^ set(tensors))
            self.different.append(f"{path}: {len(odd)} tensors are in one of the two only: {', '.join(odd[:5])}")
        for name in sorted(set(there) & set(tensors)):
            old, new = there[name], tensors[name]
            if old.shape != new.shape:
                self.different.append(f"{path} {name}: shape {list(new.shape)} for {list(old.shape)}")
                continue
            apart = float(np.abs(old.astype("f8") - new.astype("f8")).max()) if old.size else 0.0
            if apart > tolerance:
                self.different.append(f"{path} {name}: {apart:.2e} apart")
            else:
                self.same += 1

    def compare(self, where, old, new):
        if isinstance(old, float) and isinstance(new, (int, float)):
            alike = abs(old - new) <= 1e-4 * max(1.0, abs(old))
        elif isinstance(old, dict) and isinstance(new, dict):
            for key in old.keys() | new.keys():
                if key in old and key in new:
                    self.compare(f"{where} {key}", old[key], new[key])
                else:
                    self.different.append(f"{where}: {key} is in one of the two only")
            return
        elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
            for i, (one, other) in enumerate(zip(old, new)):
                self.compare(f"{where}[{i}]", one, other)
            return
        else:
            alike = old == new
        if alike:
            self.same += 1
        else:
            self.different.append(f"{where}: {str(new)[:80]!r} for {str(old)[:80]!r}")

    def end(self):
        if self.writes:
            print("written; `git diff --stat tests/golden` shows what changed")
            sys.exit(0)
        for line in self.different[:40]:
            print("different:", line)
        print(f"{self.same} values are the same, {len(self.different)} are not")
        sys.exit(bool(self.different))


def last_rows(logits, prompt):
    """All rows of the first prompt, four of the others: what the tests read."""
    return logits if prompt == 0 else logits[-PROMPT_ROWS:]
