//! What calibration collects, against the same computed from a model's hidden states.

use super::*;
use crate::calibrate::InputSquares;
use bantam_model::checkpoint::safetensors::Safetensors;
use bantam_model::{Config, Decoder, Precision, Span, Weights};

fn model(name: &str) -> (Config, Safetensors) {
    let config = fs::read(golden(name).join("config.json")).expect("config");
    let config = Config::from_json(&config, "config.json").expect("config");
    let weights = Safetensors::open(&golden(name), &Device::Cpu, Precision::AsStored).expect("weights");
    let weights = weights.of_architecture(config.architecture);
    (config, weights)
}

fn squares(rows: &[Vec<f32>]) -> InputSquares {
    let column = |i| rows.iter().map(|row| f64::from(row[i]).powi(2)).sum();
    InputSquares { sums: (0..rows[0].len()).map(column).collect(), rows: rows.len() as u64 }
}

fn assert_near(a: &InputSquares, b: &InputSquares, what: &str) {
    assert_eq!((a.rows, a.sums.len()), (b.rows, b.sums.len()), "{what}");
    let far = |(x, y): (&f64, &f64)| (x - y).abs() > 1e-4 * y.abs() + 1e-9;
    assert!(!a.sums.iter().zip(&b.sums).any(far), "{what}: {:?} and {:?}", a.sums, b.sums);
}

#[test]
fn sums_of_squares_are_those_of_the_hidden_states() {
    let (config, weights) = model("llama");
    let texts: Vec<Vec<u32>> = vec![(0..40).map(|i| i * i % 300).collect(), vec![5, 9, 200]];
    let seen = Calibration::new(texts.clone(), &Cancel::new()).input_squares(&config, &weights).expect("squares");

    // the input of q, k and v is the layer's, normed and weighted; that of the head what leaves the final norm
    let decoder = Decoder::new(&config, &weights).expect("a decoder");
    let mut inputs = vec![Vec::new(); config.layers.len() + 1];
    for text in &texts {
        let span = Span { len: text.len(), parent: None, past: None };
        let rows = |x: &Tensor| x.to_vec2::<f32>().expect("rows");
        let see = &mut |layer: usize, x: &Tensor| inputs[layer].extend(rows(x));
        decoder.forward_observed(text, &[span], &mut [], see).expect("forward");
    }
    for (layer, inputs) in inputs[..config.layers.len()].iter().enumerate() {
        let norm = weights.tensor(&format!("model.layers.{layer}.input_layernorm.weight"), &[config.dim]);
        let norm: Vec<f32> = norm.expect("a norm").to_vec1().expect("weights");
        let normed = inputs.iter().map(|row| {
            let mean = row.iter().map(|x| x * x).sum::<f32>() / row.len() as f32;
            let scale = 1.0 / (mean + config.norm_eps as f32).sqrt();
            row.iter().zip(&norm).map(|(x, w)| x * scale * w).collect()
        });
        let wanted = squares(&normed.collect::<Vec<Vec<f32>>>());
        for matrix in ["q_proj", "k_proj", "v_proj"] {
            let name = format!("model.layers.{layer}.self_attn.{matrix}.weight");
            assert_near(&seen[&name], &wanted, &name);
        }
    }
    assert!(config.tied);
    assert_near(&seen["model.embed_tokens.weight"], &squares(&inputs[config.layers.len()]), "the head");
    assert_eq!(seen.len(), decoder.linears().len() - 1, "every matrix once, the head as the embedding that it is");
    assert!(seen.values().all(|squares| squares.rows == 43));
}

#[test]
fn a_watched_graph_computes_what_it_computed() {
    struct Blind;
    impl bantam_model::InputObserver for Blind {
        fn see(&self, _: &str, _: &Tensor) -> bantam_model::Result<()> {
            Ok(())
        }
    }
    // experts, joined matrices, and matrices that lie (in, out)
    for name in ["llama", "mixtral", "phi3", "gpt2"] {
        let (config, weights) = model(name);
        let observed = bantam_model::Observed::new(&weights, std::sync::Arc::new(Blind));
        let tokens = [5, 9, 200, 3, 3, 17];
        let span = Span { len: tokens.len(), parent: None, past: None };
        let hidden = |weights: &dyn Weights| -> Vec<f32> {
            let decoder = Decoder::new(&config, weights).expect("a decoder");
            let hidden = decoder.forward(&tokens, std::slice::from_ref(&span), &mut []).expect("forward");
            hidden.flatten_all().and_then(|flat| flat.to_vec1()).expect("numbers")
        };
        assert_eq!(hidden(&observed), hidden(&weights), "{name}");
    }
}

#[test]
fn an_expert_sees_the_tokens_that_go_to_it() {
    let (config, weights) = model("mixtral");
    let text: Vec<u32> = (0..30).map(|i| i * 7 % 250).collect();
    let calibration = Calibration::new(vec![text], &Cancel::new());
    let seen = calibration.input_squares(&config, &weights).expect("squares");
    let experts = config.experts.expect("experts");
    let rows = seen.iter().filter(|(name, _)| name.contains("layers.0.") && name.ends_with("w1.weight"));
    assert_eq!(rows.map(|(_, squares)| squares.rows).sum::<u64>(), 30 * experts.used as u64);
}

#[test]
fn calibration_on_nothing_is_refused_and_can_be_stopped() {
    let (config, weights) = model("llama");
    let said = |calibration: &Calibration| {
        calibration.input_squares(&config, &weights).map(|_| ()).expect_err("refused").to_string()
    };
    assert_eq!(said(&Calibration::none()), "there is no text to calibrate on");
    let cancel = Cancel::new();
    cancel.cancel();
    assert_eq!(said(&Calibration::new(vec![vec![1, 2]], &cancel)), "cancelled");
    assert!(said(&Calibration::new(vec![vec![1, 99_999]], &Cancel::new())).contains("outside the vocabulary"));
}
