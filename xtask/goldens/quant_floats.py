"""tests/golden/model/quant/floats: one small random matrix for each packing of small floats, and for AWQ's gemv and GPTQ's Marlin layouts,
packed here from the formats' definitions, with the SHA-256 of the f32 weights that they stand for.

Definitions: FP8 as torch's float8_e4m3fn; E2M1 and E8M0 by OCP's Microscaling Formats 1.0; where scales stand by transformers
(integrations/finegrained_fp8.py, mxfp4.py), compressed-tensors and ModelOpt; AutoAWQ's WQLinear_GEMV; `_get_perms` and `pack` of
IST-DASLab's marlin.
"""

import numpy as np
import torch
from common import GOLDEN, Making, compact, sha256
from safetensors.torch import save_file

FOLDER = GOLDEN / "model" / "quant" / "floats"
# the zero below zero is one as the other, as in ggml's blocks
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)
rng = np.random.default_rng(11)


def e4m3(shape, spread=60.0):
    return torch.from_numpy((rng.standard_normal(shape) * spread).clip(-448, 448).astype(np.float32)).to(torch.float8_e4m3fn)


def scales(shape):
    return (rng.uniform(0.5, 1.5, shape) * 1e-3).astype(np.float32)


def grid(weight, scale, block):
    out, inp = weight.shape
    wide = np.repeat(np.repeat(scale, block[0], axis=0), block[1], axis=1)[:out, :inp]
    return weight.float().numpy() * wide


def two_a_byte(codes):
    return torch.from_numpy((codes[..., 0::2] | codes[..., 1::2] << 4).astype(np.uint8))


def fp8_tensor():
    weight, scale = e4m3((32, 64)), scales(())
    config = {"quant_method": "fp8", "activation_scheme": "static"}
    return config, {"weight": weight, "weight_scale": torch.tensor(scale)}, weight.float().numpy() * scale, "F16"


def fp8_block():
    weight, scale = e4m3((160, 200)), scales((2, 2))
    config = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [128, 128]}
    return config, {"weight": weight, "weight_scale_inv": torch.from_numpy(scale)}, grid(weight, scale, (128, 128)), "BF16"


def modelopt_fp8():
    weight, scale = e4m3((24, 96)), scales((1,))
    config = {"quant_method": "modelopt", "quant_algo": "FP8", "ignore": ["*.router", "lm_head"]}
    tensors = {"weight": weight, "weight_scale": torch.from_numpy(scale), "input_scale": torch.ones(())}
    return config, tensors, weight.float().numpy() * scale, "F16"


def nvfp4(out, inp):
    codes, scale = rng.integers(0, 16, (out, inp), dtype=np.uint8), e4m3((out, inp // 16), 20.0).abs()
    return codes, scale, E2M1[codes] * np.repeat(scale.float().numpy(), 16, axis=1)


def modelopt_nvfp4():
    codes, scale, values = nvfp4(16, 128)
    factor = np.float32(0.0007)
    config = {"quant_method": "modelopt", "quant_algo": "NVFP4", "group_size": 16}
    tensors = {"weight": two_a_byte(codes), "weight_scale": scale, "weight_scale_2": torch.tensor(factor)}
    return config, tensors, values * factor, "NVFP4"


def ct(format, weights, **more):
    group = {"targets": ["Linear"], "format": format, "weights": weights, "input_activations": None}
    return {"quant_method": "compressed-tensors", "format": format, "config_groups": {"group_0": group}, "ignore": ["lm_head"], **more}


def float_weights(**more):
    return {"num_bits": 8, "type": "float", "symmetric": True, **more}


def ct_float_tensor():
    weight, scale = e4m3((32, 64)), scales((1,))
    config = ct("float-quantized", float_weights(strategy="tensor"))
    return config, {"weight": weight, "weight_scale": torch.from_numpy(scale)}, weight.float().numpy() * scale, "F16"


def ct_float_channel():
    weight, scale = e4m3((32, 64)), scales((32, 1))
    scale = torch.from_numpy(scale).bfloat16()
    config = ct("float-quantized", float_weights(strategy="channel"))
    return config, {"weight": weight, "weight_scale": scale}, weight.float().numpy() * scale.float().numpy(), "BF16"


def ct_float_block():
    weight, scale = e4m3((64, 96)), scales((4, 2))
    config = ct("float-quantized", float_weights(strategy="block", block_structure=[16, 64]))
    return config, {"weight": weight, "weight_scale": torch.from_numpy(scale)}, grid(weight, scale, (16, 64)), "BF16"


def ct_nvfp4():
    codes, scale, values = nvfp4(32, 64)
    whole = np.float32(1536)
    weights = {"num_bits": 4, "type": "float", "symmetric": True, "strategy": "tensor_group", "group_size": 16}
    tensors = {"weight_packed": two_a_byte(codes), "weight_scale": scale, "weight_global_scale": torch.tensor([whole])}
    return ct("nvfp4-pack-quantized", weights), tensors, values * (np.float32(1) / whole), "NVFP4"


def ct_nvfp4_narrow():
    codes, scale, values = nvfp4(8, 48)
    whole = np.float32(1024)
    weights = {"num_bits": 4, "type": "float", "symmetric": True, "strategy": "tensor_group", "group_size": 16}
    tensors = {"weight_packed": two_a_byte(codes), "weight_scale": scale, "weight_global_scale": torch.tensor([whole])}
    return ct("nvfp4-pack-quantized", weights), tensors, values * (np.float32(1) / whole), "F16"


def mxfp4(shape):
    codes, scale = rng.integers(0, 16, shape, dtype=np.uint8), rng.integers(110, 120, (*shape[:-1], shape[-1] // 32), dtype=np.uint8)
    return codes, scale, E2M1[codes] * np.repeat(np.exp2(scale.astype(np.float32) - 127), 32, axis=-1)


def ct_mxfp4():
    codes, scale, values = mxfp4((16, 96))
    weights = {"num_bits": 4, "type": "float", "symmetric": True, "strategy": "group", "group_size": 32}
    tensors = {"weight_packed": two_a_byte(codes), "weight_scale": torch.from_numpy(scale)}
    return ct("mxfp4-pack-quantized", weights), tensors, values, "MXFP4"


def experts():
    """Tensors of three experts of gpt-oss, and the matrices of the second by their names in the graph."""
    config, tensors, made = {"quant_method": "mxfp4", "modules_to_not_convert": ["lm_head"]}, {}, {}
    for stored, out, inp in (("gate_up_proj", 48, 64), ("down_proj", 64, 32)):
        codes, scale, values = mxfp4((3, out, inp))
        name = f"moe.mlp.experts.{stored}"
        tensors[f"{name}_blocks"] = two_a_byte(codes).reshape(3, out, inp // 32, 16)
        tensors[f"{name}_scales"] = torch.from_numpy(scale)
        if stored == "down_proj":
            made["down_proj"] = values[1]
        else:
            made["gate_proj"], made["up_proj"] = values[1, 0::2], values[1, 1::2]
    return config, tensors, {f"moe.mlp.experts.1.{part}": values for part, values in made.items()}


def words(codes):
    """Four-bit codes along the last axis, eight in a word, the first lowest."""
    eights = codes.astype(np.uint32).reshape(*codes.shape[:-1], -1, 8)
    return torch.from_numpy((eights << (4 * np.arange(8, dtype=np.uint32))).sum(-1, dtype=np.uint32).view(np.int32))


def halves(shape):
    return (rng.uniform(0.5, 1.5, shape) * 1e-2).astype(np.float16)


def awq_gemv(size=32, out=24, inp=128, width=4):
    groups = inp // size
    codes, zeros = rng.integers(0, 16, (out, inp)), rng.integers(0, 16, (out, groups))
    scale = halves((out, groups))
    padded = lambda x: np.pad(x, ((0, 0), (0, 8 * width - groups)))
    tensors = {"qweight": words(codes), "qzeros": words(padded(zeros)), "scales": torch.from_numpy(padded(scale))}
    config = {"quant_method": "awq", "bits": 4, "group_size": size, "zero_point": True, "version": "gemv"}
    wide = lambda x: np.repeat(x, size, axis=1)
    return config, tensors, wide(scale).astype(np.float32) * (codes - wide(zeros)).astype(np.float32), "Q5_0"


def marlin_orders():
    order = []
    for i in range(32):
        tile = []
        for block in (0, 1):
            for row in (2 * (i % 4), 2 * (i % 4) + 1, 2 * (i % 4 + 4), 2 * (i % 4 + 4) + 1):
                tile.append(16 * row + i // 4 + 8 * block)
        for j in range(4):
            order.extend(p + 256 * j for p in tile)
    order = np.array(order).reshape(-1, 8)[:, [0, 2, 4, 6, 1, 3, 5, 7]].ravel()
    grouped = np.array([i + 8 * j for i in range(8) for j in range(8)])
    single = np.array([2 * i + j for i in range(4) for j in (0, 1, 8, 9, 16, 17, 24, 25)])
    return order, grouped, single


def marlin(size, out=128, inp=256):
    order, grouped, single = marlin_orders()
    codes, groups = rng.integers(0, 16, (inp, out)), 1 if size == -1 else inp // size
    scale = halves((groups, out))
    tiles = codes.reshape(inp // 16, 16, out // 16, 16).transpose(0, 2, 1, 3).reshape(inp // 16, -1)
    shuffled = tiles.reshape(-1, 1024)[:, order].reshape(inp // 16, -1)
    own = single if groups == 1 else grouped
    stored = scale.reshape(-1, len(own))[:, own].reshape(groups, out)
    tensors = {"B": words(shuffled), "s": torch.from_numpy(stored.copy())}
    config = {"quant_method": "gptq", "bits": 4, "group_size": size, "sym": True, "desc_act": False, "checkpoint_format": "marlin"}
    values = np.repeat(scale, inp // groups, axis=0).astype(np.float32) * (codes - 8).astype(np.float32)
    return config, tensors, values.T, "Q4_0"


CASES = {
    "fp8_tensor": fp8_tensor,
    "fp8_block": fp8_block,
    "modelopt_fp8": modelopt_fp8,
    "modelopt_nvfp4": modelopt_nvfp4,
    "ct_float_tensor": ct_float_tensor,
    "ct_float_channel": ct_float_channel,
    "ct_float_block": ct_float_block,
    "ct_nvfp4": ct_nvfp4,
    "ct_nvfp4_narrow": ct_nvfp4_narrow,
    "ct_mxfp4": ct_mxfp4,
    "awq_gemv": awq_gemv,
    "gptq_marlin": lambda: marlin(64),
    "gptq_marlin_row": lambda: marlin(-1),
}


def entry(name, config, values, held):
    values = np.ascontiguousarray(values.astype(np.float32))
    made = {"name": name, "out": values.shape[0], "inp": values.shape[1], "config": config, "sha256": sha256(values.tobytes()), "held": held}
    if held == "BF16":
        rounded = torch.from_numpy(values).bfloat16().float().numpy()
        made["rounded"] = sha256(rounded.tobytes())
    return made


if __name__ == "__main__":
    making = Making()
    tensors, made = {}, []
    for name, make in CASES.items():
        config, own, values, held = make()
        tensors |= {f"{name}.{part}": tensor.contiguous() for part, tensor in own.items()}
        made.append(entry(name, config, values, held))
    config, own, matrices = experts()
    tensors |= own
    made += [entry(name, config, values, "MXFP4") for name, values in matrices.items()]
    if making.writes:
        FOLDER.mkdir(exist_ok=True)
        save_file(tensors, FOLDER / "model.safetensors")
    making.text("model/quant/floats/packings.json", compact(made))
    making.end()
