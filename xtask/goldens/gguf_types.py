"""tests/golden/model/llama256: what the GGUF files there hold, dequantised by gguf-py (llama.cpp's own package), and the logits of
exact arithmetic on these weights by transformers. llama.cpp's own logits (`logits_llamacpp`), which round activations too, are
made where llama-cpp-python is installed, else taken over as they are.

The files themselves come from llama.cpp and are not made again here: `convert_hf_to_gguf.py tests/golden/model/llama256
--outtype f16`, then `llama-quantize F16.gguf TYPE.gguf TYPE` for each; `split/` is IQ4_XS by `gguf-split --split-max-tensors
4`; `kinds.gguf` holds the value projection of layer 0 once in each other type, as layers 0 to 9, written by gguf-py's GGUFWriter.
The sources of llama.cpp with these tools lie in the sdist of llama-cpp-python on PyPI.

`random.gguf` is made here and holds random blocks of the types that llama.cpp has beside those, with the scales of trained
weights' size; of Q1_0 and Q2_0, which gguf-py 0.19 does not read, the values follow from their definition in ggml-quants.c.

The f32 weights of llama256 are not kept (1.7 MB); its expected.json and expected.safetensors are of these and stay, too.

tests/golden/compress/rounded.json has the hashes of blocks that are written without a search.
tests/golden/compress/rows.f16 is the first 32 rows of blk.0.attn_q of an F16 file of the same model, row after row. tests/golden/compress/imatrix.gguf and
imatrix.dat are made by llama.cpp, too: `llama-imatrix -m F16.gguf -f imatrix.txt -c 64 --chunks 4 --no-ppl -o imatrix.gguf`, and
again with `--output-format dat`.
"""

import os

import numpy as np
from common import GOLDEN, Making, compact, floats, last_rows, sha256

FOLDER = GOLDEN / "model" / "llama256"
FILES = {name: [f"{name}.gguf"] for name in ("F16", "Q8_0", "Q4_K_M", "Q2_K", "IQ4_NL")}
FILES["IQ4_XS"] = [f"split/IQ4_XS-0000{part}-of-00003.gguf" for part in (1, 2, 3)]
FILES["kinds"] = ["kinds.gguf"]


def tensors(name):
    """Each tensor's type and f32 values, as they lie in the file."""
    from gguf import GGUFReader
    from gguf.quants import dequantize

    for file in FILES[name]:
        for tensor in GGUFReader(FOLDER / file).tensors:
            shape = tuple(int(n) for n in reversed(tensor.shape))
            values = dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(shape)
            yield tensor.name, tensor.tensor_type.name, values


RANDOM = ("IQ3_S", "IQ3_XXS", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S", "TQ2_0", "TQ1_0", "MXFP4", "NVFP4", "Q2_0", "Q1_0")
# number, weights and bytes of a block, where gguf-py 0.19 does not say
SIZES = {"Q2_0": (42, 64, 18)}
# where a block's f16 stands, unless at its beginning
SCALES = {"TQ1_0": 52, "TQ2_0": 64}


def random_blocks(name):
    """(rows, bytes) of four rows of 256 weights; of types with grids 64 rows of 512, so that most of a grid occurs."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    rng = np.random.default_rng([7, *name.encode()])
    weights, size = SIZES[name][1:] if name in SIZES else GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    count, columns = (64, 512) if name.startswith("IQ") else (4, 256)
    blocks = rng.integers(0, 256, (count * columns // weights, size), dtype=np.uint8)
    scales = (rng.standard_normal(len(blocks)) * 0.01).astype(np.float16)
    if name == "MXFP4":
        blocks[:, 0] = np.r_[[0, 1, 2], rng.integers(100, 130, len(blocks) - 3)]
    elif name == "IQ1_M":
        parts = blocks[:, 48:].view(np.uint16)
        for part in range(4):
            parts[:, part] = parts[:, part] & 0x0FFF | (scales.view(np.uint16) >> (4 * part) & 15) << 12
    elif name != "NVFP4":
        at = SCALES.get(name, 0)
        blocks[:, at : at + 2] = scales.view(np.uint8).reshape(-1, 2)
    return blocks.reshape(count, -1)


def random_values(name, rows):
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize

    bits = {"Q1_0": 1, "Q2_0": 2}.get(name)
    if bits is None:
        return dequantize(rows, GGMLQuantizationType[name]).astype(np.float32)
    blocks = rows.reshape(-1, 18)
    d = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    quants = blocks[:, 2:, None] >> np.arange(0, 8, bits, dtype=np.uint8) & (2**bits - 1)
    values = 2.0 * quants - 1.0 if bits == 1 else quants - 1.0
    return d * values.reshape(len(blocks), -1).astype(np.float32)


def random_file(making):
    """The blocks as a file, where it is not there yet; their values' hashes."""
    from enum import IntEnum

    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, GGUFWriter

    more = IntEnum("More", {name: facts[0] for name, facts in SIZES.items()})
    GGML_QUANT_SIZES.update({more[name]: facts[1:] for name, facts in SIZES.items()})
    writer, made = GGUFWriter(FOLDER / "random.gguf" if making.writes else os.devnull, "llama"), {}
    for name in RANDOM:
        rows = random_blocks(name)
        writer.add_tensor(name, rows, raw_dtype=more[name] if name in SIZES else GGMLQuantizationType[name])
        made[name] = {"type": name, "sha256": sha256(random_values(name, rows).tobytes())}
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return made


ROUNDED = ("TQ1_0", "TQ2_0", "MXFP4", "NVFP4", "Q1_0", "Q2_0")


def rounded(name, x):
    """(blocks, bytes) of what ggml writes without a search; by gguf-py, or by its definition in ggml-quants.c where that has none."""
    from gguf import GGMLQuantizationType
    from gguf.quants import NVFP4, np_roundf, quantize

    if name == "Q1_0":
        blocks = x.reshape(-1, 128)
        # summed in turn, as C does
        d = np.add.accumulate(np.abs(blocks), axis=1, dtype=np.float32)[:, -1:] / np.float32(128)
        return np.hstack([d.astype(np.float16).view(np.uint8), np.packbits(blocks >= 0, axis=1, bitorder="little")])
    if name == "Q2_0":
        blocks = x.reshape(-1, 64)
        d = np.abs(blocks).max(axis=1, keepdims=True)
        q = np_roundf(blocks * (np.float32(1) / d)).astype(np.uint8) + np.uint8(1)
        q = (q.reshape(len(q), 16, 4) << np.array([0, 2, 4, 6], np.uint8)).sum(axis=2, dtype=np.uint8)
        return np.hstack([d.astype(np.float16).view(np.uint8), q])
    if name == "NVFP4":
        blocks = x.reshape(-1, 16)
        scales = NVFP4.fp32_to_ue4m3(np.abs(blocks).max(axis=1, keepdims=True) / np.float32(6))
        values = np.array(NVFP4.kvalues, np.float32) * NVFP4.ue4m3_to_fp32(scales).astype(np.float32)
        best = np.abs(values[:, None, :] - blocks[:, :, None]).argmin(axis=2).astype(np.uint8)
        return np.hstack([scales.reshape(-1, 4), (best[:, :8] | best[:, 8:] << 4).reshape(-1, 32)])
    return quantize(x, GGMLQuantizationType[name])


def rounded_rows(making):
    """What the golden rows become, and the same scattered over sixteen powers of four."""
    x = np.fromfile(GOLDEN / "compress" / "rows.f16", np.float16).astype(np.float32).reshape(-1, 256)
    x = x * np.exp2(2.0 * (np.arange(len(x)) % 16 - 8)).astype(np.float32)[:, None]
    made = {name: sha256(np.ascontiguousarray(rounded(name, x)).tobytes()) for name in ROUNDED}
    making.text("compress/rounded.json", compact(made))


def facts(making):
    made = {}
    for name in FILES:
        made[name] = {t: {"type": kind, "sha256": sha256(values.tobytes())} for t, kind, values in tensors(name)}
    made["random"] = random_file(making)
    making.text("model/llama256/gguf.json", compact(made))


HUGGINGFACE = {
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}


def state(name, config):
    """As transformers names and orders them: llama.cpp interleaves the rotary halves of q and k."""
    import torch

    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for tensor, _, values in tensors(name):
        parts = tensor.split(".")
        kind = parts[-2]
        if kind in heads:
            rows = values.shape[0] // heads[kind] // 2
            values = values.reshape(heads[kind], rows, 2, values.shape[1]).swapaxes(1, 2).reshape(values.shape)
        block = f"model.layers.{parts[1]}." if parts[0] == "blk" else ""
        yield f"{block}{HUGGINGFACE[kind]}.weight", torch.from_numpy(values.copy())


def logits(making):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(FOLDER)
    for name in FILES:
        if name == "kinds":
            continue
        path = f"model/llama256/{name}.expected.safetensors"
        old = floats(path)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32, attn_implementation="eager").eval()
        model.load_state_dict(dict(state(name, config)))
        made = dict(old)
        for i in range(3):
            ids = old[f"p{i}.input_ids"]
            with torch.no_grad():
                rows = model(input_ids=torch.from_numpy(ids)[None]).logits[0]
            made[f"p{i}.logits_dequant"] = last_rows(rows, i).numpy()
            own = llama_cpp(name, ids)
            if own is not None:
                made[f"p{i}.logits_llamacpp"] = own[-4:]
        making.tensors(path, made)


def llama_cpp(name, ids):
    try:
        from llama_cpp import Llama
    except ImportError:
        return None
    llama = Llama(str(FOLDER / FILES[name][0]), logits_all=True, n_ctx=256, verbose=False, n_threads=1)
    llama.eval([int(i) for i in ids])
    return np.array(llama.scores[: len(ids)], dtype=np.float32)


if __name__ == "__main__":
    making = Making()
    facts(making)
    rounded_rows(making)
    logits(making)
    making.end()
