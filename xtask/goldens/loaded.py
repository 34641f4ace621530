"""Whether llama.cpp loads what bantam exports, and says the same: `loaded.py DIR`, where DIR was filled by

    BANTAM_EXPORTS=DIR cargo test --release -p bantam-lab --lib exports_for_other_programs -- --ignored

Needs llama-cpp-python, or its source on PYTHONPATH and LLAMA_CPP_LIB_PATH for a folder with libllama.
"""

import ctypes
import json
import sys
from pathlib import Path

import llama_cpp as llama


def logits(path, tokens):
    """Of every position, one row after the other; None where the file is not loaded."""
    params = llama.llama_model_default_params()
    params.n_gpu_layers = 0
    model = llama.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        return None
    params = llama.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch = 256, 256, 256
    params.type_k = params.type_v = 0  # F32
    params.n_threads = params.n_threads_batch = 2
    context = llama.llama_init_from_model(model, params)
    if not context:
        return None
    width = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
    batch = llama.llama_batch_init(len(tokens), 0, 1)
    batch.n_tokens = len(tokens)
    for i, token in enumerate(tokens):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.seq_id[i][0] = token, i, 1, 0
        batch.logits[i] = 1
    failed = llama.llama_decode(context, batch)
    rows = [llama.llama_get_logits_ith(context, i)[:width] for i in range(len(tokens))] if not failed else None
    llama.llama_batch_free(batch)
    llama.llama_free(context)
    llama.llama_model_free(model)
    return rows and [x for row in rows for x in row]


def main(folder):
    quiet = llama.llama_log_callback(lambda *_: None)
    llama.llama_log_set(quiet, ctypes.c_void_p())
    llama.llama_backend_init()
    for said in sorted(Path(folder).glob("*.json")):
        known = json.loads(said.read_text())
        found = logits(said.with_suffix(".gguf"), known["tokens"])
        notes = " | ".join(known["notes"])
        if found is None:
            print(f"{said.stem}: not loaded; {notes}")
        elif len(found) != len(known["logits"]):
            print(f"{said.stem}: {len(found)} logits for {len(known['logits'])}; {notes}")
        else:
            far = max(abs(a - b) for a, b in zip(found, known["logits"]))
            print(f"{said.stem}: {far:.1e}; {notes}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
