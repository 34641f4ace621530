"""tests/golden/lmeval_yaml: what lm-evaluation-harness 0.4.13 asks, is answered and scores on a tiny model, of the task files of that
folder as they are. The functions that two of them name are those of the installed lm_eval; they are not kept here."""

import shutil
import tempfile
from pathlib import Path

from common import GOLDEN, Making
from lmeval import compact, item

FOLDER = GOLDEN / "lmeval_yaml"
NAMES = ["all", "itself", "endings", "say", "pages", "last"]
FUNCTIONS = ["hellaswag/utils.py", "wikitext/preprocess_wikitext.py"]


def folder_of_tasks(folder):
    """The task files, with their data found from anywhere, and the functions beside them."""
    import lm_eval

    own = Path(lm_eval.__file__).parent / "tasks"
    for file in FOLDER.rglob("*"):
        if file.is_file() and file.suffix in (".yaml", "") or file.name.endswith("_yaml"):
            made = folder / file.relative_to(FOLDER)
            made.parent.mkdir(parents=True, exist_ok=True)
            text = file.read_text()
            for data in FOLDER.iterdir():
                if data.suffix in (".jsonl", ".csv"):
                    text = text.replace(f" ../{data.name}", f" {data}").replace(f" {data.name}", f" {data}")
            made.write_text(text)
    for name in FUNCTIONS:
        shutil.copy(own / name, folder / name)


def run():
    import lm_eval
    from lm_eval.tasks import TaskManager

    with tempfile.TemporaryDirectory() as folder:
        folder_of_tasks(Path(folder))
        return lm_eval.simple_evaluate(
            model="hf",
            model_args={"pretrained": str(GOLDEN / "model" / "llama"), "dtype": "float32"},
            tasks=NAMES,
            task_manager=TaskManager(include_path=folder, include_defaults=False),
            batch_size=1,
            device="cpu",
            log_samples=True,
        )


def tasks(results):
    for task, samples in sorted(results["samples"].items()):
        kind, own = results["configs"][task]["output_type"], results["results"][task]
        keys = [key for key in own if "," in key and "_stderr," not in key]
        filters = sorted({key.split(",")[1] for key in keys}, reverse=True)
        for filter in filters:
            metrics = [key.split(",")[0] for key in keys if key.endswith(f",{filter}")]
            of = sorted((s for s in samples if s["filter"] == filter), key=lambda s: s["doc_id"])
            key = task if len(filters) == 1 else f"{task}:{filter}"
            yield key, {m: own[f"{m},{filter}"] for m in metrics}, [item(kind, s, metrics) for s in of]


def text(results):
    made = [
        f'"{key}": {{"scores": {compact(scores)}, "items": [\n' + ",\n".join(compact(i) for i in items) + "\n]}"
        for key, scores, items in tasks(results)
    ]
    return "{\n" + ",\n".join(made) + "\n}\n"


def groups(results):
    kept = {name: {k: v for k, v in group.items() if "," in k} for name, group in sorted(results["groups"].items())}
    return "{\n" + ",\n".join(f'"{name}": {compact(group)}' for name, group in kept.items()) + "\n}\n"


if __name__ == "__main__":
    making = Making()
    results = run()
    making.text("lmeval_yaml/llama.json", text(results))
    making.text("lmeval_yaml/groups.json", groups(results))
    making.end()
