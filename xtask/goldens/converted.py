"""tests/golden/model/NAME/llama_cpp.gguf: what llama.cpp's converter makes of a checkpoint that has no tokenizer, so that the
vocabulary is left out. `converted.py LLAMA_CPP NAME…`, where LLAMA_CPP is a folder of llama.cpp's source.
"""

import json
import sys
from pathlib import Path

from common import GOLDEN


def convert(name):
    import gguf
    import torch
    from conversion import ModelBase, ModelType, get_model_architecture, get_model_class

    folder = GOLDEN / "model" / name
    config = ModelBase.load_hparams(folder, False)
    if config["model_type"] == "granitemoehybrid":
        # the converter looks for the words of the first checkpoints
        words = {"linear_attention": "mamba", "full_attention": "attention"}
        config["layer_types"] = [words[word] for word in config["layer_types"]]
    kind = get_model_class(get_model_architecture(config, ModelType.TEXT))
    kind.no_mtp = True
    with torch.inference_mode():
        model = kind(folder, gguf.LlamaFileType.MOSTLY_BF16, folder / "llama_cpp.gguf", hparams=config)
        for one in (model, getattr(model, "impl", None)):
            if one is not None:
                one.set_vocab = lambda: None
        # Gemma's counts the vocabulary, and cuts the embedding to it
        stub = folder / "tokenizer.json"
        vocab = {str(token): token for token in range(config["vocab_size"])}
        stub.write_text(json.dumps({"model": {"vocab": vocab}, "added_tokens": []}))
        model.write()
        stub.unlink()


if __name__ == "__main__":
    source = Path(sys.argv[1])
    sys.path[:0] = [str(source), str(source / "gguf-py")]
    for name in sys.argv[2:]:
        convert(name)
