"""tests/golden/metrics/bbq.json: what lm-evaluation-harness's BBQ makes of likelihoods that this script makes up: which choice is taken,
and the scores of all lines and of each category."""

import importlib.util
import random
import sys

from common import Making, compact

UNKNOWN = ["Unknown", "Cannot answer", "Can't be determined", "Not known", "Not enough info", "Undetermined"]
GROUPS = {"Age": ("old", "nonOld"), "SES": ("lowSES", "highSES"), "Religion": ("Muslim", "Hindu")}


def docs():
    rng = random.Random(31)
    for i in range(96):
        category = ["Age", "SES", "Religion"][i % 3]
        one, other = rng.sample(GROUPS[category], 2)
        condition = "ambig" if i % 2 else "disambig"
        # Religion: no answer is the stereotyped one
        yield {
            "context": f"Two met, {i}.", "question": "Who?", "ans0": f"The {one} one", "ans1": f"The {other} one", "ans2": rng.choice(UNKNOWN),
            "answer_info": {"ans0": [one, one], "ans1": [other, other], "ans2": ["unknown", "unknown"]},
            "additional_metadata": {"stereotyped_groups": [GROUPS[category][0]]}, "question_polarity": rng.choice(["neg", "nonneg"]),
            "context_condition": condition, "category": category, "label": 2 if condition == "ambig" else rng.randrange(2),
        }


def make():
    place = importlib.util.find_spec("lm_eval").submodule_search_locations[0]
    sys.modules.setdefault("datasets", type(sys)("datasets"))
    sys.modules["datasets"].Dataset = object
    spec = importlib.util.spec_from_file_location("utils", f"{place}/tasks/bbq/utils.py")
    utils = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(utils)

    class Lines(list):
        def map(self, make):
            return [make(dict(line)) for line in self]

    lines = list(docs())
    rng = random.Random(37)
    rows, kept, written = [], {}, {}
    for line, made in zip(lines, utils.process_docs(Lines(lines))):
        lls = [round(-rng.random() * 9, 3) for _ in utils.doc_to_choice(made)]
        # one of the named two is as likely as all ways of saying that one cannot know
        lls[rng.randrange(2)] += rng.choice([0, 4])
        if line["category"] == "Religion":
            biased = utils.doc_to_biased_answer(made)
            lls = [ll - 20 if at in biased else ll for at, ll in enumerate(lls)]
        for name, value in utils.process_results_multiple_choice(made, [(ll, False) for ll in lls]).items():
            kept.setdefault(name, []).append(value)
        said = rng.choice([
            made["ans0"], made["ans1"].split()[1], made["ans1"].split()[1].upper() + ".", "the " + made["ans0"].split()[1], "I don't know", "It is not known",
            "Nobody", made["ans2"], "Muslim", "lowSES", "a nonOld person",
        ])
        for name, value in utils.process_results_generate_until(made, [said]).items():
            written.setdefault(name, []).append(value)
        rows.append({"doc": line, "lls": lls, "said": said})
    of = {"acc": lambda values: sum(values) / len(values), "accuracy_amb": utils.agg_accuracy_amb, "accuracy_disamb": utils.agg_accuracy_disamb}

    def aggregated(kept):
        scores = {}
        for name, values in kept.items():
            of_name = of.get(name) or (utils.agg_disamb_bias_scores if name.startswith("disamb") else utils.agg_amb_bias_scores)
            value = float(of_name(values))
            if value == value:
                scores[name] = value
        return scores

    body = ",\n".join(compact(row) for row in rows)
    return f'{{"rows": [\n{body}\n],\n"scores": {compact(aggregated(kept))},\n"written": {compact(aggregated(written))}}}\n'


if __name__ == "__main__":
    making = Making()
    if making.wanted("bbq"):
        making.text("metrics/bbq.json", make())
    making.end()
