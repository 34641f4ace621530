#!/usr/bin/env python3
"""Writes a Llama of random weights in the shape of TinyLlama 1.1B, for speeds and memory: what it says means nothing.

    benches/random_llama.py TOKENIZER FOLDER [--layers 22] [--seed 1]

TOKENIZER is the tokenizer.json of any byte-level BPE model of at least 32,000 tokens (`bantam export` writes one); its
first 32,000 are kept. The folder then goes through `bantam compress FOLDER --quant TYPE`. Weights are F16, drawn from
N(0, 0.02). Needs numpy.
"""
import argparse
import json
import pathlib
import struct

import numpy

HIDDEN, FFN, HEADS, KV_HEADS, VOCAB = 2048, 5632, 32, 4, 32000


def tensors(layers):
    """Names and shapes, in the order of the file."""
    kv = HIDDEN // HEADS * KV_HEADS
    yield "model.embed_tokens.weight", (VOCAB, HIDDEN)
    for i in range(layers):
        stem = f"model.layers.{i}"
        yield f"{stem}.input_layernorm.weight", (HIDDEN,)
        yield f"{stem}.post_attention_layernorm.weight", (HIDDEN,)
        for name, shape in [("q_proj", (HIDDEN, HIDDEN)), ("k_proj", (kv, HIDDEN)), ("v_proj", (kv, HIDDEN)), ("o_proj", (HIDDEN, HIDDEN))]:
            yield f"{stem}.self_attn.{name}.weight", shape
        for name, shape in [("gate_proj", (FFN, HIDDEN)), ("up_proj", (FFN, HIDDEN)), ("down_proj", (HIDDEN, FFN))]:
            yield f"{stem}.mlp.{name}.weight", shape
    yield "model.norm.weight", (HIDDEN,)
    yield "lm_head.weight", (VOCAB, HIDDEN)


def write_weights(file, layers, seed):
    header, at = {}, 0
    for name, shape in tensors(layers):
        size = 2 * int(numpy.prod(shape))
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    random = numpy.random.default_rng(seed)
    with open(file, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for _, shape in tensors(layers):
            if len(shape) == 1:
                numbers = numpy.ones(shape)
            else:
                numbers = random.standard_normal(shape, dtype=numpy.float32) * 0.02
            out.write(numbers.astype("<f2").tobytes())


def trimmed(tokenizer):
    """The first tokens alone, with the merges that make no others."""
    model = tokenizer["model"]
    model["vocab"] = {token: id for token, id in model["vocab"].items() if id < VOCAB}
    pairs = [merge.split(" ", 1) if isinstance(merge, str) else merge for merge in model["merges"]]
    known = model["vocab"]
    model["merges"] = [pair for pair in pairs if all(part in known for part in [*pair, "".join(pair)])]
    tokenizer["added_tokens"] = [token for token in tokenizer["added_tokens"] if token["id"] < VOCAB]
    return tokenizer


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("tokenizer", type=pathlib.Path)
    a.add_argument("folder", type=pathlib.Path)
    a.add_argument("--layers", type=int, default=22)
    a.add_argument("--seed", type=int, default=1)
    o = a.parse_args()
    o.folder.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": VOCAB, "hidden_size": HIDDEN,
        "intermediate_size": FFN, "num_hidden_layers": o.layers, "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS, "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "hidden_act": "silu", "torch_dtype": "float16", "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2,
    }
    (o.folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    tokenizer = trimmed(json.loads(o.tokenizer.read_text()))
    (o.folder / "tokenizer.json").write_text(json.dumps(tokenizer, ensure_ascii=False))
    write_weights(o.folder / "model.safetensors", o.layers, o.seed)


if __name__ == "__main__":
    main()
