"""tests/golden/model/peft/NAME: the last two rows of the logits of PEFT's unmerged model, with the adapters that lie there, on the
reference models. `mixtral_experts` was written by hand, since PEFT wraps no fused experts: its logits are those of the model with
the sums in its weights.

The adapters themselves have random values and are not made again here; PEFT 0.21 wrote them by `get_peft_model(model,
LoraConfig(…))` with what stands in each adapter_config.json, all of its parameters drawn anew, and `save_pretrained`.
"""

import shutil
import tempfile
from pathlib import Path

from common import GOLDEN, Making, floats, read_json
from model import forward, load

PEFT = GOLDEN / "model" / "peft"


def applied(name, base):
    """The adapter on its base; base weights equal to the model's own were left out of the files, so that PEFT says so."""
    from peft import PeftModel

    with tempfile.TemporaryDirectory() as copy:
        for file in ("adapter_config.json", "adapter_model.safetensors"):
            shutil.copy(PEFT / name / file, copy)
        return PeftModel.from_pretrained(load(base), Path(copy)).eval()


def experts(name, base):
    """B A times the scale, added to each expert's part of the fused matrices."""
    import torch

    model, config = load(base), read_json(f"model/peft/{name}/adapter_config.json")
    tensors = floats(f"model/peft/{name}/adapter_model.safetensors")
    state, scale = model.state_dict(), config["lora_alpha"] / config["r"]
    for key in [k for k in tensors if k.endswith("lora_A.weight")]:
        delta = torch.from_numpy(tensors[key.replace("lora_A", "lora_B")] @ tensors[key]) * scale
        where = key.removeprefix("base_model.model.").removesuffix(".lora_A.weight")
        stem, _, rest = where.partition(".experts.")
        if f"{where}.weight" in state:
            state[f"{where}.weight"] += delta
            continue
        expert, part = rest.split(".")
        stem = next(s for s in (stem, stem.replace("block_sparse_moe", "mlp")) if f"{s}.experts.down_proj" in state)
        fused = "down_proj" if part in ("w2", "down_proj") else "gate_up_proj"
        rows, at = state[f"{stem}.experts.{fused}"][int(expert)], 0
        if part in ("w3", "up_proj"):
            at = rows.shape[0] // 2
        rows[at : at + delta.shape[0]] += delta
    model.load_state_dict(state)
    return model


def one(making, name):
    expected = read_json(f"model/peft/{name}/expected.json")
    model = (experts if name == "mixtral_experts" else applied)(name, expected["base"])
    old = floats(f"model/peft/{name}/expected.safetensors")
    made = {key: value for key, value in old.items() if "logits" not in key}
    for i, ids in enumerate(expected["prompts"]):
        made[f"p{i}.logits"] = forward(model, ids)[0][-2:].numpy()
    # where merging changes what is tied, of the merged model too
    if "p0.logits_merged" in old:
        model = model.merge_and_unload()
        for i, ids in enumerate(expected["prompts"]):
            made[f"p{i}.logits_merged"] = forward(model, ids)[0][-2:].numpy()
    making.tensors(f"model/peft/{name}/expected.safetensors", made)


if __name__ == "__main__":
    making = Making()
    for folder in sorted(PEFT.iterdir()):
        if folder.is_dir() and making.wanted(folder.name):
            one(making, folder.name)
    making.end()
