#!/usr/bin/env python3
"""Times llama-server and bantam on the same prompts with answers of the same length, in turn.

    benches/generation.py --text FILE --llama-server PATH [--bantam PATH] [-n 64] [--slots 8] [--tokens 48] [--rounds 2] FILE...

Prompts are stretches of 60 words of a text. llama-server holds as many slots as clients ask at a time; bantam asks a suite of
generate_until. Both answer greedily, never end before --tokens (bantam's answers are checked to be as long), and are timed
without starting and loading: llama-server once it is healthy, bantam by what a few items less take.
"""
import argparse
import concurrent.futures
import json
import os
import statistics
import subprocess
import tempfile
import time
import urllib.request

SUITE = """name = "continue"
version = 1
title = "What follows"
description = "Stretches of a text to go on with."

[[task]]
task = "continue"
data = "items.jsonl"
output_type = "generate_until"
doc_to_text = "{{text}}"
doc_to_target = "{{gold}}"
generation_kwargs = { until = ["\\u0001"], max_gen_toks = TOKENS, do_sample = false }
metric_list = [{ metric = "exact_match" }]
"""
FEW = 2


def prompts(text, count):
    words = open(text, encoding="utf-8").read().split()
    step = max(60, (len(words) - 60) // count)
    return [" ".join(words[i * step : i * step + 60]) for i in range(count)]


def post(port, path, body):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    return json.loads(urllib.request.urlopen(request, timeout=600).read())


def server(file, o, items):
    port = 18431
    context = o.slots * 512
    command = [o.llama_server, "-m", file, "-t", str(o.t), "-np", str(o.slots), "-c", str(context), "--port", str(port), "--no-webui"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            for _ in range(600):
                try:
                    if urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).status == 200:
                        break
                except OSError:
                    time.sleep(0.1)
            body = lambda prompt: {"prompt": prompt, "n_predict": o.tokens, "temperature": 0, "ignore_eos": True, "cache_prompt": False}
            post(port, "/completion", body(items[0]))
            begun = time.monotonic()
            with concurrent.futures.ThreadPoolExecutor(o.slots) as pool:
                done = list(pool.map(lambda prompt: post(port, "/completion", body(prompt)), items))
            seconds = time.monotonic() - begun
            assert all(one["tokens_predicted"] == o.tokens for one in done)
            return len(items) / seconds
        finally:
            running.terminate()


def bantam(binary, file, o, items, folder):
    with open(os.path.join(folder, "items.jsonl"), "w", encoding="utf-8") as out:
        for text in items:
            out.write(json.dumps({"text": text, "gold": "nothing that is said"}) + "\n")
    suite = os.path.join(folder, "continue.toml")
    with open(suite, "w", encoding="utf-8") as out:
        out.write(SUITE.replace("TOKENS", str(o.tokens)))
    environment = {**os.environ, "BANTAM_HOME": os.path.join(folder, "home")}

    def timed(count):
        begun = time.monotonic()
        command = [binary, "eval", file, "-s", suite, "--limit", str(count), "--fresh", "--quiet", "--threads", str(o.t), "--items"]
        told = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert told.returncode in (0, 3), told.stderr
        return time.monotonic() - begun, told.stdout

    timed(FEW)
    few, (seconds, told) = timed(FEW)[0], timed(len(items))
    cut = sum(json.loads(line)["item"].get("cut") == "answer" for line in told.splitlines())
    assert cut >= 0.9 * len(items), f"only {cut} of {len(items)} answers are as long as asked"
    return (len(items) - FEW) / (seconds - few)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--text", required=True)
    a.add_argument("--llama-server", required=True)
    a.add_argument("--bantam", default="target/release/bantam")
    a.add_argument("-n", type=int, default=64)
    a.add_argument("-t", type=int, default=2, help="threads")
    a.add_argument("--slots", type=int, default=8)
    a.add_argument("--tokens", type=int, default=48)
    a.add_argument("--rounds", type=int, default=2)
    a.add_argument("files", nargs="+")
    o = a.parse_args()
    items = prompts(o.text, o.n)
    with tempfile.TemporaryDirectory() as folder:
        for file in o.files:
            rounds = [(server(file, o, items), bantam(o.bantam, file, o, items, folder)) for _ in range(o.rounds)]
            theirs, ours = (statistics.median(column) for column in zip(*rounds))
            print(f"{os.path.basename(file)}: llama-server {theirs:.2f} items/s, bantam {ours:.2f} ({ours / theirs:.2f})", flush=True)


if __name__ == "__main__":
    main()
