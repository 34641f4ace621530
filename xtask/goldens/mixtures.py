"""tests/golden/compress/mixtures.json: what llama-quantize would make of each tensor, for every named mixture, of models that
differ in what its rules ask for. Needs LLAMA_QUANTIZE, the path of the program (llama-cpp-python 0.3.36 here), and gguf-py.

    {"MODEL": {"MIXTURE": {"TENSOR": "TYPE"}}}, types of tensors of layers as a list with one for each layer
"""

import os
import re
import subprocess
import tempfile
from pathlib import Path

import gguf
import numpy as np
from common import Making, lines

LAYERS = 16
HIDDEN = 256
# heads, heads of keys and values, experts, whether the output is the embedding
MODELS = {
    "untied": (4, 4, 0, False),
    "shared values": (4, 1, 0, False),
    "tied": (4, 2, 0, True),
    "eight experts": (4, 4, 8, False),
    "four experts": (4, 4, 4, False),
}
MIXTURES = (
    "Q8_0 Q6_K Q5_1 Q5_K_M Q5_K_S Q5_0 Q4_1 Q4_K_M Q4_K_S Q4_0 IQ4_NL IQ4_XS MXFP4_MOE Q3_K_L Q3_K_M IQ3_M IQ3_S Q3_K_S IQ3_XS "
    "IQ3_XXS Q2_K Q2_K_S IQ2_M IQ2_S IQ2_XS IQ2_XXS TQ2_0 Q2_0 IQ1_M TQ1_0 IQ1_S Q1_0"
).split()


def model(file, heads, kv_heads, experts, tied):
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(HIDDEN)
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(2)
    matrix = lambda name, *shape: writer.add_tensor(name, np.zeros(shape, dtype=np.float16))
    matrix("token_embd.weight", HIDDEN, HIDDEN)
    if not tied:
        matrix("output.weight", HIDDEN, HIDDEN)
    for layer in range(LAYERS):
        stem, kv = f"blk.{layer}.", HIDDEN // heads * kv_heads
        for name, rows in [("attn_q", HIDDEN), ("attn_k", kv), ("attn_v", kv), ("attn_output", HIDDEN)]:
            matrix(f"{stem}{name}.weight", rows, HIDDEN)
        for name in ["ffn_gate", "ffn_up", "ffn_down"]:
            shape = (experts, HIDDEN, HIDDEN) if experts else (HIDDEN, HIDDEN)
            matrix(f"{stem}{name}{'_exps' if experts else ''}.weight", *shape)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def imatrix(file):
    """A matrix that says something of one tensor, which turns the rules that ask whether there is one."""
    writer = gguf.GGUFWriter(file, "imatrix")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", ["none"])
    writer.add_uint32("imatrix.chunk_count", 1)
    writer.add_uint32("imatrix.chunk_size", 64)
    writer.add_tensor("blk.0.attn_q.weight.in_sum2", np.ones((1, HIDDEN), dtype=np.float32))
    writer.add_tensor("blk.0.attn_q.weight.counts", np.ones((1, 1), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantized(file, mixture, matrix):
    asked = ["--imatrix", matrix] if matrix else []
    command = [os.environ["LLAMA_QUANTIZE"], "--dry-run", *asked, file, mixture]
    told = subprocess.run(command, capture_output=True, text=True)
    told = told.stdout + told.stderr
    found = {}
    # "[ 3/ 10] blk.0.attn_q.weight - [..], type = f16, size = 0.125 MiB -> 0.035 MiB (q4_K)"
    for name, kind in re.findall(r"\] +(\S+\.weight) +- .*MiB -> .*MiB \((\w+)\)", told):
        layer = re.match(r"blk\.(\d+)\.(.*)", name)
        if layer:
            found.setdefault(layer[2], {})[int(layer[1])] = kind.upper()
        else:
            found[name] = kind.upper()
    assert found, told[-2000:]
    row = lambda types: [types[layer] for layer in range(LAYERS)]
    once = lambda types: types[0] if len(set(types)) == 1 else types
    return {name: once(row(of)) if isinstance(of, dict) else of for name, of in found.items()}


def main():
    making = Making()
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        matrix = str(Path(folder) / "imatrix.gguf")
        imatrix(matrix)
        for name, facts in MODELS.items():
            file = str(Path(folder) / "model.gguf")
            model(file, *facts)
            for mixture in MIXTURES:
                for own, said in [(None, name), (matrix, f"{name}, weighed")]:
                    rows.setdefault(said, {})[mixture] = quantized(file, mixture, own)
    making.text("compress/mixtures.json", lines("", rows))
    making.end()


if __name__ == "__main__":
    main()
