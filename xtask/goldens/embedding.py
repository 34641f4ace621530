"""tests/golden/embedding/expected.json: the scores of embedding.toml and head.toml on three of the tiny checkpoints, by transformers
(embeddings, head, likelihoods), scikit-learn and scipy (scores)."""

import json

import numpy as np
from common import GOLDEN, Making, read_json

CLASSES = ["sea", "kitchen", "sky"]
# which of the head's classes means which of ours: head.toml's head_labels ["label_2", 0, "LABEL_1"]
HEAD = [2, 0, 1]
LONGEST = 64


def rows(name):
    return [json.loads(line) for line in (GOLDEN / "embedding" / f"{name}.jsonl").read_text().splitlines()]


class Embedder:
    """Mean over the last states; `minilm` is cut at 64 tokens."""

    def __init__(self, folder, cut):
        import torch
        from transformers import AutoModel, AutoTokenizer

        self.tokenizer, self.cut = AutoTokenizer.from_pretrained(folder), cut
        self.model = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()

    def __call__(self, texts):
        import torch

        made = []
        for text in texts:
            ids = self.tokenizer(text, truncation=self.cut is not None, max_length=self.cut)["input_ids"]
            with torch.no_grad():
                states = self.model(input_ids=torch.tensor([ids])).last_hidden_state[0]
            made.append(states.double().mean(dim=0).numpy())
        return np.array(made)


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def cosine(a, b):
    return unit(a) @ unit(b).T


def sts(embed):
    from scipy.stats import pearsonr, spearmanr

    pairs = rows("sts")
    one, other = embed([p["sentence1"] for p in pairs]), embed([p["sentence2"] for p in pairs])
    near = np.array([1.0 if p["sentence1"] == p["sentence2"] else cosine(a, b) for p, a, b in zip(pairs, one, other)])
    scores = [p["score"] for p in pairs]
    return {"spearman": spearmanr(near, scores).statistic, "pearson": pearsonr(near, scores).statistic}


def search(embed):
    from sklearn.metrics import ndcg_score

    queries, corpus, qrels = rows("queries"), rows("corpus"), rows("qrels")
    near = cosine(embed([q["text"] for q in queries]), embed([(d["title"] + " " + d["text"]).strip() for d in corpus]))
    ndcg, recall = [], {1: [], 10: []}
    for query, scores in zip(queries, near):
        right = {r["corpus-id"]: r["score"] for r in qrels if r["query-id"] == query["_id"] and r["score"] > 0}
        keep = [i for i, d in enumerate(corpus) if d["_id"] != query["_id"]]
        if not right:
            continue  # the query that no document answers is left out
        truth = np.array([right.get(corpus[i]["_id"], 0) for i in keep])
        ndcg.append(ndcg_score([truth], [scores[keep]], k=10))
        order = np.argsort(-scores[keep], kind="stable")
        for k, of in recall.items():
            of.append((truth[order[:k]] > 0).sum() / len(right))
    return {"ndcg_at_10": np.mean(ndcg), "recall_at_1": np.mean(recall[1]), "recall_at_10": np.mean(recall[10])}


def scored(truth, said, names):
    from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

    made = {
        "acc": accuracy_score(truth, said),
        "macro_f1": f1_score(truth, said, average="macro"),
        "mcc": matthews_corrcoef(truth, said),
    }
    return {name: made[name] for name in names}


def learnt(embed, classifier, names):
    train, test = rows("train"), rows("test")
    # of length 1, as sentence-transformers hands them out
    vectors = lambda of: unit(embed([r["text"] for r in of]))
    classifier.fit(vectors(train), [r["topic"] for r in train])
    said = classifier.predict(vectors(test))
    return scored([r["topic"] for r in test], said, names)


def head(folder, names):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    test, said = rows("test"), []
    for row in test:
        with torch.no_grad():
            logits = model(**tokenizer(row["text"], return_tensors="pt")).logits[0]
        said.append(CLASSES[int(np.argmax(logits.numpy()[HEAD]))])
    return scored([r["topic"] for r in test], said, names)


def likelihood(folder, names):
    """Without a head: which class's name is likeliest after the prompt."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()

    def loglikelihood(context, continuation):
        whole, before = tokenizer(context + continuation)["input_ids"], len(tokenizer(context)["input_ids"])
        with torch.no_grad():
            logprobs = model(input_ids=torch.tensor([whole])).logits[0].log_softmax(-1)
        return sum(float(logprobs[i - 1, whole[i]]) for i in range(before, len(whole)))

    test, said = rows("test"), []
    for row in test:
        asked = [loglikelihood(f"Text: {row['text']}\nTopic:", f" {name}") for name in CLASSES]
        said.append(CLASSES[int(np.argmax(asked))])
    return scored([r["topic"] for r in test], said, names)


def one(folder, cut, old):
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    embed = Embedder(folder, cut)
    tasks = {
        "sts": lambda names: sts(embed),
        "search": lambda names: search(embed),
        "topic_probe": lambda names: learnt(embed, LogisticRegression(tol=1e-10, max_iter=10000), names),
        "topic_knn": lambda names: learnt(embed, KNeighborsClassifier(3, metric="cosine"), names),
        "topic_head": lambda names: (head if "encoder" in str(folder) else likelihood)(folder, names),
    }
    made = {task: tasks[task](list(old[task])) for task in old}
    return {task: {name: float(made[task][name]) for name in old[task]} for task in old}


if __name__ == "__main__":
    making, old = Making(), read_json("embedding/expected.json")
    folders = {"minilm": ("encoder/minilm", LONGEST), "llama": ("model/llama", None), "bert_cls": ("encoder/bert_cls", None)}
    made = {name: one(GOLDEN / folders[name][0], folders[name][1], old[name]) for name in old}
    making.text("embedding/expected.json", json.dumps(made, indent=1))
    making.end()
