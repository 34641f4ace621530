"""tests/golden/tokenizer: ids and texts by transformers, and cuts of 4,000 strings by Oniguruma (Python's tokenizers)."""

import hashlib
import json
import re

from common import GOLDEN, ROOT, Making, compact, read_json


def folder(name):
    own = GOLDEN / "tokenizer" / name
    return own if own.is_dir() else GOLDEN / "model" / name


def case(tokenizer, text):
    ids = tokenizer(text)["input_ids"]
    plain = tokenizer(text, add_special_tokens=False)["input_ids"]
    # where the tokens of the text itself begin among all
    begin = next(i for i in range(len(ids) - len(plain) + 1) if ids[i : i + len(plain)] == plain)
    decode = lambda skip: tokenizer.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=False)
    return {"ids": ids, "plain": [begin, begin + len(plain)], "decoded": decode(False), "skip": decode(True)}


def expected(making):
    from transformers import AutoTokenizer

    old = read_json("tokenizer/expected.json")
    texts, rows = old["texts"], []
    for name in old["models"]:
        if making.wanted(name):
            tokenizer = AutoTokenizer.from_pretrained(folder(name))
            old["models"][name] = [case(tokenizer, text) for text in texts]
        rows.append(f'"{name}":{compact(old["models"][name], ensure_ascii=False)}')
    text = '{"texts":' + json.dumps(texts) + ',\n"models":{\n' + ",\n".join(rows) + "}}"
    making.text("tokenizer/expected.json", text)


# the same generator as in crates/model/src/tests/cuts.rs, whose tables are read from there
class Dice:
    def __init__(self, state):
        self.state = state

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % n


def strings():
    source = (ROOT / "crates/model/src/tests/cuts.rs").read_text(encoding="utf-8")
    table = source.split("static RANGES")[1].split("];")[0]
    ranges = [(int(a, 16), int(b, 16)) for a, b in re.findall(r"\((0x\w+), (0x\w+)\)", table)]
    quoted = re.findall(r'"((?:[^"\\]|\\.)*)"', source.split("static WORDS")[1].split("];")[0])
    unescape = lambda m: chr(int(m[1], 16)) if m[1] else {"n": "\n", "r": "\r", "t": "\t"}[m[2]]
    words = [re.sub(r"\\u\{(\w+)\}|\\([nrt])", unescape, word) for word in quoted]
    dice = Dice(20261121)

    def part():
        if dice.below(6) == 0:
            return words[dice.below(len(words))]
        low, high = ranges[dice.below(len(ranges))]
        return chr(low + dice.below(high - low + 1))

    return ["".join(part() for _ in range(1 + dice.below(40))) for _ in range(4000)]


def patterns():
    source = (ROOT / "crates/model/src/tokenizer/splitters.rs").read_text(encoding="utf-8")
    found = re.findall(r'(?:pub )?const (\w+): &str =\s*r(#*)"(.*?)"\2;', source, re.S)
    return {name: pattern for name, _, pattern in found}


def cuts(making):
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import Split

    texts, made = strings(), {}
    for name, pattern in patterns().items():
        split, made[name] = Split(Regex(pattern), "isolated"), []
        for block in range(0, len(texts), 500):
            digest = hashlib.sha256()
            for text in texts[block : block + 500]:
                ends = [str(end) for _, (_, end) in split.pre_tokenize_str(text)]
                digest.update((",".join(ends) + "\n").encode())
            made[name].append(digest.hexdigest()[:16])
    old = read_json("tokenizer/cuts.json")
    making.text("tokenizer/cuts.json", json.dumps({name: made[name] for name in old}, indent=0))


if __name__ == "__main__":
    making = Making()
    expected(making)
    cuts(making)
    making.end()
