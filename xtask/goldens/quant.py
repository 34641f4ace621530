"""tests/golden/model/quant: SHA-256 of the f32 weights that packed checkpoints stand for, and the logits of transformers' f32
model on them. Unpacked here from the formats' own definitions, integer by integer, so that nothing is shared with bantam.

The packed weights themselves are not made again: those of NAME/ are the model `llama` quantized to nearest, packed as GPTQ,
AWQ (gemm) and bitsandbytes have it; those of packings/ are one small random matrix for each packing, option and shape
(compressed-tensors 0.20 and bitsandbytes 0.50 packed theirs).
"""

import json

import numpy as np
from common import GOLDEN, Making, compact, read_json, sha256

QUANT = GOLDEN / "model" / "quant"
F32 = np.float32
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def load(file):
    import torch
    from safetensors.torch import load_file

    plain = lambda t: t.float().numpy() if t.dtype in (torch.bfloat16, torch.float16) else t.numpy()
    return {name: plain(tensor) for name, tensor in load_file(file).items()}


def dense(words, bits, count):
    """Integers of `bits` bits, lowest first, that may lie across two words: along the last axis."""
    rows = words.astype(np.int64).reshape(-1, words.shape[-1]) & 0xFFFFFFFF
    stream = ((rows[:, :, None] >> np.arange(32)) & 1).reshape(len(rows), -1)[:, : count * bits]
    return (stream.reshape(len(rows), count, bits) << np.arange(bits)).sum(-1).reshape(*words.shape[:-1], count)


def padded(words, bits, count):
    """The same where each word holds as many whole integers as fit."""
    each = 32 // bits
    rows = words.astype(np.int64)[..., None] & 0xFFFFFFFF
    return ((rows >> (np.arange(each) * bits)) & (2**bits - 1)).reshape(*words.shape[:-1], -1)[..., :count]


def gptq(t, config, out, inp):
    dynamic = next(iter(config.get("dynamic", {}).values()), {})
    bits, size = dynamic.get("bits", config["bits"]), dynamic.get("group_size", config["group_size"])
    q = dense(t["qweight"].T, bits, inp).T  # (inp, out)
    zeros = dense(t["qzeros"], bits, out)
    if config.get("checkpoint_format") != "gptq_v2":
        zeros = (zeros + 1) & (2**bits - 1)  # stored less one, round the corner
    group = t.get("g_idx", np.arange(inp) // (inp if size == -1 else size))
    return (t["scales"].astype(F32)[group] * (q - zeros[group]).astype(F32)).T


def awq(t, config, out, inp):
    size = config["group_size"]
    group = np.arange(inp) // (inp if size == -1 else size)
    order = lambda words: padded(words, 4, out).reshape(-1, out // 8, 8)[..., np.argsort(AWQ_ORDER)].reshape(-1, out)
    q, zeros = order(t["qweight"]), order(t["qzeros"])
    return (t["scales"].astype(F32)[group] * (q - zeros[group]).astype(F32)).T


def compressed(t, config, out, inp):
    kind = next(iter(config["config_groups"].values()))["weights"]
    bits = kind["num_bits"]
    if "weight_packed" in t:
        words = t["weight_packed"]
        unpack = dense if words.shape[1] == -(-inp * bits // 32) else padded
        q = unpack(words, bits, inp) - 2 ** (bits - 1)
    else:
        q = t["weight"].astype(np.int64)
    scales = t["weight_scale"].astype(F32)
    if scales.size == 1:
        scales = np.broadcast_to(scales.reshape(1, 1), (out, 1))
    scales = scales.reshape(out, -1)
    zeros = np.zeros(scales.shape, np.int64)
    if "weight_zero_point" in t:
        zeros = t["weight_zero_point"].astype(np.int64)
        if zeros.shape != scales.shape:  # packed along the rows
            zeros = dense(t["weight_zero_point"].T, bits, out).T - 2 ** (bits - 1)
    size = kind.get("group_size")
    groups = scales.shape[1]
    group = t.get("weight_g_idx", np.arange(inp) // (size if groups > 1 else inp))
    return (q - zeros[:, group]).astype(F32) * scales[:, group]


def bitsandbytes(t, config, out, inp):
    if "SCB" in t:
        # int8: the row's scale, then over 127, each rounded to f32
        return (t["weight"].astype(F32) * t["SCB"].astype(F32)[:, None]) * F32(1 / 127)
    state = next(json.loads(bytes(v)) for k, v in t.items() if "quant_state" in k)
    absmax = t["weight.absmax"]
    if "weight.nested_absmax" in t:
        coarse = np.repeat(t["weight.nested_absmax"], state["nested_blocksize"])[: absmax.size]
        absmax = t["weight.nested_quant_map"][absmax] * coarse + F32(state["nested_offset"])
    # the packed bytes are read as bytes, whatever type they were stored as
    packed = t["weight"].view(np.uint8).reshape(-1)
    codes = np.stack([packed >> 4, packed & 15], axis=1).reshape(-1)[: out * inp]
    values = t["weight.quant_map"][codes] * np.repeat(absmax, state["blocksize"])[: out * inp]
    return values.astype(F32).reshape(out, inp), state["dtype"]


METHODS = {"gptq": gptq, "awq": awq, "compressed-tensors": compressed, "bitsandbytes": bitsandbytes}


def unpack(tensors, config, out, inp):
    made = METHODS[config["quant_method"]](tensors, config, out, inp)
    if isinstance(made, tuple):
        # bitsandbytes gives the type that the matrix had
        values, dtype = made
        if dtype == "float16":
            return values.astype(np.float16).astype(F32)
        if dtype == "bfloat16":
            import torch

            return torch.from_numpy(values).bfloat16().float().numpy()
        return values
    return made.astype(F32)


def packings(making):
    tensors = load(QUANT / "packings" / "model.safetensors")
    raw = raw_bytes(QUANT / "packings" / "model.safetensors")
    cases = read_json("model/quant/packings/packings.json")
    for case in cases:
        name = case["name"] + "."
        own = {k.removeprefix(name): v for k, v in tensors.items() if k.startswith(name)}
        if case["config"]["quant_method"] == "bitsandbytes" and "SCB" not in own:
            own["weight"] = np.frombuffer(raw[name + "weight"], np.uint8)
        weights = unpack(own, case["config"], case["out"], case["inp"])
        case["sha256"] = sha256(np.ascontiguousarray(weights).tobytes())
    making.text("model/quant/packings/packings.json", compact(cases))


def raw_bytes(file):
    data = file.read_bytes()
    size = int.from_bytes(data[:8], "little")
    head = json.loads(data[8 : 8 + size])
    at = lambda entry: data[8 + size + entry["data_offsets"][0] : 8 + size + entry["data_offsets"][1]]
    return {name: at(entry) for name, entry in head.items() if name != "__metadata__"}


def checkpoint(making, name):
    import torch
    from model import forward, load as load_model

    folder = f"model/quant/{name}"
    tensors, raw = load(QUANT / name / "model.safetensors"), raw_bytes(QUANT / name / "model.safetensors")
    config = read_json(f"{folder}/config.json")["quantization_config"]
    expected = read_json(f"{folder}/expected.json")
    model = load_model("llama")
    state = model.state_dict()
    for weight in expected["sha256"]:
        out, inp = state[weight].shape
        stem = weight.removesuffix("weight")
        own = {k.removeprefix(stem): v for k, v in tensors.items() if k.startswith(stem)}
        if config["quant_method"] == "bitsandbytes":
            own["weight"] = np.frombuffer(raw[weight], np.uint8)
        values = np.ascontiguousarray(unpack(own, config, out, inp))
        expected["sha256"][weight] = sha256(values.tobytes())
        state[weight] = torch.from_numpy(values)
    # the rest as it is stored there
    for key, value in tensors.items():
        if key in state and key not in expected["sha256"]:
            state[key] = torch.from_numpy(value)
    model.load_state_dict(state)
    logits = {}
    for i, ids in enumerate(expected["prompts"]):
        rows = forward(model, ids)[0]
        logits[f"p{i}.logits"] = (rows if i == 0 else rows[-2:]).numpy()
    making.tensors(f"{folder}/expected.safetensors", logits)
    making.text(f"{folder}/expected.json", compact(expected))


if __name__ == "__main__":
    making = Making()
    packings(making)
    for folder in sorted(QUANT.iterdir()):
        if folder.name not in ("packings", "floats") and making.wanted(folder.name):
            checkpoint(making, folder.name)
    making.end()
