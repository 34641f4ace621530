//! Importance matrices: llama-imatrix's files and its numbers, and what rounding by them is worth.

use super::*;
use crate::calibrate::Text;
use crate::importance::{Entry, Kind};
use crate::transform::{Calibrate, Pinned};

pub(super) fn golden_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/compress").join(name)
}

fn llama256() -> Source<'static> {
    Source::open("llama256", &golden("llama256").join("F16.gguf")).expect("a source")
}

fn text<'t>(text: &'t str, window: usize, chunks: usize) -> Text<'t> {
    Text { name: "imatrix.txt", text, chunks: Some(chunks), window, as_chat: false }
}

fn far(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs() / (b.abs() + 1e-6)).fold(0.0, f32::max)
}

#[test]
fn both_of_llama_cpps_formats_are_read_and_written_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let (new, old) = (golden_file("imatrix.gguf"), golden_file("imatrix.dat"));
    let (read, legacy) = (Importance::read(&new).expect("reads"), Importance::read(&old).expect("reads"));
    assert_eq!((read.chunks, read.chunk_size, legacy.chunks), (4, 64, 4));
    assert_eq!((&read.datasets, &legacy.datasets), (&vec!["imatrix.txt".to_owned()], &read.datasets));
    assert!(read.entries.keys().eq(legacy.entries.keys()) && read.entries.len() >= 7);
    for (name, entry) in &read.entries {
        assert!(far(&legacy.entries[name].means(), &entry.means()) < 1e-5, "{name}");
    }
    let again = folder.path().join("again.gguf");
    read.write(Kind::of(&again), &again).expect("written");
    assert!(fs::read(&again).expect("bytes") == fs::read(&new).expect("bytes"), "not as llama-imatrix writes it");
    let again = folder.path().join("again.dat");
    read.write(Kind::of(&again), &again).expect("written");
    assert_eq!(fs::read(&again).expect("bytes").len(), fs::read(&old).expect("bytes").len());
    let again = Importance::read(&again).expect("reads");
    assert!(read.entries.iter().all(|(name, entry)| far(&again.entries[name].means(), &entry.means()) < 1e-5));
}

#[test]
fn the_same_text_gives_the_sums_that_llama_imatrix_gives() {
    let words = fs::read_to_string(golden_file("imatrix.txt")).expect("a text");
    let own = importance(&llama256(), text(&words, 64, 4), &Cancel::new(), &|_, _| {}).expect("made");
    let known = Importance::read(&golden_file("imatrix.gguf")).expect("reads");
    assert_eq!((own.chunks, own.chunk_size), (known.chunks, known.chunk_size));
    for (name, known) in &known.entries {
        let own = &own.entries[name];
        assert_eq!(own.counts, known.counts, "{name}");
        assert!(far(&own.means(), &known.means()) < 0.02, "{name}: {}", far(&own.means(), &known.means()));
    }
    // and the head's, which llama-imatrix leaves out
    assert!(own.entries.contains_key("output.weight"));
}

#[test]
fn experts_are_stacked_and_one_that_saw_nothing_counts_as_even() {
    let folder = tempfile::tempdir().expect("a folder");
    for (model, file) in [("mixtral", "config.json"), ("mixtral", "model.safetensors"), ("llama", "tokenizer.json")] {
        fs::copy(golden(model).join(file), folder.path().join(file)).expect("copied");
    }
    let source = Source::open("mixtral", folder.path()).expect("a source");
    let words = fs::read_to_string(golden_file("imatrix.txt")).expect("a text");
    let own = importance(&source, text(&words, 16, 2), &Cancel::new(), &|_, _| {}).expect("made");
    let entry = &own.entries["blk.0.ffn_down_exps.weight"];
    let (experts, used) = (source.experts(), 2);
    assert_eq!(entry.counts.len(), experts);
    assert_eq!(entry.counts.iter().sum::<u64>(), 32 * used);
    let unseen = Entry { sums: vec![4.0, 0.0, 0.0, 0.0], counts: vec![2, 0] };
    assert_eq!(unseen.means(), [2.0, 0.0, 1.0, 1.0]);
    let columns = entry.sums.len() / experts;
    let found = own.of_tensor("blk.0.ffn_down_exps.weight", experts, columns).expect("fits").expect("is there");
    assert_eq!(found, entry.means());
    let refused = own.of_tensor("blk.0.ffn_down_exps.weight", experts, columns + 32).expect_err("another model");
    assert!(refused.to_string().contains("made of another model"), "{refused}");

    let file = folder.path().join("i.gguf");
    own.write(Kind::Gguf, &file).expect("written");
    let quantize = Quantize { imatrix: Some(Pinned::new(&file)), ..Quantize::new(Mixture::Q4_0) };
    let weighed = make(&source, &Recipe::of_quantize(quantize).expect("a recipe"), folder.path());
    let plain = make(&source, &Recipe::quantize(Mixture::Q4_0), folder.path());
    assert!(weighed.path != plain.path && weighed.sha256 != plain.sha256 && weighed.bytes == plain.bytes);
}

/// Σ of importance times squared error over a tensor.
fn weighed_error(artifact: &Artifact, source: &Source, name: &str, importance: &[f32]) -> f64 {
    let made = values(artifact, name);
    let tensor = source.tensors().iter().find(|tensor| tensor.name == name).expect("a tensor").clone();
    let checkpoint = source.checkpoint();
    let rows = source.rows(&tensor, checkpoint.weights()).expect("rows");
    let mut row = vec![0.0; rows.columns];
    (0..rows.count)
        .map(|index| {
            rows.read(index, &mut row);
            let own = &made[index * rows.columns..(index + 1) * rows.columns];
            let miss = row.iter().zip(own).zip(importance).map(|((a, b), w)| f64::from(*w) * f64::from(a - b).powi(2));
            miss.sum::<f64>()
        })
        .sum()
}

#[test]
fn every_quantized_mixture_rounds_by_what_matters() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = llama256();
    // columns that matter a hundred times as much as their neighbours
    let uneven: Vec<f32> = (0..256).map(|i| if i % 5 == 0 { 100.0 } else { 1.0 }).collect();
    let name = "blk.0.attn_q.weight";
    let entries = [(name.to_owned(), Entry { sums: uneven.clone(), counts: vec![1] })].into();
    let file = folder.path().join("uneven.dat");
    Importance { entries, ..Importance::default() }.write(Kind::Legacy, &file).expect("written");
    // candle reads them back, and knows none of codebooks; those of few levels have nothing to choose
    let known = |mixture: &Mixture| {
        mixture.is_quantized()
            && mixture.is_general()
            && !mixture.needs_importance()
            && !mixture.name().starts_with("IQ")
    };
    for mixture in Mixture::all().filter(known) {
        let weighed = Quantize { imatrix: Some(Pinned::new(&file)), ..Quantize::new(mixture) };
        let weighed = make(&source, &Recipe::of_quantize(weighed).expect("a recipe"), folder.path());
        let plain = make(&source, &Recipe::quantize(mixture), folder.path());
        let of = |artifact| weighed_error(artifact, &source, name, &uneven);
        let (less, more) = (of(&weighed), of(&plain));
        assert!(less < 0.97 * more, "{mixture}: {less} and {more}");
    }
}

#[test]
fn a_calibration_is_made_once_for_all_that_rest_on_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let words = folder.path().join("words.txt");
    fs::write(&words, include_str!("../../../../tests/golden/compress/imatrix.txt").repeat(3)).expect("written");
    let source = llama256();
    let made = |mixture, words: &Path, windows: &mut usize| {
        let calibrate = Some(Calibrate { chunks: Some(2), ..Calibrate::on(words) });
        let recipe = Recipe::of_quantize(Quantize { calibrate, ..Quantize::new(mixture) }).expect("a recipe");
        apply(&source, &recipe, folder.path(), &Cancel::new(), &mut |p| {
            *windows += usize::from(p.stage == Stage::Calibrate);
        })
        .expect("made")
    };
    let mut windows = 0;
    let first = made(Mixture::Q4_0, &words, &mut windows);
    assert_eq!(windows, 2);
    let second = made(Mixture::Q8_0, &words, &mut windows);
    assert!(windows == 2 && first.path != second.path, "it was there already");
    fs::write(&words, include_str!("../../../../tests/golden/compress/imatrix.txt").repeat(4)).expect("written");
    let third = made(Mixture::Q4_0, &words, &mut windows);
    assert!(windows == 4 && third.path != first.path, "another text is another recipe");
    let words = words.display();
    let changed = format!(
        "[[step]]\nscale = {{ tensor = \"model.layers.0.input_layernorm.weight\", by = 3.0 }}\n[[step]]\nquantize = {{ type = \"Q4_0\", calibrate = {{ text = \"{words}\", chunks = 2 }} }}"
    );
    let changed = Recipe::parse("changed", &changed).expect("a recipe");
    let mut again = 0;
    apply(&source, &changed, folder.path(), &Cancel::new(), &mut |p| again += usize::from(p.stage == Stage::Calibrate))
        .expect("made");
    assert_eq!(again, 2, "a model that a step has changed is another than the one that was calibrated");
}

#[test]
fn the_bundled_text_is_long_enough_for_a_models_windows() {
    let source = llama256();
    let tokens = source.tokenizer().and_then(|t| Ok(t.encode_letters(bantam_bundled::calibration::TEXT)?.len()));
    assert!(tokens.expect("tokens") > 10_000);
}

#[test]
fn what_cannot_be_an_importance_matrix_is_refused_in_a_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = |bytes: &[u8]| {
        let file = folder.path().join("bad.dat");
        fs::write(&file, bytes).expect("written");
        format!("{:#}", Importance::read(&file).expect_err("refused"))
    };
    let whole = fs::read(golden_file("imatrix.dat")).expect("bytes");
    assert!(said(b"").contains("bad.dat: no importance matrix: how many entries there are"));
    assert!(said(&0i32.to_le_bytes()).contains("no entries"));
    assert!(said(&(-1i32).to_le_bytes()).contains("-1 is no count"));
    assert!(said(&whole[..whole.len() / 2]).contains("the file is cut off"));
    assert!(said(b"no matrix, but words in a file").contains("no importance matrix but a text; `bantam imatrix"));
    let mut huge = 1i32.to_le_bytes().to_vec();
    huge.extend(i32::MAX.to_le_bytes());
    assert!(said(&huge).contains("a name of 2147483647 bytes is none"));
    let model = golden("llama256").join("Q8_0.gguf");
    let refused = format!("{:#}", Importance::read(&model).expect_err("a model"));
    assert!(refused.contains("it is a GGUF file of another kind"), "{refused}");
    let entry = |sums: Vec<f32>| Importance {
        entries: [("a".to_owned(), Entry { sums, counts: vec![1] })].into(),
        ..Importance::default()
    };
    let file = folder.path().join("nan.gguf");
    entry(vec![1.0, f32::NAN]).write(Kind::Gguf, &file).expect("written");
    let refused = format!("{:#}", Importance::read(&file).expect_err("NaN"));
    assert!(refused.contains("a holds NaN"), "{refused}");

    let short = importance(&llama256(), text("too few words", 64, 4), &Cancel::new(), &|_, _| {});
    let short = format!("{:#}", short.expect_err("too short"));
    assert!(short.contains("too few to calibrate on; at least 128 are needed"), "{short}");
    let plain = Quantize { calibrate: Some(Calibrate::bundled()), ..Quantize::new(Mixture::F16) };
    let plain = Recipe::of_quantize(plain).expect("a recipe");
    let refused = format!("{:#}", plan_types(&llama256(), &plain).expect_err("refused"));
    assert!(refused.contains("F16 rounds each weight for itself"), "{refused}");
    let file = folder.path().join("other.gguf");
    entry(vec![1.0; 64]).write(Kind::Gguf, &file).expect("written");
    let of_other = Quantize { imatrix: Some(Pinned::new(&file)), ..Quantize::new(Mixture::Q4_0) };
    let of_other = Recipe::of_quantize(of_other).expect("a recipe");
    let refused = apply(&llama256(), &of_other, folder.path(), &Cancel::new(), &mut |_| {}).expect_err("refused");
    assert!(format!("{refused:#}").contains("says nothing of any tensor"), "{refused:#}");
}
