#!/usr/bin/env python3
"""Keeps what `cargo bench` found, and compares what it finds now with that.

    cargo bench -p bantam-kernels && cargo bench --bench decode --bench suite
    benches/baseline.py save                 # writes benches/baseline.json
    benches/baseline.py compare [WORD]       # beside it, those whose name holds the word

Speeds of two machines do not compare: the baseline names its processor, and another one is said first. Criterion's
intervals are of one run; a machine drifts between runs by more, so that a ratio below a tenth says nothing.
"""
import argparse
import datetime
import json
import os
import pathlib

HERE = pathlib.Path(__file__).resolve().parent
KEPT = HERE / "baseline.json"


def processor():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown"
    of = lambda key: next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), "?")
    return f"{of('model name')}, family {of('cpu family')} model {of('model	')}, {os.cpu_count()} cores"


def found(target):
    """Of each bench its time in ns, with criterion's interval, and what it works through in that time."""
    for estimates in sorted(pathlib.Path(target, "criterion").glob("**/new/estimates.json")):
        median = json.loads(estimates.read_text())["median"]
        about = json.loads((estimates.parent / "benchmark.json").read_text())
        bounds = median["confidence_interval"]
        yield about["full_id"], {
            "ns": median["point_estimate"],
            "from": bounds["lower_bound"],
            "to": bounds["upper_bound"],
            "throughput": about.get("throughput"),
        }


def rate(one):
    """Bytes and operations a second, as the field writes them."""
    (kind, amount), = (one["throughput"] or {"Runs": 1}).items()
    per_second = amount / one["ns"] * 1e9
    match kind:
        case "Bytes":
            return f"{per_second / 1e9:.2f} GB/s"
        case "Elements" if per_second > 1e9:
            return f"{per_second / 1e9:.2f} G/s"
        case _:
            return f"{per_second:.1f} /s"


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("do", choices=["save", "compare"])
    a.add_argument("word", nargs="?", default="", help="compare only what has it in its name")
    a.add_argument("--target", default=os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target"))
    o = a.parse_args()
    now = dict(found(o.target))
    if not now:
        a.exit(2, f"{o.target}/criterion holds no results; run cargo bench first\n")
    if o.do == "save":
        kept = {"processor": processor(), "date": str(datetime.date.today()), "benches": now}
        KEPT.write_text(json.dumps(kept, indent=1) + "\n")
        print(f"{len(now)} benches in {KEPT}")
        return
    try:
        kept = json.loads(KEPT.read_text())
    except OSError:
        a.exit(2, f"{KEPT} is not there; benches/baseline.py save writes it\n")
    if kept["processor"] != processor():
        print(f"another machine: the baseline is of {kept['processor']}, this is {processor()}\n")
    for name, one in now.items():
        if o.word not in name:
            continue
        before = kept["benches"].get(name)
        if before is None:
            print(f"{name:55} {rate(one):>12}  new")
            continue
        apart = one["from"] > before["to"] or one["to"] < before["from"]
        ratio = before["ns"] / one["ns"]
        print(f"{name:55} {rate(one):>12}  {ratio:.2f}x of {rate(before)}{'' if apart else '  (intervals overlap)'}")


if __name__ == "__main__":
    main()
