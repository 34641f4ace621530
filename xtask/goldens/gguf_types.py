"""tests/golden/model/llama256: what the GGUF files there hold, dequantised by gguf-py (llama.cpp's own package), and the logits of
exact arithmetic on these weights by transformers. llama.cpp's own logits (`logits_llamacpp`), which round activations too, are
made where llama-cpp-python is installed, else taken over as they are.

The files themselves come from llama.cpp and are not made again here: `convert_hf_to_gguf.py tests/golden/model/llama256
--outtype f16`, then `llama-quantize F16.gguf TYPE.gguf TYPE` for each; `split/` is IQ4_XS by `gguf-split --split-max-tensors
4`; `kinds.gguf` holds the value projection of layer 0 once in each other type, as layers 0 to 9, written by gguf-py's GGUFWriter.
The sources of llama.cpp with these tools lie in the sdist of llama-cpp-python on PyPI.

The f32 weights of llama256 are not kept (1.7 MB); its expected.json and expected.safetensors are of these and stay, too.

tests/golden/compress/rows.f16 is the first 32 rows of blk.0.attn_q of an F16 file of the same model, row after row. tests/golden/compress/imatrix.gguf and
imatrix.dat are made by llama.cpp, too: `llama-imatrix -m F16.gguf -f imatrix.txt -c 64 --chunks 4 --no-ppl -o imatrix.gguf`, and
again with `--output-format dat`.
"""

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


def facts(making):
    made = {}
    for name in FILES:
        made[name] = {t: {"type": kind, "sha256": sha256(values.tobytes())} for t, kind, values in tensors(name)}
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
    logits(making)
    making.end()
