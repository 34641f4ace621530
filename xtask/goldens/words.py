"""tests/golden/metrics/words.json: what sacrebleu says of edits and shifts (TER), and what rouge_score says of words without their
endings (NLTK's Porter stemmer), of texts that this script makes up."""

import random

from common import Making, compact

WORDS = "the a cat dogs sat on in mat , . running runs relational hopefully happiness skies dying 3.5 Don't É end; generously".split()
ENDINGS = (
    "ational tional enci anci izer bli alli entli eli ousli ization ation ator alism iveness fulness ousness aliti iviti biliti "
    "fulli logi icate ative alize iciti ical ful ness al ance ence er ic able ible ant ement ment ent sion tion ou ism ate iti "
    "ous ive ize s sses ies ss eed ed ing ated bled ized y ies ied ll e ying"
).split()
STEMS = "a y tr hop fall rel adopt happi geo contr cond oper ag str ye bl sens d t ski l news rate fil hiss fizz mm control".split()


def texts():
    """Answers and right ones: with words changed, runs of them moved, long ones and empty ones."""
    rng = random.Random(17)
    line = lambda n: [rng.choice(WORDS) for _ in range(n)]
    for i in range(120):
        right = line(rng.randint(1, 12) if i % 5 else rng.randint(25, 60))
        said = list(right)
        for _ in range(rng.randint(0, 4)):
            length = rng.randint(1, 6)
            at = rng.randrange(max(1, len(said) - length + 1))
            run, said = said[at : at + length], said[:at] + said[at + length :]
            to = rng.randrange(len(said) + 1)
            said[to:to] = run
        for _ in range(rng.randint(0, 4)):
            at = rng.randrange(len(said) + 1)
            said[at : at + rng.randint(0, 2)] = line(rng.randint(0, 2))
        others = [" ".join(line(rng.randint(1, 12)))] if i % 4 == 0 else []
        yield " ".join(said) if i != 11 else "", [" ".join(right)] + others
    # all words alike, so that more shifts can be tried than are
    yield "a b " * 40, ["b a " * 40]
    # lengths so unlike that the band is wider
    yield "a b", [" ".join(f"w{i}" for i in range(130)) + " a b"]
    yield " ".join(f"w{i}" for i in range(130)) + " a b", ["a b"]
    yield " ".join(str(i) for i in range(70)), [" ".join(str(i) for i in list(range(60, 70)) + list(range(60)))]


def make():
    import nltk.stem.porter
    import sacrebleu
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rouge1", "rouge2", "rougeL", "rougeLsum"], use_stemmer=True)
    rows = []
    for said, rights in texts():
        of = [scorer.score(right, said) for right in rights]
        rouge = {name: round(max(one[name].fmeasure for one in of), 9) for name in of[0]}
        ter = sacrebleu.corpus_ter([said], [[right] for right in rights])
        rows.append({"said": said, "right": rights, "edits": ter.num_edits, "length": ter.ref_length} | rouge)
    corpus = sacrebleu.corpus_ter([row["said"] for row in rows], [[row["right"][0] for row in rows]]).score / 100
    stemmer = nltk.stem.porter.PorterStemmer()
    words = sorted({stem + ending for stem in STEMS for ending in ENDINGS + [""]})
    stems = {word: stemmer.stem(word) for word in words}
    lines = "[\n" + ",\n".join(compact(row, ensure_ascii=False) for row in rows) + "\n]"
    return f'{{"texts": {lines},\n"ter": {corpus!r},\n"stems": {compact(stems)}}}\n'


if __name__ == "__main__":
    making = Making()
    if making.wanted("words"):
        making.text("metrics/words.json", make())
    making.end()
