//! Rounding a whole model so that each layer's outputs change least: a walk through its layers, each matrix rounded by what
//! it is multiplied by once everything before it is rounded (see `gptq` for one matrix). What a layer's matrices became
//! is kept layer by layer, so that a pass that was stopped goes on, and the file that is written later takes its blocks
//! from there.

use crate::awq::{self, Folds};
use crate::calibrate::Calibration;
use crate::gptq::{self, Factors, Matrix, Rounded};
use crate::history::StepNote;
use crate::mixture::Anatomy;
use crate::types::Types;
use crate::walk::{Gram, Walk};
use anyhow::{Context, Result, ensure};
use bantam_core::disk::{self, Lock, LockError, hex};
use bantam_format::ggml::Type;
use bantam_model::checkpoint::gguf::Placed;
use bantam_model::names::Part;
use bantam_model::{Config, Weights, cost};
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How weights are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Each for itself.
    #[default]
    Rounding,
    /// With the errors of a matrix's columns passed on to those after them.
    Gptq,
    /// Of each matrix the one of these that changes its outputs less on windows that it was not made by.
    Best,
}

/// The fewest windows that errors are passed on by.
pub(crate) const FEWEST: usize = 8;

/// Of so many windows one is held out where the better way is looked for.
const HELD_OUT: usize = 4;

/// About how many bytes of Gram matrices are held at a time.
const GRAMS: usize = 1 << 30;

/// A model to be rounded.
pub(crate) struct Job<'a> {
    pub(crate) config: &'a Config,
    pub(crate) weights: &'a dyn Weights,
    pub(crate) types: &'a Types,
    pub(crate) method: Method,
    /// Whether inputs are scaled before, see `awq`.
    pub(crate) scaled: bool,
    /// The text, as the model reads it.
    pub(crate) windows: &'a [Vec<u32>],
    /// What the result depends on beside the model, and whether it may be kept for a pass that goes on.
    pub(crate) key: Option<String>,
}

/// What became of the matrices of a model's layers.
pub(crate) struct Compensated {
    work: Work,
    layers: Vec<LayerNote>,
    /// By GGUF name the matrices that are stacked there.
    tensors: HashMap<String, Vec<Piece>>,
}

/// A matrix as part of a GGUF tensor.
#[derive(Debug, Clone)]
struct Piece {
    index: usize,
    layer: usize,
    at: usize,
    rows: usize,
    row_bytes: usize,
    kind: Type,
    /// For each row of the file the row that stands there.
    order: Option<Vec<usize>>,
}

/// What became of one layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct LayerNote {
    layer: usize,
    /// ‖x − x₀‖ / ‖x₀‖ of what leaves it, the mean over the text's tokens.
    error: f64,
    matrices: Vec<MatrixNote>,
    #[serde(default, skip_serializing_if = "Folds::is_empty")]
    folds: Folds,
}

/// What became of one matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct MatrixNote {
    /// Its checkpoint name.
    name: String,
    #[serde(rename = "type")]
    kind: String,
    method: Method,
    /// Its outputs' squared error on the text, as a part of what plain rounding makes. None where nothing was seen of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    of_rounding: Option<f64>,
    rows: usize,
    bytes: usize,
}

/// The matrix that a checkpoint's name stands for in the file.
struct Wanted {
    placed: Placed,
    kind: Type,
}

impl Job<'_> {
    /// Rounds layer after layer.
    ///
    /// # Errors
    /// One sentence that names the layer and the matrix where its inputs or weights are damaged; where there is too little
    /// text, the disk does not take what is kept, or it is cancelled.
    pub(crate) fn run(&self, calibration: &Calibration) -> Result<Compensated> {
        let (has, window) = (self.windows.len(), self.windows.first().map_or(0, Vec::len));
        ensure!(
            has >= FEWEST,
            "{has} windows of {window} tokens are too few to pass errors on by; at least {FEWEST} are needed: give a longer text"
        );
        let work = Work::open(calibration, self.key.as_deref())?;
        let wanted = self.wanted();
        let progress = |_: usize, _: usize| {};
        let mut walk = Walk::new(self.config, self.weights, self.windows)?
            .until(calibration.cancel())
            .with_progress(&progress)
            .beside_the_original();
        let mut layers = Vec::new();
        while let Some(layer) = walk.layer() {
            calibration.step("layer", layer, walk.layers())?;
            let note = match work.read(layer) {
                Some((note, blocks)) => {
                    self.put_back(&mut walk, &note, &blocks)?;
                    walk.advance()?;
                    note
                }
                None => {
                    let folds = match self.scaled {
                        true => {
                            let kinds = wanted.iter().map(|(name, one)| (name.clone(), one.kind)).collect();
                            awq::fold(self.config, &mut walk, &kinds).with_context(|| format!("layer {layer}"))?
                        }
                        false => Folds::new(),
                    };
                    let (matrices, blocks) = self.layer(&mut walk, &wanted)?;
                    let error = walk.advance()?.error.unwrap_or(0.0);
                    let note = LayerNote { layer, error, matrices, folds };
                    work.write(&note, &blocks)?;
                    note
                }
            };
            layers.push(note);
        }
        calibration.step("layer", walk.layers(), walk.layers())?;
        let tensors = tensors(&layers, &wanted);
        Ok(Compensated { work, layers, tensors })
    }

    /// The matrices that are stored in a type that is rounded to, by their checkpoint names.
    fn wanted(&self) -> BTreeMap<String, Wanted> {
        let anatomy = Anatomy::of(self.config);
        let one = |tensor: &cost::TensorShape| {
            let within = self.config.architecture.place(&tensor.name)?.part.is_within_layer();
            let placed = Placed::of(self.config, &tensor.name)
                .filter(|placed| within && tensor.is_matrix() && tensor.shape[0] > 1 && placed.columns.is_none())?;
            let stacked = if placed.stacked > 1 { vec![placed.stacked] } else { Vec::new() };
            let shape = [stacked, tensor.shape.clone()].concat();
            let kind = self.types.of(&placed.tensor, &shape, &anatomy).filter(|kind| kind.is_quantized())?;
            Some((tensor.name.clone(), Wanted { placed, kind }))
        };
        cost(self.config).tensors.iter().filter_map(one).collect()
    }

    /// Rounds a layer's matrices in the order in which they are multiplied.
    fn layer(&self, walk: &mut Walk, wanted: &BTreeMap<String, Wanted>) -> Result<(Vec<MatrixNote>, Vec<u8>)> {
        let (mut notes, mut blocks) = (Vec::new(), Vec::new());
        let layer = walk.layer().context("a layer is ahead")?;
        for group in self.groups(walk, wanted)? {
            let held = match self.method {
                Method::Best => walk.windows() / HELD_OUT,
                _ => 0,
            };
            let fitted = walk.windows() - held;
            let grams = walk.grams(&group, 0..fitted)?;
            let held = if held > 0 { walk.grams(&group, fitted..walk.windows())? } else { BTreeMap::new() };
            let mut factors: Option<(Arc<Gram>, Factors)> = None;
            for name in &group {
                let kind = wanted[name].kind;
                let tensor = walk.matrix(name)?;
                let (rows, columns) = tensor.dims2()?;
                let numbers: Vec<f32> = tensor.flatten_all()?.to_vec1()?;
                let matrix = Matrix { columns, numbers: &numbers };
                let place = || format!("layer {layer}, {name}");
                let gram = grams.get(name);
                if let Some(gram) = gram.filter(|own| !factors.as_ref().is_some_and(|(of, _)| Arc::ptr_eq(of, own))) {
                    factors = Some((gram.clone(), Factors::of(gram).with_context(place)?));
                }
                let own = factors.as_ref().filter(|_| gram.is_some()).map(|(_, factors)| factors);
                let (method, of_rounding, rounded) =
                    self.matrix(matrix, kind, own, gram.zip(held.get(name))).with_context(place)?;
                let values = Tensor::from_vec(rounded.values, (rows, columns), &Device::Cpu)?;
                walk.replace(name, values)?;
                notes.push(MatrixNote {
                    name: name.clone(),
                    kind: kind.name().into(),
                    method,
                    of_rounding,
                    rows,
                    bytes: rounded.blocks.len(),
                });
                blocks.extend(rounded.blocks);
            }
        }
        Ok((notes, blocks))
    }

    /// One matrix, and how it came to be. `grams` are those of the text that it is made by, and of what is held out.
    fn matrix(
        &self,
        matrix: Matrix,
        kind: Type,
        factors: Option<&Factors>,
        grams: Option<(&Arc<Gram>, &Arc<Gram>)>,
    ) -> Result<(Method, Option<f64>, Rounded)> {
        // an expert that no token went to
        let Some(factors) = factors else { return Ok((Method::Rounding, None, gptq::unweighed(matrix, kind)?)) };
        let plain = gptq::plain(matrix, kind, factors)?;
        let part = |better: &Rounded, of: &Rounded| if of.error() > 0.0 { better.error() / of.error() } else { 1.0 };
        if self.method == Method::Rounding {
            return Ok((Method::Rounding, Some(1.0), plain));
        }
        let better = gptq::compensated(matrix, kind, factors, &plain)?;
        let Some((fitted, held)) = grams.filter(|_| self.method == Method::Best) else {
            return Ok((Method::Gptq, Some(part(&better, &plain)), better));
        };
        // what was held out is used as well once it has chosen
        let all = Factors::of(&fitted.plus(held))?;
        let of_all = gptq::plain(matrix, kind, &all)?;
        if better.error_on(matrix, held) >= plain.error_on(matrix, held) {
            return Ok((Method::Rounding, Some(1.0), of_all));
        }
        let better = gptq::compensated(matrix, kind, &all, &of_all)?;
        Ok((Method::Gptq, Some(part(&better, &of_all)), better))
    }

    /// Matrices that no other of the layer comes between, as many together as their Gram matrices have room.
    fn groups(&self, walk: &Walk, wanted: &BTreeMap<String, Wanted>) -> Result<Vec<Vec<String>>> {
        let mut stages: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for name in walk.matrices()?.into_iter().filter(|name| wanted.contains_key(name)) {
            let place = self.config.architecture.place(&name).context("a matrix has its place")?;
            stages.entry(stage(place.part)).or_default().push(name);
        }
        let mut groups: Vec<Vec<String>> = Vec::new();
        for names in stages.into_values() {
            let mut bytes = GRAMS;
            for name in names {
                let columns = walk.matrix(&name)?.dim(1)?;
                bytes += columns * columns * size_of::<f32>();
                match groups.last_mut().filter(|_| bytes <= GRAMS) {
                    Some(group) => group.push(name),
                    None => {
                        bytes = columns * columns * size_of::<f32>();
                        groups.push(vec![name]);
                    }
                }
            }
        }
        Ok(groups)
    }

    /// What a pass before made of a layer.
    fn put_back(&self, walk: &mut Walk, note: &LayerNote, blocks: &[u8]) -> Result<()> {
        awq::lay(&note.folds, walk)?;
        let mut at = 0;
        for matrix in &note.matrices {
            let own = blocks.get(at..at + matrix.bytes).context("what was kept of a layer is cut off")?;
            at += matrix.bytes;
            let (rows, columns) = walk.matrix(&matrix.name)?.dims2()?;
            let mut numbers = vec![0.0; rows * columns];
            gptq::decode(type_named(&matrix.kind).context("a type that is not known")?, own, &mut numbers)?;
            walk.replace(&matrix.name, Tensor::from_vec(numbers, (rows, columns), &Device::Cpu)?)?;
        }
        Ok(())
    }
}

/// Which matrices read before which in a layer.
pub(crate) fn stage(part: Part) -> usize {
    match part {
        Part::Q | Part::K | Part::V | Part::Qkv => 0,
        Part::StateIn | Part::StateGate | Part::StateForget | Part::StateLearn => 0,
        Part::Output | Part::StateOut => 1,
        Part::Down | Part::ExpertDown | Part::SharedDown => 3,
        _ => 2,
    }
}

fn type_named(name: &str) -> Option<Type> {
    Type::all().find(|kind| kind.name() == name)
}

/// Where in the file, and where in what is kept, each matrix is.
fn tensors(layers: &[LayerNote], wanted: &BTreeMap<String, Wanted>) -> HashMap<String, Vec<Piece>> {
    let mut tensors: HashMap<String, Vec<Piece>> = HashMap::new();
    for note in layers {
        let mut at = 0;
        for matrix in &note.matrices {
            let Wanted { placed, kind } = &wanted[&matrix.name];
            tensors.entry(placed.tensor.clone()).or_default().push(Piece {
                index: placed.index,
                layer: note.layer,
                at,
                rows: matrix.rows,
                row_bytes: matrix.bytes / matrix.rows.max(1),
                kind: *kind,
                order: placed.order.clone(),
            });
            at += matrix.bytes;
        }
    }
    tensors.values_mut().for_each(|pieces| pieces.sort_by_key(|piece| piece.index));
    tensors
}

impl Compensated {
    /// The blocks of a GGUF tensor in the file's order, matrix by matrix; None where it is rounded as it is written.
    pub(crate) fn blocks(&self, tensor: &str, kind: Type, bytes: u64) -> Option<impl Iterator<Item = Result<Vec<u8>>>> {
        let pieces = self.tensors.get(tensor)?;
        let all: usize = pieces.iter().map(|piece| piece.rows * piece.row_bytes).sum();
        let fits = all as u64 == bytes && pieces.iter().all(|piece| piece.kind == kind);
        fits.then(|| pieces.iter().map(|piece| self.read(piece)))
    }

    fn read(&self, piece: &Piece) -> Result<Vec<u8>> {
        let bytes = self.work.bytes(piece.layer, piece.at, piece.rows * piece.row_bytes)?;
        let Some(order) = &piece.order else { return Ok(bytes) };
        Ok(order.iter().flat_map(|row| &bytes[row * piece.row_bytes..(row + 1) * piece.row_bytes]).copied().collect())
    }

    /// What it did, and how far each layer's output is off.
    pub(crate) fn note(&self, method: Method, windows: &[Vec<u32>]) -> StepNote {
        let matrices = || self.layers.iter().flat_map(|layer| &layer.matrices);
        let count = |method| matrices().filter(|matrix| matrix.method == method).count();
        let errors: Vec<f64> = self.layers.iter().map(|layer| layer.error).collect();
        let most = self.layers.iter().max_by(|a, b| a.error.total_cmp(&b.error));
        let (all, gptq) = (matrices().count(), count(Method::Gptq));
        let most = most.map_or(String::new(), |layer| {
            let last = self.layers.last().map_or(0.0, |layer| layer.error);
            format!(
                "; hidden states are off by up to {:.2}% (after layer {} of {}), by {:.2}% after the last, on the calibration text",
                100.0 * layer.error,
                layer.layer + 1,
                self.layers.len(),
                100.0 * last
            )
        });
        let folded = self.layers.iter().flat_map(|layer| &layer.folds).filter(|(_, fold)| fold.has_columns()).count();
        let scaled = if folded > 0 { format!(", with the inputs of {folded} scaled") } else { String::new() };
        let did = match method {
            Method::Rounding => format!("rounded {all} matrices each for itself{scaled}{most}"),
            _ => format!("passed errors on in {gptq} of {all} matrices{scaled}{most}"),
        };
        let tensors: Vec<_> = matrices()
            .map(|matrix| json!({ "name": matrix.name, "type": matrix.kind, "method": matrix.method, "of_rounding": matrix.of_rounding.map(rounded) }))
            .collect();
        StepNote::new("quantize", did)
            .with("method", json!(method))
            .with("windows", windows.len())
            .with("tokens", windows.iter().map(Vec::len).sum::<usize>())
            .with("scaled_inputs", folded)
            .with("layer_errors", errors.iter().map(|&error| rounded(error)).collect::<Vec<f64>>())
            .with("matrices", tensors)
    }

    /// What was folded into the layers' tensors.
    pub(crate) fn folds(&self) -> Folds {
        self.layers.iter().flat_map(|layer| layer.folds.clone()).collect()
    }

    /// Removes what was kept for a pass that goes on: the file is written.
    pub(crate) fn forget(&self) {
        // what is left over costs room only
        let _ = fs::remove_dir_all(&self.work.folder);
    }
}

/// A figure for people, of four digits.
fn rounded(x: f64) -> f64 {
    format!("{x:.3e}").parse().unwrap_or(x)
}

/// A folder in which each finished layer is two files: its blocks, and then what they are.
struct Work {
    folder: PathBuf,
    _lock: Option<Lock>,
    _own: Option<tempfile::TempDir>,
}

impl Work {
    /// On the shelf, where there is one and what is made may be kept under a key.
    fn open(calibration: &Calibration, key: Option<&str>) -> Result<Work> {
        let Some((shelf, key)) = key.and_then(|key| calibration.shelf_for(key)) else {
            let own = tempfile::tempdir().context("cannot make a folder for the layers that are done")?;
            return Ok(Work { folder: own.path().to_owned(), _lock: None, _own: Some(own) });
        };
        let folder = shelf.join(format!("{}.layers", &hex(&Sha256::digest(key))[..16]));
        fs::create_dir_all(&folder).with_context(|| format!("{}: cannot make the folder", folder.display()))?;
        let place = folder.with_extension("lock");
        let lock = Lock::take(&place, calibration.cancel(), || ()).map_err(|error| match error {
            LockError::Cancelled => anyhow::anyhow!("cancelled"),
            LockError::Refused(e) => anyhow::anyhow!("{}: cannot lock the layers that are done: {e}", place.display()),
        })?;
        Ok(Work { folder, _lock: Some(lock.with_its_file().signed()), _own: None })
    }

    fn file(&self, layer: usize, ending: &str) -> PathBuf {
        self.folder.join(format!("{layer:04}.{ending}"))
    }

    fn read(&self, layer: usize) -> Option<(LayerNote, Vec<u8>)> {
        let note: LayerNote = serde_json::from_slice(&fs::read(self.file(layer, "json")).ok()?).ok()?;
        let blocks = fs::read(self.file(layer, "blocks")).ok()?;
        let bytes: usize = note.matrices.iter().map(|matrix| matrix.bytes).sum();
        (note.layer == layer && blocks.len() == bytes).then_some((note, blocks))
    }

    fn write(&self, note: &LayerNote, blocks: &[u8]) -> Result<()> {
        let write = |ending: &str, bytes: &[u8]| {
            let file = self.file(note.layer, ending);
            disk::write(&file, bytes).with_context(|| file.display().to_string())
        };
        write("blocks", blocks)?;
        write("json", &serde_json::to_vec(note)?)
    }

    fn bytes(&self, layer: usize, at: usize, len: usize) -> Result<Vec<u8>> {
        let file = self.file(layer, "blocks");
        read_part(&file, at, len).with_context(|| file.display().to_string())
    }
}

fn read_part(file: &Path, at: usize, len: usize) -> std::io::Result<Vec<u8>> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = fs::File::open(file)?;
    file.seek(SeekFrom::Start(at as u64))?;
    let mut bytes = vec![0; len];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}
