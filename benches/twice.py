#!/usr/bin/env python3
"""Measures one model twice, session after session with a compiler running beside, and counts how often bantam calls one of the two faster.

    benches/twice.py [--bantam target/release/bantam] [--model bantam-s] [--sessions 200] [--budget "10 s"] [--jobs 2] [--quiet]

The two are one file and a copy of it with another letter in its name, so that bantam takes them for two models. Each session is a
whole `bantam run` with a store of its own, where both are as good as each other (they give the same answers) and the
fastest is preferred: one is called faster where the advice does not name the other as its equal. `--jobs 0` runs nothing beside.
A session takes about two budgets and a minute of answers the first time. Told at the end: how many sessions told the two apart, of how
many, with the 95% interval (Wilson), and how many could tell nothing since too few rounds were quiet. At most 5% are promised.
"""
import argparse
import json
import math
import os
import subprocess
import tempfile
from pathlib import Path

PROFILE = """race = "off"
models = ["{one}", "{other}"]
suites = ["routing"]
[measure]
speed = [{{ prompt = 64, output = 32 }}]
budget = "{budget}"
[objective]
prefer = "fastest"
reference = "{one}"
margin = 0.1
"""

# some thousand functions: a few seconds of a compiler at -O2, over and over
SOURCE = "\n".join(
    f"double f{n}(double *x, int n) {{ double s = {n}; for (int i = 0; i < n; i++) s = s * x[i] + x[(i * {n % 97 + 1}) % n]; return s; }}"
    for n in range(3000)
)


def two(bantam, model, folder):
    """The same weights under two names."""
    one, other = folder / "one.gguf", folder / "other.gguf"
    subprocess.run([bantam, "compress", model, "--quant", "Q8_0", "-o", one, "--quiet"], check=True)
    data = one.read_bytes()
    at = data.index(b"general.name") + len("general.name") + 12  # type and length stand between
    assert bytes([data[at]]).isalnum(), "the name does not stand where it is looked for"
    other.write_bytes(data[:at] + (b"z" if data[at : at + 1] != b"z" else b"y") + data[at + 1 :])
    return one, other


def compilers(jobs, folder):
    """A compiler that begins again whenever it is done, so many times at once, with a pause between as make has them."""
    source = folder / "beside.c"
    source.write_text(SOURCE)
    loop = f"while :; do cc -O2 -c {source} -o /dev/null; sleep 0.$((RANDOM % 10)); done"
    return [subprocess.Popen(["bash", "-c", loop], start_new_session=True) for _ in range(jobs)]


def session(bantam, profile, folder):
    """Whether the two were told apart, and whether too little was quiet to tell."""
    with tempfile.TemporaryDirectory(dir=folder) as home:
        env = {**os.environ, "BANTAM_HOME": home}
        out = Path(home, "report")
        subprocess.run([bantam, "run", profile, "--out", out, "--offline", "--quiet"], env=env, check=False, stdout=subprocess.DEVNULL)
        advice = json.loads((out / "results.json").read_text())["advice"]
    advised = advice["conclusion"].get("advised")
    if advised is None or advised.get("by") != "decode_tps":
        return False, True
    doubts = [shape.get("doubt") for standing in advice["standings"] for shape in standing["shapes"]]
    return not advised["equals"], any(doubts)


def wilson(count, of):
    share, z = count / of, 1.96
    middle, half = share + z * z / (2 * of), z * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return (middle - half) / (1 + z * z / of), (middle + half) / (1 + z * z / of)


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("--bantam", default="target/release/bantam")
    args.add_argument("--model", default="bantam-s")
    args.add_argument("--sessions", type=int, default=200)
    args.add_argument("--budget", default="10 s")
    args.add_argument("--jobs", type=int, default=2)
    args.add_argument("--quiet", action="store_true")
    args = args.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        one, other = two(args.bantam, args.model, folder)
        profile = folder / "twice.toml"
        profile.write_text(PROFILE.format(one=one, other=other, budget=args.budget))
        beside = compilers(args.jobs, folder)
        apart = silent = 0
        try:
            for number in range(1, args.sessions + 1):
                told, nothing = session(args.bantam, profile, folder)
                apart, silent = apart + told, silent + nothing
                if not args.quiet:
                    print(f"{number}: {'told apart' if told else 'equal'}{', too little was quiet' if nothing else ''}; {apart} so far", flush=True)
        finally:
            for process in beside:
                os.killpg(process.pid, 15)
        low, high = wilson(apart, args.sessions)
        print(f"told apart in {apart} of {args.sessions} sessions ({100 * low:.1f} to {100 * high:.1f}%), too little was quiet in {silent}")


if __name__ == "__main__":
    main()
