#!/usr/bin/env python3
"""Times llama.cpp's llama-bench and bantam on the same GGUF files, in turn, and prints speeds and their ratios.

    benches/pairs.py --llama-bench PATH [--bantam PATH] [-t 2] [-p 256] [-n 64] [--rounds 3] FILE...

A machine is noisier than engines differ: only what was measured in turn, in one run, is compared. Each round times both;
the table has medians over the rounds. Several bantam binaries (--bantam A --bantam B) are compared with each other as well.
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile


def llama(binary, file, o):
    def speed(*asked):
        command = [binary, "-m", file, "-t", str(o.t), *asked, "-r", "2", "-o", "json"]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)[0]["avg_ts"]

    # bantam's decode goes on from the prompt, so that llama.cpp's begins at that depth, too
    prefill = speed("-p", str(o.p), "-n", "0")
    return prefill, speed("-p", "0", "-n", str(o.n), "-d", str(o.p)), float("nan")


def bantam(binary, file, o, home):
    command = [binary, "bench", file, "-t", str(o.t), "-p", str(o.p), "-n", str(o.n), "--budget", str(o.budget)]
    command += ["--json", "--fresh", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "BANTAM_HOME": home}, check=True)
    standing = json.loads(done.stdout)["advice"]["standings"][0]
    rounds = standing["shapes"][0]["rounds"]
    median = lambda key: statistics.median(r[key] for r in rounds)
    return median("prefill"), median("decode"), standing["peak_memory"]["known"]["value"] / 2**20


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--llama-bench")
    a.add_argument("--bantam", action="append")
    a.add_argument("-t", type=int, default=2, help="threads")
    a.add_argument("-p", type=int, default=256, help="prompt tokens")
    a.add_argument("-n", type=int, default=64, help="tokens to generate")
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("--budget", type=float, default=1.0, help="seconds of bantam's turn")
    a.add_argument("files", nargs="+")
    o = a.parse_args()
    subjects = {}
    if o.llama_bench:
        subjects["llama.cpp"] = lambda file, home: llama(o.llama_bench, file, o)
    for binary in o.bantam or ["target/release/bantam"]:
        subjects[binary] = lambda file, home, binary=binary: bantam(binary, file, o, home)
    with tempfile.TemporaryDirectory() as home:
        for file in o.files:
            print(os.path.basename(file), f"({os.path.getsize(file) / 2**20:.0f} MiB)")
            found = {name: [] for name in subjects}
            for _ in range(o.rounds):
                for name, time in subjects.items():
                    found[name].append(time(file, os.path.join(home, os.path.basename(name))))
            first = None
            for name, rounds in found.items():
                prefill, decode, peak = (statistics.median(column) for column in zip(*rounds))
                first = first or (prefill, decode)
                print(f"  {name}: prefill {prefill:.0f} tok/s ({prefill / first[0]:.2f}), "
                      f"decode {decode:.1f} tok/s ({decode / first[1]:.2f}), peak {peak:.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
