#!/usr/bin/env python3
"""Times llama.cpp's llama-perplexity --hellaswag and bantam on the same multiple-choice items, in turn.

    benches/hellaswag.py --text FILE [--llama-perplexity PATH] [--bantam PATH] [-n 200] [--shots 0] [--rounds 3] FILE...

Items are made of a text: 24 words are the context, the 16 that follow and 16 from three other places are the endings. They
are written in both tools' forms. What starting and loading take is subtracted: each round times a few items and all of
them. llama.cpp is given as many sequences at once as its batch takes. With --shots so many solved items stand before each
(the few-shot form, which llama-perplexity does not have; only binaries of bantam are compared then).
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import tempfile
import time

FEW = 8
CONTEXT, ENDING = 24, 16
SUITE = """name = "hellaswag"
version = 1
title = "Which words follow"
description = "Words of a text, and four stretches of words of which one follows."

[[task]]
task = "hellaswag"
data = "items.jsonl"
fewshot_data = "shots.jsonl"
output_type = "multiple_choice"
doc_to_text = "{{context}}"
doc_to_choice = "{{choices}}"
doc_to_target = "{{gold}}"
target_delimiter = " "
num_fewshot = SHOTS
metric_list = [{ metric = "acc" }, { metric = "acc_norm" }]
"""


def items(text, count):
    rng = random.Random(1)
    words = text.split()
    pieces = [words[at:at + CONTEXT + ENDING] for at in range(0, len(words) - CONTEXT - ENDING, CONTEXT + ENDING)]
    pieces = rng.sample(pieces, count + 5)
    made = []
    for piece in pieces:
        endings = [" ".join(other[CONTEXT:]) for other in rng.sample([p for p in pieces if p is not piece], 3)]
        gold = rng.randrange(4)
        endings.insert(gold, " ".join(piece[CONTEXT:]))
        made.append({"context": " ".join(piece[:CONTEXT]), "choices": endings, "gold": gold})
    return made


def write(made, folder, shots):
    lines = lambda some: "".join(json.dumps(item) + "\n" for item in some)
    forms = {"items.jsonl": lines(made[5:]), "shots.jsonl": lines(made[:5]), "suite.toml": SUITE.replace("SHOTS", str(shots))}
    forms["items.txt"] = "\n".join("\n".join([i["context"], str(i["gold"]), *i["choices"]]) for i in made[5:])
    for name, form in forms.items():
        with open(os.path.join(folder, name), "w") as file:
            file.write(form)


def llama(binary, file, count, folder, o):
    command = [binary, "-m", file, "-f", os.path.join(folder, "items.txt"), "--hellaswag", "--hellaswag-tasks", str(count)]
    subprocess.run(command + ["-t", str(o.t), *o.llama_args.split()], capture_output=True, check=True)


def bantam(binary, file, count, folder, o):
    with tempfile.TemporaryDirectory() as home:
        command = [binary, "eval", file, "-s", os.path.join(folder, "suite.toml"), "-l", str(count), "--fresh", "--quiet"]
        subprocess.run(command, capture_output=True, env={**os.environ, "BANTAM_HOME": home}, check=True)


def speed(run, binary, file, folder, o):
    """Items a second between the first few and all."""
    took = []
    for count in [FEW, o.n]:
        start = time.monotonic()
        run(binary, file, count, folder, o)
        took.append(time.monotonic() - start)
    return (o.n - FEW) / (took[1] - took[0])


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--text", required=True)
    a.add_argument("--llama-perplexity")
    a.add_argument("--llama-args", default="-np 16 -c 128 -kvu")
    a.add_argument("--bantam", action="append")
    a.add_argument("-t", type=int, default=2, help="threads of llama.cpp; bantam takes the machine's cores")
    a.add_argument("-n", type=int, default=200, help="items")
    a.add_argument("--shots", type=int, default=0, choices=range(6))
    a.add_argument("--rounds", type=int, default=3)
    a.add_argument("files", nargs="+")
    o = a.parse_args()
    subjects = [("llama.cpp", llama, o.llama_perplexity)] if o.llama_perplexity and not o.shots else []
    subjects += [(binary, bantam, binary) for binary in o.bantam or ["target/release/bantam"]]
    with tempfile.TemporaryDirectory() as folder:
        with open(o.text) as file:
            write(items(file.read(), o.n), folder, o.shots)
        for file in o.files:
            print(os.path.basename(file))
            found = {name: [] for name, *_ in subjects}
            for _ in range(o.rounds):
                for name, run, binary in subjects:
                    found[name].append(speed(run, binary, file, folder, o))
            first = None
            for name, rounds in found.items():
                median = statistics.median(rounds)
                first = first or median
                print(f"  {name}: {median:.1f} items/s ({median / first:.2f})", flush=True)


if __name__ == "__main__":
    main()
