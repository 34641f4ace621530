"""tests/golden/encoder/NAME: last states, poolings and class scores of tiny encoders by transformers (f32, eager attention), and
their tokens. The texts are those of crates/model/src/encoder/tests.rs: four in one padded batch, and a pair."""

import json

from common import GOLDEN, Making, floats, read_json

TEXTS = [
    "The cat is on the one.",
    "Hello, world! déjà vu",
    "it",
    "the of and a to in is it was for on are as with his they at be this",
]
PAIR = ("the cat", "is on the one")


def load(folder):
    import torch
    from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification

    named = (AutoConfig.from_pretrained(folder).architectures or ["Model"])[0]
    kinds = {"Classification": AutoModelForSequenceClassification, "MaskedLM": AutoModelForMaskedLM}
    kind = next((kinds[k] for k in kinds if k in named), AutoModel)
    return kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def states(model, batch):
    """Of one padded batch: for each text its ids, its last states without padding, the pooler's and the head's rows."""
    import torch

    base = model.base_model
    with torch.no_grad():
        out = base(**batch)
        logits = model(**batch).logits if model is not base else None
    classifies, pooled = "Classification" in type(model).__name__, getattr(out, "pooler_output", None)
    for i, mask in enumerate(batch["attention_mask"].bool()):
        rows = {"input_ids": batch["input_ids"][i][mask], "last_hidden": out.last_hidden_state[i][mask]}
        if pooled is not None:
            rows["pooler_output"] = pooled[i]
        if logits is not None:
            # of each class, or of each token
            rows["logits"] = logits[i] if classifies else logits[i][mask]
        yield rows


def one(making, name):
    import numpy as np
    from transformers import AutoTokenizer

    folder = GOLDEN / "encoder" / name
    tokenizer, model = AutoTokenizer.from_pretrained(folder), load(folder)
    there, tensors = set(floats(f"encoder/{name}/expected.safetensors")), {}
    # the second text of a pair is told apart where the model has types of tokens
    how = {"return_tensors": "pt", "return_token_type_ids": getattr(model.config, "type_vocab_size", 1) > 1}
    batches = [tokenizer(TEXTS, padding=True, **how), tokenizer(*PAIR, **how)]
    for i, rows in enumerate(rows for batch in batches for rows in states(model, batch)):
        last = rows["last_hidden"].numpy()
        mean = last.mean(axis=0)
        rows = {key: value.numpy() for key, value in rows.items()}
        rows["input_ids"] = rows["input_ids"].astype(np.uint32)
        rows |= {"cls": last[0], "mean_pool": mean, "mean_pool_norm": mean / np.sqrt((mean * mean).sum())}
        tensors |= {f"{key}.{i}": value for key, value in rows.items() if f"{key}.{i}" in there}
    making.tensors(f"encoder/{name}/expected.safetensors", tensors)
    if (folder / "tokens.json").is_file():
        texts = [case["text"] for case in read_json(folder / "tokens.json")]
        tokens = [{"text": text, "ids": tokenizer(text)["input_ids"]} for text in texts]
        making.text(f"encoder/{name}/tokens.json", json.dumps(tokens))


if __name__ == "__main__":
    making = Making()
    for folder in sorted((GOLDEN / "encoder").iterdir()):
        if folder.is_dir() and making.wanted(folder.name):
            one(making, folder.name)
    making.end()
