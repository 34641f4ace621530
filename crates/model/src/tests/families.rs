//! Every row of the architecture table: transformers' hidden states, logits and greedy tokens, and every way of running
//! the graph agreeing.

use super::goldens::{Golden, argmax, distance, prefill, root_span, rows};
use crate::architecture::ARCHITECTURES;
use crate::checkpoint::gguf::GgufWeights;
use crate::{Config, Decoder, Precision, Span};
use bantam_format::gguf::Gguf;
use candle_core::Device;

/// A checkpoint of each architecture, some with options of their own.
pub(super) const ALL: [&str; 104] = [
    "apertus",
    "apertus_biased",
    "arcee",
    "arcee_biased",
    "bitnet",
    "bitnet_other",
    "cohere",
    "cohere2",
    "cohere2_other",
    "cohere_biased",
    "deepseek_v2",
    "deepseek_v2_grouped",
    "deepseek_v3",
    "ernie4_5",
    "ernie4_5_biased",
    "ernie4_5_moe",
    "ernie4_5_moe_other",
    "exaone4",
    "exaone4_whole",
    "falcon_h1",
    "falcon_h1_normed",
    "gemma",
    "gemma2",
    "gemma3",
    "gemma3n",
    "gemma3n_other",
    "gemma4",
    "gemma4_experts",
    "gemma4_other",
    "glm4",
    "glm4_moe",
    "glm4_moe_lite",
    "glm4_moe_other",
    "glm4_other",
    "gpt2",
    "gpt_bigcode",
    "gpt_neo",
    "gpt_neo_other",
    "gpt_neox",
    "gpt_oss",
    "gpt_oss_other",
    "granite",
    "granitemoe",
    "granitemoe_other",
    "granitemoehybrid",
    "granitemoehybrid_attention",
    "granitemoehybrid_experts",
    "granitemoehybrid_roped",
    "helium",
    "helium_other",
    "hunyuan_v1_dense",
    "hunyuan_v1_dense_plain",
    "internlm3",
    "lfm2",
    "lfm2_biased",
    "lfm2_moe",
    "lfm2_moe_plain",
    "llama",
    "llama_scaled",
    "llama_spm",
    "mamba2",
    "mamba2_other",
    "minicpm3",
    "minicpm3_other",
    "ministral3",
    "ministral3_windowed",
    "mistral",
    "mistral_mixed",
    "mixtral",
    "nanochat",
    "nanochat_other",
    "nemotron",
    "nemotron_h",
    "nemotron_h_moe",
    "nemotron_other",
    "olmo",
    "olmo2",
    "olmo3",
    "olmo3_scaled",
    "olmo_other",
    "olmoe",
    "olmoe_other",
    "opt",
    "opt_other",
    "phi",
    "phi3",
    "phi3_longrope",
    "phi_tied",
    "phimoe",
    "phimoe_tied",
    "qwen2",
    "qwen2_moe",
    "qwen2_own_head",
    "qwen3",
    "qwen3_5",
    "qwen3_5_moe",
    "qwen3_5_moe_fused",
    "qwen3_moe",
    "seed_oss",
    "seed_oss_other",
    "smollm3",
    "stablelm",
    "starcoder2",
    "youtu",
];

#[test]
fn every_family_has_a_golden_checkpoint() {
    let covered: Vec<&str> = ALL.iter().map(|name| Golden::open(name).config.architecture.name).collect();
    let bare: Vec<&str> =
        ARCHITECTURES.iter().map(|architecture| architecture.name).filter(|name| !covered.contains(name)).collect();
    assert!(bare.is_empty(), "{bare:?}");
}

#[test]
fn hidden_states_equal_transformers_layer_by_layer() {
    for name in ALL {
        let golden = Golden::open(name);
        let decoder = golden.decoder(Precision::AsStored);
        for prompt in [0, 3] {
            let tokens = &golden.expected.prompts[prompt].input_ids;
            let mut seen = Vec::new();
            decoder
                .forward_observed(tokens, &[root_span(tokens.len(), None)], &mut [], &mut |_, x| seen.push(rows(x)))
                .expect("forward");
            assert_eq!(seen.len(), golden.config.layers.len() + 1);
            for (layer, got) in seen.iter().enumerate() {
                let Some(want) = golden.hidden(prompt, layer) else { continue };
                let far = distance(got, &want);
                assert!(far < 1e-4, "{name} prompt {prompt} after layer {layer}: {far}");
            }
        }
    }
}

#[test]
fn logits_equal_transformers() {
    for name in ALL {
        let golden = Golden::open(name);
        for precision in [Precision::AsStored, Precision::F32] {
            let decoder = golden.decoder(precision);
            for (i, prompt) in golden.expected.prompts.iter().enumerate() {
                let far = distance(&prefill(&decoder, &prompt.input_ids), &golden.logits(i));
                assert!(far < 1e-4, "{name} prompt {i} in {precision:?}: {far}");
            }
        }
    }
}

#[test]
fn likelihoods_equal_transformers() {
    for name in ALL {
        let golden = Golden::open(name);
        let decoder = golden.decoder(Precision::AsStored);
        for (i, prompt) in golden.expected.prompts.iter().enumerate() {
            let logits = prefill(&decoder, &prompt.input_ids);
            let nll: f64 = logits.iter().zip(&prompt.input_ids[1..]).map(|(row, &next)| -log_softmax(row, next)).sum();
            assert!((nll - prompt.nll_sum).abs() < 1e-3, "{name} prompt {i}: {nll} not {}", prompt.nll_sum);
        }
    }
}

#[test]
fn greedy_tokens_equal_transformers() {
    for name in ALL {
        let golden = Golden::open(name);
        let decoder = golden.decoder(Precision::AsStored);
        for (i, prompt) in golden.expected.prompts.iter().enumerate() {
            // a sequence that is read again as a whole for each token, where that makes a difference
            let want = prompt.greedy16_nocache.as_ref().unwrap_or(&prompt.greedy16);
            assert_eq!(&greedy(&golden, &decoder, &prompt.input_ids, want.len()), want, "{name} prompt {i}");
        }
    }
}

#[test]
fn one_prefill_equals_step_by_step_decode() {
    for name in ALL {
        let golden = Golden::open(name);
        let decoder = golden.decoder(Precision::AsStored);
        let tokens = &golden.expected.prompts[3].input_ids;
        let mut caches = [golden.cache()];
        let step = |token: &u32| {
            let hidden = decoder.forward(&[*token], &[root_span(1, Some(0))], &mut caches).expect("forward");
            rows(&decoder.logits(&hidden).expect("logits")).remove(0)
        };
        let stepped: Vec<Vec<f32>> = tokens.iter().map(step).collect();
        // those that turn as in the whole: a scaling may make a longer sequence another one altogether
        let whole = golden.config.rope_regime(tokens.len());
        let first =
            (1..).find(|&len| golden.config.rope_regime(len) == whole).expect("the whole turns like itself") - 1;
        let far = distance(&stepped[first..], &prefill(&decoder, tokens)[first..]);
        assert!(far < 1e-4, "{name}: {far}");
        assert_eq!(caches[0].len(), tokens.len());
    }
}

#[test]
fn a_batch_of_different_lengths_equals_one_by_one() {
    for name in ALL {
        let golden = Golden::open(name);
        let decoder = golden.decoder(Precision::AsStored);
        let prompts: Vec<&[u32]> = golden.expected.prompts.iter().map(|p| &p.input_ids[..]).collect();
        let spans: Vec<Span> = prompts.iter().map(|p| root_span(p.len(), None)).collect();
        let hidden = decoder.forward(&prompts.concat(), &spans, &mut []).expect("forward");
        let together = rows(&decoder.logits(&hidden).expect("logits"));
        let apart: Vec<Vec<f32>> = prompts.iter().flat_map(|p| prefill(&decoder, p)).collect();
        let far = distance(&together, &apart);
        assert!(far < 1e-4, "{name}: {far}");
    }
}

#[test]
fn child_spans_equal_separate_full_sequences() {
    for name in ALL {
        let golden = Golden::open(name);
        let decoder = golden.decoder(Precision::AsStored);
        let context = &golden.expected.prompts[1].input_ids[..];
        let choices: [&[u32]; 3] = [&[5, 6, 7], &[8], &[9, 10, 11, 12, 13]];
        let mut tokens = context.to_vec();
        let mut spans = vec![root_span(context.len(), None)];
        for choice in choices {
            tokens.extend(choice);
            spans.push(Span { len: choice.len(), parent: Some(0), past: None });
        }
        let hidden = decoder.forward(&tokens, &spans, &mut []).expect("forward");
        let mut shared = rows(&decoder.logits(&hidden).expect("logits")).split_off(context.len());
        for choice in choices {
            let rest = shared.split_off(choice.len());
            let far = distance(&prefill(&decoder, &[context, choice].concat()), &shared);
            assert!(far < 1e-4, "{name}: {far}");
            shared = rest;
        }
    }
}

#[test]
fn a_prompt_in_pieces_equals_one_prefill() {
    for name in ALL {
        let golden = Golden::open(name);
        let decoder = golden.decoder(Precision::AsStored);
        let tokens = &golden.expected.prompts[3].input_ids[..];
        let mut caches = [golden.cache()];
        let mut last = Vec::new();
        for piece in tokens.chunks(29) {
            let hidden = decoder.forward(piece, &[root_span(piece.len(), Some(0))], &mut caches).expect("forward");
            last = rows(&decoder.logits(&hidden).expect("logits"));
        }
        let far = distance(&prefill(&decoder, tokens), &last);
        assert!(far < 1e-4, "{name}: {far}");
    }
}

#[test]
fn a_frozen_prefix_serves_many_spans_and_stays_as_it_was() {
    for name in ALL {
        let golden = Golden::open(name);
        let decoder = golden.decoder(Precision::AsStored);
        let prefix = &golden.expected.prompts[0].input_ids[..];
        let mut caches = [golden.cache()];
        decoder.forward(prefix, &[root_span(prefix.len(), Some(0))], &mut caches).expect("prefix");
        caches[0].freeze();
        let spans = [root_span(2, Some(0)), root_span(3, Some(0))];
        for _ in 0..2 {
            let hidden = decoder.forward(&[1, 2, 3, 4, 5], &spans, &mut caches).expect("spans");
            let got = rows(&decoder.logits(&hidden).expect("logits"));
            assert_eq!(caches[0].len(), prefix.len());
            let far = distance(&prefill(&decoder, &[prefix, &[1, 2]].concat()), &got[..2]);
            assert!(far < 1e-4, "{name}: {far}");
            assert!(distance(&prefill(&decoder, &[prefix, &[3, 4, 5]].concat()), &got[2..]) < 1e-4, "{name}");
        }
    }
}

#[test]
fn a_sequence_that_was_cut_goes_on_as_if_it_had_never_been_longer() {
    for name in ALL {
        let golden = Golden::open(name);
        let decoder = golden.decoder(Precision::AsStored);
        let tokens = &golden.expected.prompts[1].input_ids[..];
        let mut caches = [golden.cache()];
        let run = |tokens: &[u32], caches: &mut [crate::Cache]| {
            let hidden = decoder.forward(tokens, &[root_span(tokens.len(), Some(0))], caches).expect("forward");
            rows(&decoder.logits(&hidden).expect("logits"))
        };
        run(tokens, &mut caches);
        for left in [tokens.len() - 1, 5, 0] {
            caches[0].truncate(left);
            let got = run(&[7, 8], &mut caches);
            let far = distance(&prefill(&decoder, &[&tokens[..left], &[7, 8]].concat()), &got);
            assert!(far < 1e-4, "{name} cut to {left}: {far}");
            let (got, whole) = (run(&[9], &mut caches), [&tokens[..left], &[7, 8, 9]].concat());
            assert!(distance(&prefill(&decoder, &whole), &got) < 1e-4, "{name} after a cut to {left}");
            assert_eq!(caches[0].len(), left + 3);
            // what comes before the next cut is the text's own again
            caches[0].truncate(left.min(5));
        }
    }
}

/// Files that llama.cpp's converter made of the goldens: other names, orders and signs, and the same model.
#[test]
fn a_file_of_llama_cpps_converter_is_the_same_model() {
    let mut compared = 0;
    for name in ALL {
        let golden = Golden::open(name);
        let file = golden.folder.join("llama_cpp.gguf");
        if !file.is_file() {
            continue;
        }
        let gguf = Gguf::open(&file).expect(name);
        let config = Config::from_gguf(&gguf).expect(name);
        config.agree_with_gguf(&gguf).expect(name);
        for precision in [Precision::AsStored, Precision::F32] {
            let weights = GgufWeights::new(&gguf, &config, &Device::Cpu, precision);
            let decoder = Decoder::new(&config, &weights).expect(name);
            for (i, prompt) in golden.expected.prompts.iter().enumerate() {
                let far = distance(&prefill(&decoder, &prompt.input_ids), &golden.logits(i));
                assert!(far < 1e-4, "{name} prompt {i} in {precision:?}: {far}");
            }
        }
        compared += 1;
    }
    assert!(compared >= 8, "{compared}");
}

#[test]
fn refuses_spans_and_tokens_that_make_no_sense() {
    let golden = Golden::open("llama");
    let decoder = golden.decoder(Precision::AsStored);
    let refusal = |tokens: &[u32], spans: &[Span]| {
        let mut caches = [golden.cache()];
        decoder.forward(tokens, spans, &mut caches).expect_err("must refuse").to_string()
    };
    assert_eq!(refusal(&[9999], &[root_span(1, None)]), "token 9999 is outside the vocabulary of 384");
    assert_eq!(refusal(&[1, 2], &[root_span(1, None)]), "spans of 1 tokens do not cover 2 tokens");
    assert_eq!(refusal(&[], &[]), "spans of 0 tokens do not cover 0 tokens");
    let itself = Span { len: 1, parent: Some(0), past: None };
    assert!(refusal(&[1], &[itself]).starts_with("span 0 names a later span"));
    assert!(refusal(&[1], &[root_span(1, Some(7))]).starts_with("span 0 names"));
    assert!(refusal(&[1, 2], &[root_span(1, Some(0)), root_span(1, Some(0))]).starts_with("two spans would be added"));
}

fn greedy(golden: &Golden, decoder: &Decoder, prompt: &[u32], tokens: usize) -> Vec<u32> {
    let mut caches = [golden.cache()];
    let mut next = prompt.to_vec();
    let mut out = Vec::new();
    while out.len() < tokens {
        let hidden = decoder.forward(&next, &[root_span(next.len(), Some(0))], &mut caches).expect("forward");
        let last = hidden.narrow(0, next.len() - 1, 1).expect("last row");
        let token = argmax(&rows(&decoder.logits(&last).expect("logits"))[0]);
        out.push(token);
        next = vec![token];
    }
    out
}

pub(super) fn log_softmax(row: &[f32], token: u32) -> f64 {
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|&x| f64::from(x - max).exp()).sum();
    f64::from(row[token as usize] - max) - sum.ln()
}

/// Every checkpoint in a folder that `BANTAM_CHECKPOINTS` names, each with `expected.json` and `expected.safetensors`
/// as the goldens have them: for references too many to keep.
/// How far hidden states are from those expected of a prompt, before and after each layer, where they are known.
fn by_layer(golden: &Golden, decoder: &Decoder, prompt: usize) -> Vec<Option<f32>> {
    let tokens = &golden.expected.prompts[prompt].input_ids;
    let mut far = Vec::new();
    let see = &mut |layer: usize, x: &candle_core::Tensor| {
        far.push(golden.hidden(prompt, layer).map(|want| distance(&rows(x), &want)));
    };
    decoder.forward_observed(tokens, &[root_span(tokens.len(), None)], &mut [], see).expect("forward");
    far
}

#[test]
#[ignore = "needs a folder of checkpoints with expected values"]
fn checkpoints_elsewhere_equal_transformers() {
    let place = std::env::var("BANTAM_CHECKPOINTS").expect("BANTAM_CHECKPOINTS names a folder");
    let mut folders: Vec<_> = std::fs::read_dir(place).expect("folder").flatten().map(|entry| entry.path()).collect();
    folders.sort();
    let mut wrong = Vec::new();
    for folder in folders.iter().filter(|folder| folder.join("expected.json").is_file()) {
        let name = folder.file_name().expect("a name").to_string_lossy();
        let compared = std::panic::catch_unwind(|| {
            let golden = Golden::at(folder);
            let decoder = golden.decoder(Precision::AsStored);
            let mut farthest: f32 = 0.0;
            for (i, prompt) in golden.expected.prompts.iter().enumerate() {
                let far = distance(&prefill(&decoder, &prompt.input_ids), &golden.logits(i));
                if far >= 1e-4 {
                    println!("{name} prompt {i}: {far} after layers {:?}", by_layer(&golden, &decoder, i));
                }
                farthest = farthest.max(far);
                let want = prompt.greedy16_nocache.as_ref().unwrap_or(&prompt.greedy16);
                assert_eq!(&greedy(&golden, &decoder, &prompt.input_ids, want.len()), want, "prompt {i}");
            }
            farthest
        });
        match compared {
            Ok(far) if far < 1e-4 => println!("{name}: {far:.1e}"),
            Ok(far) => wrong.push(format!("{name}: {far}")),
            Err(_) => wrong.push(format!("{name}: fails")),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
