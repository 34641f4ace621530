"""tests/golden/chat: conversations as transformers renders them with the templates of the reference models, and a template
for each thing that templates use."""

import json

from common import Making, compact, read_json
from tokenizer import folder


def models(making):
    from transformers import AutoTokenizer

    old = read_json("chat/models.json")
    conversations, rows = old["conversations"], []
    for name, cases in old["models"].items():
        if making.wanted(name):
            tokenizer = AutoTokenizer.from_pretrained(folder(name))
            cases = [rendering(tokenizer, conversations, case) for case in cases]
        rows.append(json.dumps(name) + ":" + compact(cases))
    head = '{"conversations":' + json.dumps(conversations) + ',\n"models":{\n'
    making.text("chat/models.json", head + ",\n".join(rows) + "}}\n")


def rendering(tokenizer, conversations, case):
    made = {"messages": case["messages"], "generation": case["generation"]}
    try:
        text = tokenizer.apply_chat_template(
            conversations[case["messages"]], tokenize=False, add_generation_prompt=case["generation"]
        )
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        return made | {"text": text, "ids": ids}
    except Exception as error:
        return made | {"error": str(error)}


def features(making):
    from transformers.utils.chat_template_utils import render_jinja_template

    old = read_json("chat/features.json")
    cases = []
    for case in old["cases"]:
        made = dict(case)
        try:
            rendered, _ = render_jinja_template(
                conversations=[old["conversations"][case["messages"]]],
                tools=old["tools"] if case.get("tools") else None,
                documents=old["documents"] if case.get("documents") else None,
                chat_template=case["template"],
                add_generation_prompt=case.get("add_generation_prompt", False),
                **old["special_tokens"],
                **case.get("more", {}),
            )
            made["text"] = rendered[0]
        except Exception:
            made.pop("text", None)  # where there is no text it raised an error
        cases.append(json.dumps(made, ensure_ascii=False))
    given = [f"{json.dumps(k)}: {json.dumps(old[k], ensure_ascii=False)}" for k in old if k != "cases"]
    text = "{\n" + ",\n".join(given) + ',\n"cases": [\n' + ",\n".join(cases) + "]}\n"
    making.text("chat/features.json", text)


if __name__ == "__main__":
    making = Making()
    models(making)
    features(making)
    making.end()
