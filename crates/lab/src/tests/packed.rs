//! Packed integers in safetensors: what is written is read back as what it stands for.

use super::*;
use crate::export::{Dtype, From, PackedForm, Packing, to_packed};
use bantam_model::tokenizer::Special;
use bantam_model::{LoadOptions, Model, Precision, load};

const FORMS: [PackedForm; 2] = [PackedForm::CompressedTensors, PackedForm::Gptq];

fn small() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/bantam-s")
}

fn packing(form: PackedForm, bits: u32, group: usize) -> Packing {
    Packing { form, bits, group: Some(group), method: Method::Rounding, calibrate: None }
}

fn exported(model: &Path, packing: &Packing, dtype: Option<Dtype>, to: &Path) -> anyhow::Result<export::Exported> {
    let from = From { name: "small", model: model.into(), adapter: None };
    to_packed(from, packing, dtype, to, &Cancel::new(), &mut |_, _, _| ())
}

fn loaded(path: &Path) -> Model {
    load(path, &LoadOptions { precision: Precision::F32, ..Default::default() }).expect("a model")
}

/// The matrices of the layers, and whatever else is multiplied by.
fn matrices(path: &Path) -> Vec<(String, Vec<f32>)> {
    let model = loaded(path);
    let numbers = |linear: &bantam_model::Linear| {
        linear.dequantized().and_then(|t| Ok(t.flatten_all()?.to_vec1::<f32>()?)).expect("numbers")
    };
    model.decoder.linears().iter().map(|(name, linear)| (name.clone(), numbers(linear))).collect()
}

/// What a model says after each token of a part of the bundled text.
fn logits(path: &Path) -> Vec<f32> {
    let model = loaded(path);
    let text = bantam_bundled::calibration::TEXT;
    let tokens = model.tokenizer.encode(&text[..text.floor_char_boundary(1200)], Special::With).expect("tokens");
    let span = bantam_model::Span { len: tokens.len(), parent: None, past: None };
    let hidden = model.decoder.forward(&tokens, &[span], &mut []).expect("hidden states");
    model.decoder.logits(&hidden).and_then(|t| Ok(t.flatten_all()?.to_vec1()?)).expect("logits")
}

fn far(a: &[f32], b: &[f32]) -> f64 {
    let sum = |pairs: &dyn Fn(usize) -> f32| (0..a.len()).map(|i| f64::from(pairs(i)).powi(2)).sum::<f64>();
    (sum(&|i| a[i] - b[i]) / sum(&|i| b[i])).sqrt()
}

#[test]
fn packed_matrices_come_back_within_their_steps_and_both_forms_stand_for_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let whole = matrices(&small());
    for (bits, group, most) in [(4, 32, 0.12), (4, 64, 0.13), (4, 128, 0.15), (8, 32, 0.008), (8, 128, 0.01)] {
        let made = FORMS.map(|form| {
            let to = folder.path().join(format!("{form:?}-{bits}-{group}"));
            let made = exported(&small(), &packing(form, bits, group), Some(Dtype::F16), &to).expect("exported");
            assert!(
                made.notes[0].contains(&format!("are packed in {bits} bits, groups of {group}")),
                "{:?}",
                made.notes
            );
            let found = loaded(&to).config.quantization.expect("quantized").to_string();
            assert!(found.contains(&format!("{bits} bits, groups of {group}, symmetric")), "{found}");
            to
        });
        let [one, other] = made.map(|to| matrices(&to));
        assert_eq!(one, other, "{bits} {group}");
        let mut changed = 0;
        for ((name, before), (_, after)) in whole.iter().zip(&one) {
            let off = far(after, before);
            assert!(off <= most, "{name}: {off} in {bits} bits, groups of {group}");
            changed += usize::from(off > 1e-3);
        }
        assert_eq!(changed, 14, "seven matrices of two layers, and not the embedding");
    }
    // only the folder of GPTQ has the file that its old readers look for
    let has = |form| folder.path().join(format!("{form:?}-4-32/quantize_config.json")).is_file();
    assert_eq!(FORMS.map(has), [false, true]);
}

#[test]
fn a_model_packs_by_what_a_text_tells_and_keeps_its_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let before = logits(&small());
    for form in FORMS {
        let off = [Method::Rounding, Method::Gptq].map(|method| {
            let to = folder.path().join(format!("{form:?}-{method:?}"));
            let how = Packing { method, ..packing(form, 4, 32) };
            exported(&small(), &how, None, &to).expect("exported");
            let tokens = |path: &Path| loaded(path).tokenizer.encode("What now?", Special::With).expect("tokens");
            assert_eq!(tokens(&to), tokens(&small()));
            let kept = fs::read(to.join("tokenizer.json")).expect("a tokenizer");
            assert_eq!(kept, fs::read(small().join("tokenizer.json")).expect("a tokenizer"));
            far(&logits(&to), &before)
        });
        assert!(off[1] < 0.8 * off[0], "{form:?}: {off:?}");
    }
}

/// A GGUF file has no config.json and no tokenizer's files: they are made of what it says.
#[test]
fn a_gguf_file_is_packed_too_and_its_template_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = Source::open("small", &small()).expect("a source");
    let file = make(&source, &Recipe::quantize(Mixture::F16), folder.path()).path;
    for form in FORMS {
        let to = folder.path().join(format!("{form:?}"));
        exported(&file, &packing(form, 8, 64), Some(Dtype::F32), &to).expect("exported");
        let off = far(&logits(&to), &logits(&small()));
        assert!(off < 0.02, "{form:?}: {off}");
        assert!(to.join("tokenizer.json").is_file() && to.join("config.json").is_file());
    }
}

#[test]
fn what_cannot_be_packed_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let to = folder.path().join("x");
    let form = PackedForm::Gptq;
    let refused = |model: &Path, how: &Packing| {
        let said = format!("{:#}", exported(model, how, None, &to).expect_err("refused"));
        assert!(!said.contains('\n') && !to.exists(), "{said}");
        said
    };
    assert!(refused(&small(), &packing(form, 3, 32)).contains("--bits is 3; allowed are 4 and 8"));
    assert!(
        refused(&small(), &packing(form, 4, 48))
            .contains("--group is 48; allowed for the rows of this model are 128, 64, 32")
    );
    assert!(
        refused(&golden("llama"), &packing(form, 4, 128))
            .contains("--group is 128; allowed for the rows of this model are")
    );
    for (model, why) in
        [("mixtral", "the experts of a mixture are not packed here"), ("gpt2", "is no Linear in this architecture")]
    {
        let other = prune::folder_of(model, &|_, numbers| numbers);
        let said = refused(other.path(), &packing(form, 4, 32));
        assert!(said.contains(why), "{said}");
    }
    let best = Packing { method: Method::Best, ..packing(form, 4, 32) };
    assert!(refused(&small(), &best).contains("allowed are these two"));
    let text = folder.path().join("short.txt");
    fs::write(&text, "too short ".repeat(300)).expect("written");
    let short = Packing { calibrate: Some(crate::transform::Calibrate::on(&text)), ..packing(form, 4, 32) };
    assert!(refused(&small(), &short).contains("too few"), "{}", refused(&small(), &short));
}
