"""tests/golden/metrics: what lm-evaluation-harness, sacrebleu, rouge_score and scikit-learn say of texts and choices that this script
makes up. Scores of a corpus are shares here: sacrebleu's over 100."""

import random

from common import Making, compact

WORDS = "the a an cat Cat dog dogs sat on in mat, mat. 3.5 1,000 10-20 don't “quoted” é日本 (yes) U.S. end; &amp; A/B running".split()


def texts():
    rng = random.Random(7)
    line = lambda n: " ".join(rng.choice(WORDS) for _ in range(n))
    for i in range(60):
        right = line(rng.randint(1, 14))
        said = right.split()
        for _ in range(rng.randint(0, 6)):
            at = rng.randrange(len(said) + 1)
            said[at:at + rng.randint(0, 2)] = [rng.choice(WORDS)] * rng.randint(0, 2)
        if i % 3 == 0:
            right, said = right + "\n" + line(5), said + ["\n"] + line(4).split()
        others = [line(rng.randint(1, 9))] if i % 4 == 0 else []
        yield " ".join(said) if i != 11 else "", [right] + others


def choices():
    rng = random.Random(9)
    for _ in range(80):
        yield [round(-rng.random() * 9, 3) for _ in range(2)], [round(-rng.random() * 9, 3) for _ in range(2)], rng.randrange(2)


def make():
    import numpy as np
    import sacrebleu
    from lm_eval.api.metrics import bleu, brier_score, chrf, f1_score, matthews_corrcoef
    from lm_eval.utils import softmax
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"])
    rows = []
    for said, rights in texts():
        best = [scorer.score(right, said) for right in rights]
        rouge = {name: round(max(of[name].fmeasure for of in best), 9) for name in best[0]}
        rows.append({"said": said, "right": rights} | rouge)
    one = [(row["right"][0], row["said"]) for row in rows]
    several = [row for row in rows if len(row["right"]) == 2]
    streams = [[row["right"][k] for row in several] for k in range(2)]
    said = [row["said"] for row in several]
    corpus = {
        "bleu": bleu(one) / 100,
        "chrf": chrf(one) / 100,
        "bleu_of_two": sacrebleu.corpus_bleu(said, streams).score / 100,
        "chrf_of_two": sacrebleu.corpus_chrf(said, streams).score / 100,
    }
    asked = [{"asked": a, "alone": b, "gold": gold} for a, b, gold in choices()]
    gold, taken = [row["gold"] for row in asked], [int(np.argmax(row["asked"])) for row in asked]
    gains = [int(np.argmax(np.array(row["asked"]) - np.array(row["alone"]))) for row in asked]
    share = lambda row: float(np.exp(row["asked"][row["gold"]]) / np.exp(row["asked"]).sum())
    of_choices = {
        "f1": float(f1_score(list(zip(gold, taken)))),
        "mcc": float(matthews_corrcoef(list(zip(gold, taken)))),
        "brier_score": float(brier_score([(row["gold"], softmax(np.array(row["asked"]))) for row in asked])),
        "mc2": float(np.mean([share(row) for row in asked])),
        "acc_mutual_info": float(np.mean([a == b for a, b in zip(gains, gold)])),
    }
    lines = lambda rows: "[\n" + ",\n".join(compact(row, ensure_ascii=False) for row in rows) + "\n]"
    return (
        f'{{"texts": {lines(rows)},\n"corpus": {compact(corpus)},\n"choices": {lines(asked)},\n"of_choices": {compact(of_choices)}}}\n'
    )


if __name__ == "__main__":
    making = Making()
    if making.wanted("metrics"):
        making.text("metrics/metrics.json", make())
    making.end()
