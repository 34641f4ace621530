"""tests/golden/model/NAME: logits, hidden states, greedy tokens and log-likelihoods of tiny checkpoints by transformers, in f32
(f64 where that is no reference: EXACT) with eager attention. `model.py make NAME…` does only these.

A family that is new begins with a checkpoint: `model.py new NAME CONFIG.json` writes one with random weights (std 0.2, so that
rounding shows in the logits), of the config that is given; keep it below 1 MB. Then `model.py make NAME`.
"""

import sys

from common import GOLDEN, Making, compact, floats, last_rows, read_json

# where there is no prompt to repeat: five, as long as those of the others
SEED, LENGTHS = 5, (7, 30, 32, 96, 26)


# f32 is no reference here: on two processors transformers' own logits of the same prompt lie 1.8e-4 apart
EXACT = ("qwen3_5", "qwen3_5_moe", "qwen3_5_moe_fused")
# checkpoints whose tensors are saved as the modules have them, where transformers would take them apart
FUSED = ("qwen3_5_moe_fused",)


def load(name):
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    dtype = torch.float64 if name in EXACT else torch.float32
    torch.set_default_dtype(dtype)
    plain = {"attn_implementation": "eager", "experts_implementation": "eager"}
    return AutoModelForCausalLM.from_pretrained(GOLDEN / "model" / name, dtype=dtype, **plain).eval()


def names():
    folders = sorted((GOLDEN / "model").iterdir())
    return [f.name for f in folders if (f / "model.safetensors").is_file() and f.name not in ("peft", "quant")]


def forward(model, ids):
    import torch

    with torch.no_grad():
        out = model(input_ids=torch.tensor([ids]), use_cache=False, output_hidden_states=True)
    # transformers records Mamba-2's one block later
    if model.config.model_type == "mamba2":
        return out.logits[0].float(), seen_by_hooks(model.backbone, ids)
    # of several streams the last state is not what leaves the norm
    hidden = out.hidden_states if out.hidden_states[-1].dim() == 3 else out.hidden_states[:-1]
    return out.logits[0].float(), [of_tokens(h).float() for h in hidden]


def seen_by_hooks(backbone, ids):
    """What enters the first layer, what leaves each but the last, and what leaves the final norm."""
    import torch

    seen = []
    keep = lambda module, given, got: seen.append((got[0] if isinstance(got, tuple) else got)[0].float())
    modules = [backbone.embeddings, *list(backbone.layers)[:-1], backbone.norm_f]
    hooks = [module.register_forward_hook(keep) for module in modules]
    with torch.no_grad():
        backbone(input_ids=torch.tensor([ids]), use_cache=False)
    for hook in hooks:
        hook.remove()
    return seen


def of_tokens(hidden):
    """One row a token; of several streams (streams, 1, tokens, width) one after the other."""
    return hidden[0] if hidden.dim() == 3 else hidden[:, 0].transpose(0, 1).flatten(1)


def nll_sum(logits, ids):
    import torch

    logprobs = torch.log_softmax(logits[:-1].double(), dim=-1)
    return float(-logprobs[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].sum())


def greedy(model, ids, cached, count=16):
    """The likeliest tokens and by how much each is ahead of the second; by hand, so that nothing else picks or stops."""
    import torch

    tokens, margins, past, feed = [], [], None, list(ids)
    with torch.no_grad():
        for _ in range(count):
            out = model(input_ids=torch.tensor([feed]), past_key_values=past, use_cache=cached)
            top = out.logits[0, -1].float().topk(2)
            tokens.append(int(top.indices[0]))
            margins.append(round(float(top.values[0] - top.values[1]), 5))
            past = out.past_key_values if cached else None
            feed = [tokens[-1]] if cached else list(ids) + tokens
    return tokens, margins


def one(making, name):
    file = GOLDEN / "model" / name / "expected.json"
    model = load(name)
    old = read_json(file) if file.is_file() else {"prompts": prompts(model.config.get_text_config().vocab_size)}
    tensors = {}
    stored = floats(f"model/{name}/expected.safetensors") if file.is_file() else None
    for i, prompt in enumerate(old["prompts"]):
        ids = prompt["input_ids"]
        logits, hidden = forward(model, ids)
        tensors[f"p{i}.logits"] = last_rows(logits, i).numpy()
        if i == 0 if stored is None else f"p{i}.hidden.0" in stored:
            # in and out of each layer, of as many positions as are kept
            rows = len(ids) if stored is None else len(stored[f"p{i}.hidden.0"])
            tensors |= {f"p{i}.hidden.{layer}": h[-rows:].numpy() for layer, h in enumerate(hidden)}
        cached, margins = greedy(model, ids, True)
        prompt["greedy16"] = cached
        if "greedy16_nocache" in prompt or not file.is_file():
            prompt["greedy16_nocache"] = greedy(model, ids, False)[0]
        if "greedy16_margin" in prompt:
            prompt["greedy16_margin"] = margins
        prompt["nll_sum"] = nll_sum(logits, ids)
    making.tensors(f"model/{name}/expected.safetensors", tensors)
    making.text(f"model/{name}/expected.json", compact(old, ensure_ascii=False))


def prompts(vocabulary):
    import random

    draw = random.Random(SEED)
    return [{"input_ids": [draw.randrange(vocabulary) for _ in range(length)]} for length in LENGTHS]


def new(name, config):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(SEED)
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(config))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, 0.2)
            else:
                parameter.add_(torch.randn_like(parameter) * 0.1)
        saved = model.state_dict()
        for key, buffer in model.named_buffers():
            if key in saved:
                buffer.add_(torch.randn_like(buffer) * 0.1)
    model.to(torch.bfloat16).save_pretrained(GOLDEN / "model" / name)
    if name in FUSED:
        from safetensors.torch import save_file

        tied = model.all_tied_weights_keys if model.config.tie_word_embeddings else ()
        tensors = {key: tensor.contiguous() for key, tensor in model.state_dict().items() if key not in tied}
        save_file(tensors, GOLDEN / "model" / name / "model.safetensors", {"format": "pt"})


if __name__ == "__main__":
    if sys.argv[1:2] == ["new"]:
        new(*sys.argv[2:])
        sys.exit()
    making = Making()
    for name in names():
        if making.wanted(name):
            one(making, name)
    making.end()
