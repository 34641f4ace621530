//! Scores: shared contexts and batches against one full pass for each continuation, and lm-eval's truncation.

use super::families::log_softmax;
use super::goldens::{Golden, prefill, root};
use crate::{Item, LoadOptions, Loglikelihood, Model, Precision, load};

fn open(name: &str) -> Model {
    load(&root().join(name), &LoadOptions::default()).expect(name)
}

/// One continuation by itself, as lm-eval runs it: the last `max_length` + 1 tokens, without the last one.
fn alone(model: &Model, context: &[u32], continuation: &[u32]) -> Loglikelihood {
    let whole = [context, continuation].concat();
    let whole = &whole[whole.len().saturating_sub(model.max_length() + 1)..];
    let logits = prefill(&model.decoder, &whole[..whole.len() - 1]);
    let rows = &logits[logits.len() - continuation.len()..];
    Loglikelihood {
        logprob: rows.iter().zip(continuation).map(|(row, &token)| log_softmax(row, token)).sum(),
        greedy: rows.iter().zip(continuation).all(|(row, &token)| super::goldens::argmax(row) == token),
    }
}

fn check(model: &Model, items: &[Item]) {
    let scored = model.loglikelihoods(items).expect("scores");
    assert_eq!(scored.len(), items.len());
    for (i, (item, scored)) in items.iter().zip(&scored).enumerate() {
        assert_eq!(scored.len(), item.continuations.len());
        for (c, (continuation, got)) in item.continuations.iter().zip(scored).enumerate() {
            let want = alone(model, &item.context, continuation);
            assert!((got.logprob - want.logprob).abs() < 1e-4, "item {i}, choice {c}: {got:?} not {want:?}");
            assert_eq!(got.greedy, want.greedy, "item {i}, choice {c}");
        }
    }
}

/// Tokens that look random and are the same on every machine.
fn tokens(seed: u32, len: usize) -> Vec<u32> {
    let next = |x: u32| x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    std::iter::successors(Some(next(seed)), |&x| Some(next(x))).map(|x| (x >> 8) % 380).take(len).collect()
}

fn item(seed: u32, context: usize, continuations: &[usize]) -> Item {
    let continuation = |(i, &len): (usize, &usize)| tokens(seed * 100 + i as u32, len);
    Item { context: tokens(seed, context), continuations: continuations.iter().enumerate().map(continuation).collect() }
}

#[test]
fn shared_contexts_score_as_separate_sequences() {
    let model = open("llama");
    check(&model, &[item(1, 9, &[1, 1, 1]), item(2, 40, &[3, 1, 7, 2]), item(3, 1, &[5]), item(4, 100, &[1, 30])]);
}

#[test]
fn a_common_beginning_is_shared_and_changes_nothing() {
    let model = open("llama");
    let shots = tokens(9, 60);
    let with_shots = |item: Item| Item { context: [&shots[..], &item.context].concat(), ..item };
    let mut items: Vec<Item> = (20..50).map(|seed| with_shots(item(seed, 1 + seed as usize % 5, &[1, 2, 3]))).collect();
    // one context is the beginning itself, and one occurs twice
    items.push(Item { context: shots.clone(), ..item(60, 1, &[2, 1]) });
    items.push(items[3].clone());
    check(&model, &items);
}

#[test]
fn a_greedy_continuation_is_said_to_be_greedy() {
    let model = open("llama");
    let golden = Golden::open("llama");
    let prompt = &golden.expected.prompts[1];
    let mut wrong = prompt.greedy16.clone();
    wrong[15] ^= 1;
    let item = Item { context: prompt.input_ids.clone(), continuations: vec![prompt.greedy16.clone(), wrong] };
    let scored = model.loglikelihoods(&[item]).expect("scores");
    assert!(scored[0][0].greedy && !scored[0][1].greedy);
}

#[test]
fn long_contexts_lose_their_beginning_as_in_lm_eval() {
    let mut model = open("llama");
    model.set_max_length(32);
    // the first fits whole, the second with its short choices only, the third with none
    check(&model, &[item(1, 20, &[3, 13]), item(2, 30, &[1, 3, 9, 32]), item(3, 90, &[1, 12])]);
}

#[test]
fn what_cannot_be_scored_is_refused() {
    let mut model = open("llama");
    model.set_max_length(32);
    let refusal = |item| model.loglikelihoods(&[item]).expect_err("must refuse").to_string();
    assert!(refusal(item(1, 0, &[1])).contains("at least one token"));
    assert!(refusal(item(1, 1, &[0])).contains("at least one token"));
    assert!(refusal(item(1, 1, &[33])).contains("a continuation of 33 tokens is longer than the 32"));
    let outside = Item { context: vec![1], continuations: vec![vec![999]] };
    assert_eq!(refusal(outside), "token 999 is outside the vocabulary of 384");
    assert!(model.loglikelihoods(&[]).expect("nothing").is_empty());
}

#[test]
fn rolling_predicts_every_token_once_in_lm_evals_windows() {
    let mut model = open("llama");
    model.set_max_length(32);
    let prefix = model.config.bos.expect("bos");
    for length in [0, 1, 31, 32, 33, 64, 100] {
        let text = tokens(length as u32, length);
        let got = model.rolling(prefix, &[&text]).expect("rolling").remove(0);
        // utils.get_rolling_token_windows with one token of context, then make_disjoint_window
        let mut want = Vec::new();
        let first = &text[..length.min(32)];
        let inputs = [&[prefix], &first[..first.len().saturating_sub(1)]].concat();
        want.extend(prefill(&model.decoder, &inputs).iter().zip(first).map(|(row, &t)| log_softmax(row, t)));
        while want.len() < length {
            let end = length.min(want.len() + 32);
            let inputs = &text[end - 32 - 1..end - 1];
            let new = &text[want.len()..end];
            let logits = prefill(&model.decoder, inputs);
            want.extend(logits[32 - new.len()..].iter().zip(new).map(|(row, &t)| log_softmax(row, t)));
        }
        assert_eq!(got.len(), length);
        assert!(got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-4), "{length}: {got:?} {want:?}");
    }
}

#[test]
fn rolling_many_texts_equals_one_by_one() {
    let model = open("llama_spm");
    let texts: Vec<Vec<u32>> = [5, 300, 0, 90, 700].iter().map(|&n| tokens(n, n as usize)).collect();
    let all: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let together = model.rolling(1, &all).expect("rolling");
    for (text, got) in all.iter().zip(together) {
        let want = model.rolling(1, &[text]).expect("rolling").remove(0);
        assert!(got.len() == text.len() && got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-4));
    }
}

#[test]
fn sequences_that_turn_differently_are_scored_apart() {
    // within and beyond the 64 tokens it was first trained to, and after one context on both sides of them
    let golden = Golden::open("phi3_longrope");
    let (config, decoder) = (golden.config.clone(), golden.decoder(Precision::AsStored));
    let model = Model {
        kv: crate::KvType::F32,
        config,
        decoder,
        tokenizer: open("llama_spm").tokenizer,
        packing: None,
        notes: Vec::new(),
        max_length: 256,
    };
    check(&model, &[item(1, 60, &[2, 5, 6, 20]), item(2, 70, &[1, 3]), item(3, 40, &[3, 1]), item(4, 60, &[40])]);
}

#[test]
fn an_items_answer_does_not_depend_on_its_neighbours() {
    let path = |name: &str| super::goldens::root().join(format!("llama256/{name}.gguf"));
    let items: Vec<Item> = (0..12).map(|n| item(n, 3 + 5 * n as usize, &[1, 2, 5])).collect();
    for name in ["Q8_0", "Q4_K_M", "Q2_K", "IQ4_NL", "F16"] {
        let model = crate::load(&path(name), &crate::LoadOptions::default()).expect(name);
        let exact = crate::LoadOptions { precision: Precision::F32, ..crate::LoadOptions::default() };
        let exact = crate::load(&path(name), &exact).expect(name);
        let together = model.loglikelihoods(&items).expect("scored");
        let values = exact.loglikelihoods(&items).expect("scored");
        for ((item, together), values) in items.iter().zip(&together).zip(&values) {
            let alone = model.loglikelihoods(std::slice::from_ref(item)).expect("scored").remove(0);
            for ((alone, together), value) in alone.iter().zip(together).zip(values) {
                // products with blocks are the same to the bit; plain floats are summed in another order where few rows
                // ask
                let most = if name == "F16" { 1e-4 } else { 1e-5 };
                assert!((alone.logprob - together.logprob).abs() < most, "{name}: {alone:?} {together:?}");
                // rounding x to 8 bits costs hundredths of a nat a token
                let tokens = 8.0;
                assert!((alone.logprob - value.logprob).abs() < 0.1 * tokens, "{name}: {alone:?} {value:?}");
            }
        }
    }
}

#[test]
fn a_kept_head_gives_the_scores_of_a_shared_one_however_items_are_cut_into_calls() {
    let shots = tokens(9, 60);
    let mut items: Vec<Item> = (20..40).map(|seed| item(seed, 1 + seed as usize % 5, &[1, 2, 3])).collect();
    items.iter_mut().for_each(|item| item.context = [&shots[..], &item.context].concat());
    for name in ["llama256/Q8_0.gguf", "llama256/Q4_K_M.gguf", "llama"] {
        let model = open(name);
        let shared = model.loglikelihoods(&items).expect("scored");
        let head = model.head(&shots).expect("a head");
        assert_eq!(head.len(), shots.len());
        let kept = model.loglikelihoods_after(&head, &items).expect("scored");
        for (kept, shared) in kept.iter().flatten().zip(shared.iter().flatten()) {
            assert!((kept.logprob - shared.logprob).abs() < 1e-4, "{name}: {kept:?} {shared:?}");
        }
        // products with blocks are the same to the bit in any company, and so is all that comes of them
        let cut = |len: usize| -> Vec<_> {
            items.chunks(len).flat_map(|some| model.loglikelihoods_after(&head, some).expect("scored")).collect()
        };
        for len in [1, 3, 19] {
            for (cut, whole) in cut(len).iter().flatten().zip(kept.iter().flatten()) {
                let same = if name == "llama" { (cut.logprob - whole.logprob).abs() < 1e-4 } else { cut == whole };
                assert!(same, "{name}, {len} at a time: {cut:?} {whole:?}");
            }
        }
        if name != "llama" {
            // all contexts go on from the same 60 tokens, in this pass or from the pass before: the same sums, the same bits
            let alike: Vec<Item> = items.iter().filter(|item| item.context.len() > 61).cloned().collect();
            assert_eq!(
                model.loglikelihoods(&alike).expect("scored"),
                model.loglikelihoods_after(&head, &alike).expect("scored")
            );
        }
    }
}

#[test]
fn a_head_is_left_out_where_a_context_turns_otherwise_is_cut_or_begins_otherwise() {
    let mut model = open("llama");
    model.set_max_length(64);
    let shots = tokens(9, 60);
    let head = model.head(&shots).expect("a head");
    let begun = |own: &[u32], continuation: Vec<u32>| Item {
        context: [&shots[..], own].concat(),
        continuations: vec![continuation],
    };
    let items =
        [begun(&[5], vec![1, 2]), begun(&[5, 6, 7, 8], vec![1, 2, 3]), begun(&[], vec![3]), item(1, 9, &[2, 1])];
    for (with, without) in
        model.loglikelihoods_after(&head, &items).expect("scored").iter().flatten().zip(
            items.iter().flat_map(|item| model.loglikelihoods(std::slice::from_ref(item)).expect("scored").remove(0)),
        )
    {
        assert!((with.logprob - without.logprob).abs() < 1e-4, "{with:?} {without:?}");
    }
    assert!(model.head(&tokens(1, 15)).expect("none").is_empty(), "too short");
    assert!(model.head(&tokens(1, 64)).expect("none").is_empty(), "too long");
}
