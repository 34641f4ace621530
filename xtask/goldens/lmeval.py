"""tests/golden/lmeval: what lm-evaluation-harness 0.4.13 asks, is answered and scores on two tiny models. The tasks are those of
lmeval.toml and chat.toml, which are in its words: read from there, written as the YAML that it reads, run, and cut to what the
tests read."""

import hashlib
import os
import tempfile
import tomllib
from pathlib import Path

from common import GOLDEN, Making, compact, read_json

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
FOLDER = GOLDEN / "lmeval"
RUNS = {"llama": ("llama", {}), "llama_128": ("llama", {"max_length": 128}), "llama_spm": ("llama_spm", {})}
# the ways in which the first items of the tasks of chat.toml are asked
SYSTEM = {"system_instruction": "Be brief."}
ITEMS = 8
WAYS = {
    "plain": SYSTEM | {"fewshot_as_multiturn": False},
    "turns": {"apply_chat_template": True, "fewshot_as_multiturn": True},
    "turns_system": SYSTEM | {"apply_chat_template": True, "fewshot_as_multiturn": True},
    "one_turn": SYSTEM | {"apply_chat_template": True, "fewshot_as_multiturn": False},
}
# choices that are contexts are made by functions in YAML
WINO = '''
def doc_to_text(doc):
    return int(doc["answer"]) - 1
def doc_to_target(doc):
    return doc["sentence"].split("_", 1)[1].strip()
def doc_to_choice(doc):
    return [doc["sentence"].split("_", 1)[0] + doc[option] for option in ("option1", "option2")]
'''


def tasks(folder, suite):
    """Each task of a suite as a file of lm-eval's, in order."""
    import yaml

    (folder / "wino.py").write_text(WINO)
    for task in tomllib.loads((FOLDER / suite).read_text())["task"]:
        files = {"test": str(FOLDER / task.pop("data"))}
        made = {"dataset_path": "json", "test_split": "test", "num_fewshot": 0} | task
        if "fewshot_data" in made:
            files["train"] = str(FOLDER / made.pop("fewshot_data"))
            made["fewshot_split"] = "train"
        elif made["num_fewshot"]:
            made["fewshot_split"] = "test"
        made["dataset_kwargs"] = {"data_files": files}
        text = yaml.safe_dump(made, sort_keys=False, allow_unicode=True)
        if made["task"] == "orc_wino":
            keys = ("doc_to_text", "doc_to_choice", "doc_to_target")
            kept = {k: v for k, v in made.items() if k not in keys}
            text = yaml.safe_dump(kept) + "".join(f"{key}: !function wino.{key}\n" for key in keys)
        (folder / f"{made['task']}.yaml").write_text(text)
        yield made["task"]


def asked(kind, sample):
    """The first 16 digits of the SHA-256 of all that was asked, each text ended by U+001F."""
    args = [list(a.values()) if isinstance(a, dict) else list(a) for a in arguments(sample)]
    texts = [a[0] for a in args] if kind in ("generate_until", "loglikelihood_rolling") else [t for a in args for t in a[:2]]
    return hashlib.sha256("".join(f"{t}\x1f" for t in texts).encode()).hexdigest()[:16]


def arguments(sample):
    given = sample["arguments"]
    return list(given.values()) if isinstance(given, dict) else given


def item(kind, sample, metrics):
    made = {"asked": asked(kind, sample)}
    replies = [reply[0] for reply in sample["resps"]]
    if kind == "generate_until":
        made |= {"text": replies[0], "answer": sample["filtered_resps"][0]}
    elif kind == "loglikelihood_rolling":
        made["logprobs"] = [round(float(r[0] if isinstance(r, (tuple, list)) else r), 5) for r in replies]
    else:
        made["logprobs"] = [round(float(r[0]), 5) for r in replies]
        greedy = [i for i, r in enumerate(replies) if str(r[1]) == "True"]
        if greedy:
            made["greedy"] = greedy
    # of perplexities an item's value is its log-likelihood: the weight is what counts
    weight = lambda value: value[1] if isinstance(value, (tuple, list)) else value
    made["scores"] = {m: weight(sample[m]) for m in metrics if m in sample and m != "perplexity"}
    return made


def run(name, suite="lmeval.toml", **more_of_it):
    import lm_eval
    from lm_eval.tasks import TaskManager

    model, more = RUNS[name]
    with tempfile.TemporaryDirectory() as folder:
        names = list(tasks(Path(folder), suite))
        results = lm_eval.simple_evaluate(
            model="hf",
            model_args={"pretrained": str(GOLDEN / "model" / model), "dtype": "float32"} | more,
            tasks=names,
            task_manager=TaskManager(include_path=folder, include_defaults=False),
            batch_size=1,
            device="cpu",
            bootstrap_iters=0,
            log_samples=True,
            **more_of_it,
        )
    made = {}
    for task in names:
        kind, own = results["configs"][task]["output_type"], results["results"][task]
        filters = sorted({s["filter"] for s in results["samples"][task]}, reverse=True)
        metrics = [m["metric"] for m in results["configs"][task]["metric_list"]]
        for filter in filters:
            samples = [s for s in results["samples"][task] if s["filter"] == filter]
            samples.sort(key=lambda s: s["doc_id"])
            key = task if len(filters) == 1 else f"{task}:{filter}"
            scores = {m: own[f"{m},{filter}"] for m in metrics}
            made[key] = (scores, [item(kind, s, metrics) for s in samples])
    return made


def text(made):
    task = lambda key, scores, items: (
        f'"{key}": {{"scores": {compact(scores)}, "items": [\n' + ",\n".join(compact(i) for i in items) + "\n]}"
    )
    return "{\n" + ",\n".join(task(key, *of) for key, of in sorted(made.items())) + "\n}\n"


if __name__ == "__main__":
    making = Making()
    for name in RUNS:
        if making.wanted(name):
            made, kept = run(name), read_json(f"lmeval/{name}.json")
            making.text(f"lmeval/{name}.json", text({task: made[task] for task in made if task in kept}))
    if making.wanted("chat"):
        ways = {way: run("llama", "chat.toml", limit=ITEMS, **how) for way, how in WAYS.items()}
        making.text("lmeval/chat.json", text({f"{task}@{way}": made[task] for way, made in ways.items() for task in made}))
    making.end()
