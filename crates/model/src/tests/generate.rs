//! Generation: transformers' greedy tokens, batches like single prompts, and every way to end.

use std::ops::ControlFlow;

use super::goldens::{Golden, root};
use crate::{Embedded, End, LoadOptions, Model, Sampling, load};

fn open(name: &str) -> (Golden, Model) {
    (Golden::open(name), load(&root().join(name), &LoadOptions::default()).expect(name))
}

fn greedy(tokens: usize) -> Sampling {
    Sampling { ignore_eos: true, ..Sampling::greedy(tokens) }
}

#[test]
fn greedy_generation_equals_transformers_alone_and_together() {
    for name in ["llama", "llama_scaled", "llama_spm"] {
        let (golden, model) = open(name);
        let prompts: Vec<&[u32]> = golden.expected.prompts.iter().map(|p| &p.input_ids[..]).collect();
        let together = model.generate_all(&prompts, &greedy(16), |_, _| ControlFlow::Continue(())).expect("generate");
        for (prompt, generated) in golden.expected.prompts.iter().zip(together) {
            let alone = model.generate(&prompt.input_ids, &greedy(16), |_| ControlFlow::Continue(())).expect("one");
            assert_eq!(alone.tokens, prompt.greedy16, "{name}");
            assert_eq!(alone, generated, "{name}");
            assert_eq!(alone.end, End::Length);
        }
    }
}

#[test]
fn a_model_in_the_binary_is_the_model_in_the_folder() {
    macro_rules! file {
        ($name:literal) => {
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/model/llama/", $name))
        };
    }
    let files = Embedded {
        name: "the bundled llama",
        config: file!("config.json"),
        weights: file!("model.safetensors"),
        tokenizer: file!("tokenizer.json"),
        tokenizer_config: Some(file!("tokenizer_config.json")),
        generation_config: Some(file!("generation_config.json")),
    };
    let (golden, folder) = open("llama");
    let embedded = load(&files, &LoadOptions::default()).expect("load");
    assert_eq!(embedded.config, folder.config);
    assert_eq!(embedded.tokenizer.chat_template(), folder.tokenizer.chat_template());
    let prompt = &golden.expected.prompts[0];
    let generated = embedded.generate(&prompt.input_ids, &greedy(16), |_| ControlFlow::Continue(())).expect("generate");
    assert_eq!(generated.tokens, prompt.greedy16);
    let cut = Embedded { weights: &files.weights[..1000], ..files };
    let Err(error) = load(&cut, &LoadOptions::default()) else { panic!("must be refused") };
    assert!(error.to_string().starts_with("the bundled llama: "), "{error}");
}

#[test]
fn the_token_that_ends_a_text_is_not_part_of_it() {
    let (golden, model) = open("llama");
    let prompt = golden.expected.prompts.iter().find(|p| model.config.eos.contains(&p.greedy16[0])).expect("one ends");
    let generated = model.generate(&prompt.input_ids, &Sampling::greedy(16), |_| ControlFlow::Continue(()));
    let generated = generated.expect("generate");
    assert_eq!((generated.tokens, generated.end), (vec![], End::Eos));
}

#[test]
fn the_caller_may_stop_and_the_context_may_fill() {
    let (golden, mut model) = open("llama");
    let prompt = &golden.expected.prompts[0];
    let mut seen = Vec::new();
    let stopped = model.generate(&prompt.input_ids, &greedy(16), |token| {
        seen.push(token);
        if seen.len() == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let stopped = stopped.expect("generate");
    assert_eq!((&stopped.tokens[..], stopped.end), (&prompt.greedy16[..3], End::Stopped));
    assert_eq!(seen, stopped.tokens);
    model.set_max_length(prompt.input_ids.len() + 2);
    let full = model.generate(&prompt.input_ids, &greedy(16), |_| ControlFlow::Continue(())).expect("generate");
    assert_eq!((full.tokens.len(), full.end), (2, End::Length));
    assert!(model.generate(&[], &greedy(1), |_| ControlFlow::Continue(())).is_err());
    assert!(model.generate(&[1; 300], &greedy(1), |_| ControlFlow::Continue(())).is_err());
}

#[test]
fn a_long_prompt_in_several_passes_equals_one_pass() {
    let (_, mut model) = open("llama_spm");
    model.set_max_length(4096);
    let prompt: Vec<u32> = (0..1200).map(|i| 3 + (i * 7919) % 500).collect();
    let long = model.generate(&prompt, &greedy(1), |_| ControlFlow::Continue(())).expect("generate");
    let logits = super::goldens::prefill(&model.decoder, &prompt);
    assert_eq!(long.tokens, [super::goldens::argmax(&logits[1199])]);
}

#[test]
fn a_seed_gives_one_text_in_any_company() {
    let (golden, model) = open("llama");
    let sampling = Sampling { temperature: 0.8, top_p: 0.95, seed: 7, ..greedy(24) };
    let [a, b] = [&golden.expected.prompts[0].input_ids[..], &golden.expected.prompts[1].input_ids[..]];
    let alone = model.generate(a, &sampling, |_| ControlFlow::Continue(())).expect("generate");
    let pair = model.generate_all(&[b, a], &sampling, |_, _| ControlFlow::Continue(())).expect("generate");
    assert_eq!(pair[1], alone);
    let other = Sampling { seed: 8, ..sampling };
    assert_ne!(model.generate(a, &other, |_| ControlFlow::Continue(())).expect("generate"), alone);
}

#[test]
fn a_rope_that_grows_with_the_sequence_goes_on_past_the_length_it_was_trained_to() {
    let golden = super::goldens::Golden::open("qwen2_own_head");
    let (config, decoder) = (golden.config.clone(), golden.decoder(crate::Precision::AsStored));
    let tokenizer =
        crate::load(&super::goldens::root().join("llama"), &crate::LoadOptions::default()).expect("loads").tokenizer;
    let mut model = crate::Model {
        kv: crate::KvType::F32,
        max_length: config.max_positions,
        config,
        decoder,
        tokenizer,
        packing: None,
        notes: Vec::new(),
    };
    // 48 positions at first, twice as many under its factor; transformers stops at no length
    let prompt = &golden.expected.prompts[1];
    assert_eq!((model.max_length(), prompt.input_ids.len()), (48, 30));
    let sampling = |tokens| crate::Sampling { ignore_eos: true, ..crate::Sampling::greedy(tokens) };
    let go = |_| std::ops::ControlFlow::Continue(());
    let generated = model.generate(&prompt.input_ids, &sampling(200), go).expect("generated");
    assert_eq!((generated.tokens.len(), generated.end), (96 - 30, crate::End::Length));
    let want = prompt.greedy16_nocache.as_ref().expect("kept");
    assert_eq!(&generated.tokens[..16], &want[..]);
    model.set_max_length(40);
    let generated = model.generate(&prompt.input_ids, &sampling(200), go).expect("generated");
    assert_eq!(generated.tokens.len(), 10);
}

#[test]
fn sequences_that_wait_for_a_slot_give_the_same_tokens_as_alone() {
    let model = load(&root().join("llama256/Q8_0.gguf"), &LoadOptions::default()).expect("loads");
    let token = |x: usize| 3 + (x * 7919 % 250) as u32;
    let shots: Vec<u32> = (0..40).map(token).collect();
    // more than there are slots, of many lengths, of which some end early, and every other one begins with the head
    let prompt = |n: usize| -> Vec<u32> {
        let own = (0..1 + n * 5 % 23).map(|i| token(100 * n + i));
        shots.iter().copied().filter(|_| n.is_multiple_of(2)).chain(own).collect()
    };
    let prompts: Vec<Vec<u32>> = (0..75).map(prompt).collect();
    let starts: Vec<&[u32]> = prompts.iter().map(Vec::as_slice).collect();
    let head = model.head(&shots).expect("a head");
    let mut seen = vec![0; starts.len()];
    let stops = |n: usize, seen: usize| if seen > n % 12 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let together = model.generate_after(&head, &starts, &greedy(16), |n, _| {
        seen[n] += 1;
        stops(n, seen[n])
    });
    for (n, (start, together)) in starts.iter().zip(together.expect("generated")).enumerate() {
        let mut seen = 0;
        let alone = model.generate_after(&head, &[start], &greedy(16), |_, _| {
            seen += 1;
            stops(n, seen)
        });
        assert_eq!(alone.expect("generated"), [together], "prompt {n}");
    }
}
