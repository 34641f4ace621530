#!/usr/bin/env python3
"""Asks the same tasks of the same weights with lm-evaluation-harness (hf backend, f32, CPU) and with bantam, and compares item by item.

    benches/harness.py --data DIR --model FOLDER [--bantam PATH] [-n 20] [--shots 0,5] [--chat] [--tasks a,b] [--threads 2]

DIR holds gsm8k_test.jsonl, gsm8k_train_400.jsonl, truthfulqa.csv, banking77_train.csv, banking77_test.csv and wiki2_valid.txt. The model is a folder of
safetensors with its tokenizer (`bantam export FILE --format safetensors` makes one of a GGUF file). Task files are made in
lm-evaluation-harness's own form and read by both; those that its package has (gsm8k, truthfulqa) are included from there.
Told are, for each task: the largest difference of a log-likelihood, choices that differ with the smallest margin between the two,
texts that differ, both aggregates, and items a second of each with what loading takes left out.
"""
import argparse
import csv
import json
import os
import random
import subprocess
import tempfile
import time
from pathlib import Path


def lines(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def make(folder, data, count):
    """The data and the task files."""
    import lm_eval

    own = Path(lm_eval.__file__).parent / "tasks"
    rng = random.Random(7)
    gsm8k = [json.loads(line) for line in (data / "gsm8k_test.jsonl").read_text().splitlines()]
    lines(folder / "gsm8k.jsonl", gsm8k[:count])
    lines(folder / "gsm8k_train.jsonl", [json.loads(line) for line in (data / "gsm8k_train_400.jsonl").read_text().splitlines()])
    with open(data / "truthfulqa.csv", newline="") as file:
        truthful = list(csv.DictReader(file))
    split = lambda text: [part.strip() for part in text.split(";") if part.strip()]
    rows, letters = [], []
    for row in truthful[: count + 5]:
        right, wrong = split(row["Correct Answers"]), split(row["Incorrect Answers"])
        rows.append({"question": row["Question"],
                     "mc1_targets": {"choices": [row["Best Answer"], *wrong], "labels": [1] + [0] * len(wrong)},
                     "mc2_targets": {"choices": right + wrong, "labels": [1] * len(right) + [0] * len(wrong)}})
        options = rng.sample([row["Best Answer"], *(wrong * 3)[:3]], 4)
        letters.append({"question": row["Question"], "choices": options, "answer": options.index(row["Best Answer"]), "subject": "misconceptions"})
    lines(folder / "truthful.jsonl", rows[:count])
    lines(folder / "mmlu.jsonl", letters[5:])
    lines(folder / "mmlu_dev.jsonl", letters[:5])
    read = lambda name: list(csv.DictReader(open(data / name, newline="")))
    train, test = read("banking77_train.csv"), read("banking77_test.csv")
    rng.shuffle(train), rng.shuffle(test)
    intents = sorted({row["category"] for row in train})
    lines(folder / "banking.jsonl", test[: max(count // 2, 5)])
    lines(folder / "banking_train.jsonl", train[:200])
    text = (data / "wiki2_valid.txt").read_text()
    pieces = [piece.strip() for piece in text.split("\n") if len(piece.split()) > 60]
    lines(folder / "pages.jsonl", [{"page": piece} for piece in pieces[: max(count // 2, 5)]])
    lines(folder / "words.jsonl", [{"text": " ".join(piece.split()[:50])} for piece in pieces[:count]])

    files = lambda **splits: {"data_files": {name: str(folder / file) for name, file in splits.items()}}
    local = lambda **splits: {"dataset_path": "json", "dataset_name": None, "dataset_kwargs": files(**splits)}
    tasks = {
        "b_gsm8k": {"include": str(own / "gsm8k/gsm8k.yaml"), "num_fewshot": None,
                    "generation_kwargs": {"until": ["Question:", "</s>", "<|im_end|>"], "do_sample": False, "max_gen_toks": 96},
                    **local(test="gsm8k.jsonl", train="gsm8k_train.jsonl")},
        "b_mc1": {"include": str(own / "truthfulqa/truthfulqa_mc1.yaml"), "num_fewshot": None, **local(validation="truthful.jsonl")},
        "b_mc2": {"include": str(own / "truthfulqa/truthfulqa_mc2.yaml"), "num_fewshot": None, **local(validation="truthful.jsonl")},
        "b_banking": {"output_type": "multiple_choice", "test_split": "test", "fewshot_split": "train",
                      "doc_to_text": "Customer: {{text}}\nTopic:", "doc_to_target": "{{category}}", "doc_to_choice": intents,
                      "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}], **local(test="banking.jsonl", train="banking_train.jsonl")},
        "b_mmlu": {"output_type": "multiple_choice", "test_split": "test", "fewshot_split": "dev", "fewshot_config": {"sampler": "first_n"},
                   "description": "The following are multiple choice questions (with answers) about misconceptions.\n\n",
                   "doc_to_text": "{{question.strip()}}\nA. {{choices[0]}}\nB. {{choices[1]}}\nC. {{choices[2]}}\nD. {{choices[3]}}\nAnswer:",
                   "doc_to_choice": ["A", "B", "C", "D"], "doc_to_target": "answer",
                   "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
                   **local(test="mmlu.jsonl", dev="mmlu_dev.jsonl")},
        "b_wikitext": {"output_type": "loglikelihood_rolling", "test_split": "test", "doc_to_text": "", "doc_to_target": "{{page}}",
                       "metric_list": [{"metric": "word_perplexity"}, {"metric": "byte_perplexity"}, {"metric": "bits_per_byte"}],
                       **local(test="pages.jsonl")},
        "b_lambada": {"output_type": "loglikelihood", "test_split": "test", "doc_to_text": "{{text.split(' ')[:-1]|join(' ')}}",
                      "doc_to_target": "{{' '+text.split(' ')[-1]}}",
                      "metric_list": [{"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False},
                                      {"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
                      **local(test="words.jsonl")},
    }
    import yaml

    utils = own / "truthfulqa/utils.py"
    (folder / "utils.py").write_text(utils.read_text())
    for name, task in tasks.items():
        keys = {key: value for key, value in {"task": name, **task}.items() if value is not None or key == "dataset_name"}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(keys, sort_keys=False, allow_unicode=True))
    return list(tasks)


def harness(lm, name, shots, chat, folder):
    import lm_eval
    from lm_eval.tasks import TaskManager

    begun = time.time()
    found = lm_eval.simple_evaluate(model=lm, tasks=[name], num_fewshot=shots, apply_chat_template=chat, fewshot_as_multiturn=chat, log_samples=True,
                                    bootstrap_iters=0, task_manager=TaskManager(include_path=str(folder), include_defaults=False))
    return found, time.time() - begun


def bantam(args, name, shots, chat, folder, home, limit=None):
    command = [args.bantam, "eval", args.model, "--tasks", name, "--include-path", str(folder), "--num-fewshot", str(shots), "--items", "--threads", str(args.threads)]
    command += ["--apply-chat-template"] * chat + (["--limit", str(limit)] if limit else [])
    begun = time.time()
    out = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "BANTAM_HOME": str(home)})
    if out.returncode not in (0, 3, 4):
        raise SystemExit(f"{' '.join(command)}: {out.returncode}\n{out.stderr}")
    return [json.loads(line) for line in out.stdout.splitlines()], time.time() - begun


def compare(samples, items):
    """The largest difference of a log-likelihood, choices that differ and how near the two were, texts that differ."""
    differences, choices, texts, nearest = [0.0], 0, 0, None
    theirs = {}
    for sample in samples:
        theirs.setdefault(sample["doc_id"], sample)
    for line in items:
        item = line["item"]
        sample = theirs[item["index"]]
        if "logprobs" in item and item["logprobs"]:
            said = [response[0] if isinstance(response, (list, tuple)) else response for response in sample["filtered_resps"]]
            said = [float(one) for one in said]
            differences += [abs(a - b) for a, b in zip(said, item["logprobs"])]
            best = max(range(len(said)), key=lambda i: said[i])
            if "choice" in item and item["choice"] != best:
                margin = said[best] - said[item["choice"]]
                choices, nearest = choices + 1, margin if nearest is None else min(nearest, margin)
        elif "answer" in item and line["task"].endswith("strict-match"):
            texts += item["answer"] != next(s for s in samples if s["doc_id"] == item["index"] and s["filter"] == "strict-match")["filtered_resps"][0]
    return max(differences), choices, nearest, texts


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--bantam", default="target/release/bantam")
    parser.add_argument("-n", type=int, default=20)
    parser.add_argument("--shots", default="0,5")
    parser.add_argument("--chat", action="store_true")
    parser.add_argument("--tasks")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    import torch
    from lm_eval.models.huggingface import HFLM

    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        names = make(folder, args.data, args.n)
        lm = HFLM(pretrained=args.model, device="cpu", dtype="float32", batch_size=8)
        for name in args.tasks.split(",") if args.tasks else names:
            for shots in [int(shots) for shots in args.shots.split(",")]:
                if shots and name in ("b_wikitext", "b_lambada", "b_mc1", "b_mc2"):
                    continue
                for chat in [False, True] if args.chat and name != "b_wikitext" else [False]:
                    found, theirs = harness(lm, name, shots, chat, folder)
                    with tempfile.TemporaryDirectory() as home:
                        items, ours = bantam(args, name, shots, chat, folder, home)
                    with tempfile.TemporaryDirectory() as home:
                        _, loading = bantam(args, name, shots, chat, folder, home, limit=1)
                    samples = found["samples"][name]
                    asked = len({sample["doc_id"] for sample in samples})
                    difference, choices, nearest, texts = compare(samples, items)
                    scores = {key: value for key, value in found["results"][name].items() if "," in key and "stderr" not in key}
                    means = {}
                    for line in items:
                        for score in line["item"]["scores"]:
                            if score.get("value") is not None:
                                means.setdefault((line["task"].partition(":")[2] or "none", score["metric"]), []).append(score["value"])
                    means = {f"{metric},{pipeline}": sum(all) / len(all) for (pipeline, metric), all in means.items()}
                    rate = (asked - 1) / max(ours - loading, 1e-3)
                    print(f"{name} {shots}-shot{' chat' if chat else ''}: {asked} items; log-likelihoods differ by {difference:.2g} at most, "
                          f"{choices} choices{'' if nearest is None else f' (margin {nearest:.2g})'}, {texts} answers; "
                          f"lm-eval {scores}, bantam {means}; items/s {asked / theirs:.2f} and {rate:.2f}: {rate * theirs / asked:.1f}x", flush=True)


if __name__ == "__main__":
    main()
