//! Recipes: an ordered list of compression steps, as TOML. What a step does is its own file's business, below
//! `transform`.
//!
//! ```toml
//! [[step]]
//! quantize = { type = "Q4_K_M", imatrix = "model.imatrix.gguf" }
//! ```
//!
//! or short (`short`): `prune:heads=30% > quantize:q4_k_m,imatrix=model.imatrix.gguf`. A list in place of a value is a range, of
//! which each value is a recipe of its own.

use crate::calibrate::Calibration;
use crate::compensate::Method;
use crate::mixture::Mixture;
use crate::short;
use crate::transform::{Checkpoint, Form, KINDS, Quantize, Step, Transform, settings};
use anyhow::{Context, Result, anyhow, bail};
use bantam_core::input;
use serde::Deserialize;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// What to do to a model, step after step; at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// As shown: the file's stem, or the quantization type.
    pub name: String,
    /// The steps, in order.
    pub steps: Vec<Step>,
}

/// What is wrong with a recipe's text, and where.
struct RecipeFault {
    at: Option<Range<usize>>,
    what: String,
}

impl Recipe {
    /// The recipe of one quantize step.
    pub fn quantize(mixture: Mixture) -> Recipe {
        Recipe { name: mixture.to_string(), steps: vec![Step::new("quantize", Quantize::named(mixture))] }
    }

    /// The recipe of one quantize step with all its settings.
    ///
    /// # Errors
    /// Where a file that it rests on cannot be read.
    pub fn of_quantize(quantize: Quantize) -> Result<Recipe> {
        let weighed = quantize.imatrix.is_some() || quantize.calibrate.is_some();
        let goal = [("budget", quantize.budget.clone()), ("bpw", quantize.bpw.map(|bits| bits.to_string()))];
        let goal = goal.into_iter().chain([("kld", quantize.max_kld.map(|kld| kld.to_string()))]);
        let goal = goal.into_iter().find_map(|(what, value)| Some(format!("{what}-{}", value?)));
        let name = goal.or_else(|| quantize.mixture.map(|mixture| mixture.to_string())).unwrap_or_default();
        let method = match quantize.method {
            Method::Rounding => "",
            Method::Gptq => "-gptq",
            Method::Best => "-best",
        };
        let method = if quantize.awq { format!("-awq{method}") } else { method.to_owned() };
        let weighed = weighed && method.is_empty();
        let name = format!("{name}{method}{}", if weighed && quantize.mixture.is_some() { "-imatrix" } else { "" });
        Ok(Recipe { name, steps: vec![Step::new("quantize", quantize.pinned()?)] })
    }

    /// A recipe that was typed: the name of a quantization type, or steps in their short form.
    ///
    /// # Errors
    /// One sentence that lists the types, where there is none of that name, or says what is wrong with a step; also where
    /// its ranges make it several.
    pub fn named(name: &str) -> Result<Recipe> {
        one(Recipe::all_named(name)?, name)
    }

    /// The recipes that were typed in one: one, or one for each combination of its ranges, as `prune:layers=[2,4,6]`.
    ///
    /// # Errors
    /// As `named`, but for ranges.
    pub fn all_named(name: &str) -> Result<Vec<Recipe>> {
        if name.contains([':', '>', ',']) || KINDS.iter().any(|kind| kind.name == name.trim()) {
            let made = short::ranged(name).and_then(|all| all.iter().map(|typed| Recipe::short(typed)).collect());
            return made.with_context(|| format!("the recipe '{name}'"));
        }
        let mixture: Mixture = name.parse().map_err(|_: String| anyhow!(settings::no_type(name)))?;
        Ok(vec![Recipe::quantize(mixture)])
    }

    /// The recipe of a file's name, which ends in `.toml`, or one that was typed.
    ///
    /// # Errors
    /// As `read` and `named`.
    pub fn of(typed: &Path) -> Result<Recipe> {
        match typed.to_str() {
            Some(short) if !short.ends_with(".toml") && !typed.is_file() => Recipe::named(short),
            _ => Recipe::read(typed),
        }
    }

    fn short(typed: &str) -> Result<Recipe> {
        let text = toml::to_string(&toml::Table::from_iter([("step".to_owned(), short::tables(typed)?.into())]));
        let steps = self::steps(&text.context("it cannot be spelled out")?);
        let steps = steps.map_err(|fault| anyhow!("{}", fault.what.replace('\n', ", ")))?;
        check_order(&steps)?;
        Ok(Recipe { name: typed.into(), steps })
    }

    /// Reads a recipe's file.
    ///
    /// # Errors
    /// Where it cannot be read, its ranges make it several, and as `parse`.
    pub fn read(file: &Path) -> Result<Recipe> {
        one(Recipe::read_all(file)?, &file.display().to_string())
    }

    /// Reads the recipes of a file: one, or one for each combination of its ranges.
    ///
    /// # Errors
    /// Where it cannot be read, and as `parse`.
    pub fn read_all(file: &Path) -> Result<Vec<Recipe>> {
        let text = input::read_to_string(file, input::WRITTEN_BY_HAND)
            .map_err(|e| anyhow!("{}: cannot read the recipe: {e}", file.display()))?;
        let name = file.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        let all = match combinations(&text) {
            Some(all) if all.len() > short::MOST => {
                Err(anyhow!("its ranges come to more than {} recipes; name fewer values", short::MOST))
            }
            Some(all) => {
                all.into_iter().map(|(values, text)| Recipe::parse(&format!("{name}({values})"), &text)).collect()
            }
            None => Recipe::parse(&name, &text).map(|recipe| vec![recipe]),
        };
        all.with_context(|| file.display().to_string())
    }

    /// Reads a recipe from TOML.
    ///
    /// # Errors
    /// One sentence that names the line, the key and what is allowed, or the step that cannot stand where it does.
    pub fn parse(name: &str, text: &str) -> Result<Recipe> {
        let steps = steps(text).map_err(|fault| {
            let line = fault.at.map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            anyhow!("line {line}: {}", fault.what.replace('\n', ", "))
        })?;
        if steps.is_empty() {
            bail!("a recipe has at least one step, such as [[step]] with quantize = {{ type = \"Q4_K_M\" }}");
        }
        check_order(&steps)?;
        Ok(Recipe { name: name.into(), steps })
    }

    /// The steps as TOML, the same for the same steps: what an artifact's address and a result's record hold.
    pub fn to_toml(&self) -> String {
        let table = |key: &str, value: toml::Value| toml::Table::from_iter([(key.to_owned(), value)]);
        let steps = self.steps.iter().map(|step| toml::Value::Table(table(step.kind(), step.settings().clone())));
        toml::to_string(&table("step", steps.collect::<Vec<_>>().into())).expect("steps are plain tables")
    }

    /// What the steps will need, in sentences, before anything is done.
    ///
    /// # Errors
    /// As `plan`.
    pub fn needs(&self, mut form: Form) -> Result<Vec<String>> {
        let mut needs = Vec::new();
        for step in &self.steps {
            let named = |need: String| format!("{}: {need}", step.kind());
            needs.extend(step.transform().needs(&form)?.map(named));
            step.transform().plan(&mut form).with_context(|| format!("the step {}", step.kind()))?;
        }
        Ok(needs)
    }

    /// The steps in two: up to the last whose result is worth keeping for other recipes that begin alike, and the rest.
    /// None where there is nothing after it, or no such step.
    pub(crate) fn kept_and_rest(&self) -> Option<(Recipe, Recipe)> {
        let before_last = &self.steps[..self.steps.len().checked_sub(1)?];
        let kept = 1 + before_last.iter().rposition(|step| step.transform().is_costly())?;
        // who looks back sees the model that this recipe began with, and not one that another has kept
        if self.steps[kept..].iter().any(|step| step.transform().looks_back()) {
            return None;
        }
        let part = |steps: &[Step]| Recipe { name: self.name.clone(), steps: steps.to_vec() };
        Some((part(&self.steps[..kept]), part(&self.steps[kept..])))
    }

    /// Whether a step asks for the model's tokenizer.
    pub(crate) fn reads_tokenizer(&self) -> bool {
        self.steps.iter().any(|step| step.transform().reads_tokenizer())
    }

    /// Whether its types are to be searched for, so that its plan is not known before.
    pub fn asks_for_a_goal(&self) -> bool {
        let goals = ["budget", "bpw", "max_kld"];
        self.steps.last().is_some_and(|step| goals.iter().any(|goal| step.settings().get(goal).is_some()))
    }

    /// Whether a step reads a text.
    pub fn calibrates(&self) -> bool {
        self.steps.iter().any(|step| step.transform().calibrates())
    }

    /// Folds the steps' plans over a form: what the recipe will make of a model, before any weight is read.
    ///
    /// # Errors
    /// One sentence of the step that cannot be done to such a model.
    pub fn plan(&self, mut form: Form) -> Result<Form> {
        for step in &self.steps {
            step.transform().plan(&mut form).with_context(|| format!("the step {}", step.kind()))?;
        }
        Ok(form)
    }

    /// Folds the steps over a checkpoint.
    ///
    /// # Errors
    /// Of the step that fails.
    pub fn apply<'a>(&self, checkpoint: Checkpoint<'a>, calibration: &Calibration) -> Result<Checkpoint<'a>> {
        self.steps.iter().try_fold(checkpoint, |checkpoint, step| {
            step.transform().apply(checkpoint, calibration).with_context(|| format!("the step {}", step.kind()))
        })
    }
}

/// The only one of several recipes.
fn one(mut all: Vec<Recipe>, typed: &str) -> Result<Recipe> {
    match all.len() {
        1 => Ok(all.remove(0)),
        count => bail!("{typed}: its ranges make it {count} recipes, and here one is named; a profile takes them all"),
    }
}

/// The texts of a recipe's file for each combination of its ranges, and the values that tell them apart; None where it
/// has no range, or is no recipe at all.
fn combinations(text: &str) -> Option<Vec<(String, String)>> {
    let whole: toml::Table = text.parse().ok()?;
    let mut made: Vec<(Vec<String>, Vec<toml::Value>)> = vec![Default::default()];
    for step in whole.get("step")?.as_array()? {
        let (kind, settings) = step.as_table()?.iter().next()?;
        let mut steps = vec![(Vec::new(), toml::Table::new())];
        for (key, value) in settings.as_table()? {
            let range =
                value.as_array().filter(|all| !short::is_list(kind, key) || all.iter().all(toml::Value::is_array));
            let with = |(names, table): &(Vec<String>, toml::Table), value: &toml::Value| {
                let mut table = table.clone();
                table.insert(key.clone(), value.clone());
                let name = range.map(|_| format!("{key}={}", value.to_string().replace('"', "")));
                (names.iter().cloned().chain(name).collect::<Vec<_>>(), table)
            };
            let values = range.map_or(std::slice::from_ref(value), Vec::as_slice);
            steps = steps.iter().flat_map(|step| values.iter().map(|value| with(step, value))).collect();
        }
        let with = |(names, before): &(Vec<String>, Vec<toml::Value>), (more, table): &(Vec<String>, toml::Table)| {
            let step = toml::Table::from_iter([(kind.clone(), table.clone().into())]);
            ([&names[..], &more[..]].concat(), before.iter().cloned().chain([step.into()]).collect())
        };
        made =
            made.iter().flat_map(|before| steps.iter().map(|step| with(before, step))).take(short::MOST + 1).collect();
    }
    let spelled = |(names, steps): (Vec<String>, Vec<toml::Value>)| {
        let text = toml::to_string(&toml::Table::from_iter([("step".to_owned(), steps.into())])).ok()?;
        Some((names.join(", "), text))
    };
    (made.len() > 1).then(|| made.into_iter().map(spelled).collect())?
}

/// The steps of a recipe's text.
fn steps(text: &str) -> Result<Vec<Step>, RecipeFault> {
    let mut steps = Vec::new();
    for (key, value) in DeTable::parse(text)?.into_inner() {
        if key.get_ref() != "step" {
            let what = format!("a recipe is [[step]] tables and nothing else, and here is '{}'", key.get_ref());
            return Err(RecipeFault::at(&key, what));
        }
        match value.get_ref() {
            DeValue::Array(_) => (),
            _ => return Err(RecipeFault::at(&value, "steps are a list of tables, each written below a [[step]]")),
        }
        if let DeValue::Array(list) = value.into_inner() {
            steps.extend(list.into_iter().map(step).collect::<Result<Vec<_>, _>>()?);
        }
    }
    Ok(steps)
}

/// The step of a table of one key, its kind, to its settings.
fn step(table: Spanned<DeValue>) -> Result<Step, RecipeFault> {
    let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    let one = RecipeFault::at(&table, format!("a [[step]] holds one key, which step it is: {}", names.join(", ")));
    let DeValue::Table(table) = table.into_inner() else { return Err(one) };
    let mut entries = table.into_iter();
    let (Some((key, settings)), None) = (entries.next(), entries.next()) else { return Err(one) };
    let Some(kind) = KINDS.iter().find(|kind| kind.name == key.get_ref()) else {
        return Err(RecipeFault::at(&key, settings::no_step(key.get_ref())));
    };
    let whole = settings.span();
    let places: Vec<(String, Range<usize>)> = match settings.get_ref() {
        DeValue::Table(table) => table.iter().map(|(key, _)| (key.get_ref().to_string(), key.span())).collect(),
        _ => Vec::new(),
    };
    let settings = toml::Value::deserialize(ValueDeserializer::from(settings))?;
    (kind.read)(kind.name, settings).map_err(|fault| {
        let place = fault.key.and_then(|key| places.into_iter().find(|(known, _)| *known == key));
        RecipeFault { at: Some(place.map_or(whole, |(_, span)| span)), what: fault.what }
    })
}

/// Quantized weights are not worked with further, nor quantized again; and zeros that were made do not survive a step that
/// works weights out anew.
fn check_order(steps: &[Step]) -> Result<()> {
    let zeros = steps.iter().position(|step| step.transform().leaves_zeros());
    let later = zeros.and_then(|place| steps[place + 1..].iter().find(|step| !step.transform().keeps_zeros()));
    if let (Some(place), Some(later)) = (zeros, later) {
        bail!(
            "{} cannot follow the {} step that leaves zeros: it works weights out anew, and the zeros would be gone; put \
             it before",
            later.kind(),
            steps[place].kind()
        );
    }
    let Some(last) = steps.iter().position(|step| step.transform().is_last()) else { return Ok(()) };
    let kind = steps[last].kind();
    match steps.get(last + 1) {
        None => Ok(()),
        Some(_) if steps.iter().filter(|step| step.kind() == kind).count() > 1 => {
            let count = steps.iter().filter(|step| step.kind() == kind).count();
            bail!("a model can be quantized once only, but this recipe has {count} {kind} steps")
        }
        Some(after) => bail!("{} cannot follow {kind}, which is a recipe's last step", after.kind()),
    }
}

impl RecipeFault {
    fn at<T>(place: &Spanned<T>, what: impl Into<String>) -> RecipeFault {
        RecipeFault { at: Some(place.span()), what: what.into() }
    }
}

impl From<toml::de::Error> for RecipeFault {
    fn from(error: toml::de::Error) -> RecipeFault {
        RecipeFault { at: error.span(), what: error.message().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_back() {
        let recipe = Recipe::parse("mine", "[[step]]\nquantize = { type = \"Q4_K_M\" }\n").expect("a recipe");
        assert_eq!(recipe, Recipe { name: "mine".into(), ..Recipe::quantize(Mixture::Q4_K_M) });
        assert_eq!(Recipe::parse("mine", &recipe.to_toml()).expect("its own TOML"), recipe);
    }

    /// Addresses of artifacts and ids of trials are made of this text.
    #[test]
    fn the_text_of_a_recipe_never_changes() {
        assert_eq!(Recipe::quantize(Mixture::Q4_K_M).to_toml(), "[[step]]\n\n[step.quantize]\ntype = \"Q4_K_M\"\n");
        let typed = "step = [{quantize = {type = 'q8_0'}}]";
        assert_eq!(
            Recipe::parse("mine", typed).expect("a recipe").to_toml(),
            Recipe::quantize(Mixture::Q8_0).to_toml()
        );
    }

    #[test]
    fn refusals_say_where_and_what_is_allowed() {
        let refusal = |text: &str| format!("{:#}", Recipe::parse("mine", text).expect_err("refused"));
        for (text, said) in [
            (
                "[[step]]\nquantise = { type = 'Q8_0' }",
                "line 2: there is no step 'quantise' (quantize?); the steps are quantize, prune",
            ),
            (
                "[[step]]\n\nquantize = { tipe = 'Q8_0' }",
                "line 3: quantize has no setting 'tipe' (type?); it has type, imatrix, calibrate",
            ),
            (
                "[[step]]\n[step.quantize]\ntype = 'Q8_0'\ntipe = 1",
                "line 4: quantize has no setting 'tipe' (type?); it has type, imatrix, calibrate",
            ),
            ("name = 'x'\n[[step]]", "line 1: a recipe is [[step]] tables and nothing else, and here is 'name'"),
            (
                "[[step]]\nquantize = { type = 'Q9' }",
                "line 2: type: 'Q9' is no quantization type; allowed are F32, F16,",
            ),
            ("[[step]]\nquantize = {}", "line 2: quantize says nothing of what to make: give type, or one of budget"),
            ("\nstep = 1", "line 2: steps are a list of tables"),
            ("[[step]]", "line 1: a [[step]] holds one key, which step it is: quantize"),
            (
                "[[step]]\nquantize = { type = 'Q8_0' }\nscale = {}",
                "line 1: a [[step]] holds one key, which step it is: quantize",
            ),
            ("", "a recipe has at least one step"),
            ("[[step]\n", "line 1: "),
        ] {
            let refusal = refusal(text);
            assert!(refusal.starts_with(said) && !refusal.contains('\n'), "{text:?}: {refusal}");
        }
    }

    #[test]
    fn short_recipes_are_the_same_as_long_ones() {
        let short = |typed: &str| Recipe::named(typed);
        assert_eq!(short("quantize:q4_k_m").expect("a recipe").steps, Recipe::quantize(Mixture::Q4_K_M).steps);
        let two = short("drop_layer:1 > quantize:type=Q8_0").expect("a recipe");
        let long = "[[step]]\ndrop_layer = { layer = 1 }\n[[step]]\nquantize = { type = 'Q8_0' }";
        assert_eq!(two.steps, Recipe::parse("x", long).expect("a recipe").steps);
        let calibrated = short("quantize:q3_k_m,calibrate,").expect("a recipe");
        let text = calibrated.to_toml();
        assert!(text.contains("[step.quantize.calibrate]\nbundled = \""), "{text}");
        assert_eq!(Recipe::parse("x", &text).expect("its own TOML").to_toml(), text);
        for (typed, said) in [
            ("quantise:q4_k_m", "there is no step 'quantise'"),
            ("quantize:q9", "'q9' is no quantization type"),
            ("quantize:q4_k_m,q4_0=1", "quantize has no setting 'q4_0'"),
            ("quantize:q4_k_m,type=q4_0", "type is given twice"),
            ("quantize:q8_0 > drop_layer:1", "drop_layer cannot follow quantize"),
            ("quantize:q8_0,imatrix=/no/such.dat", "/no/such.dat: cannot read what the recipe rests on"),
        ] {
            let refusal = format!("{:#}", short(typed).expect_err(typed));
            assert!(refusal.contains(said) && !refusal.contains('\n'), "{typed}: {refusal}");
        }
    }

    /// What a recipe rests on is part of its text, so that another content makes another artifact.
    #[test]
    fn a_file_that_a_recipe_rests_on_is_known_by_its_content() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("i.dat");
        let text = |content: &str| {
            std::fs::write(&file, content).expect("writes");
            Recipe::named(&format!("quantize:q4_k_m,imatrix={}", file.display())).expect("a recipe").to_toml()
        };
        let (one, two) = (text("one"), text("another"));
        assert!(one != two && one.contains("sha256 = \""), "{one}{two}");
        std::fs::remove_file(&file).expect("removed");
        assert_eq!(Recipe::parse("x", &one).expect("known by its hash").to_toml(), one);
    }

    #[test]
    fn weights_are_quantized_once_and_last() {
        let refusal = |text: &str| Recipe::parse("mine", text).expect_err("refused").to_string();
        let step = "[[step]]\nquantize = { type = 'Q8_0' }\n";
        assert_eq!(
            refusal(&step.repeat(2)),
            "a model can be quantized once only, but this recipe has 2 quantize steps"
        );
        let later = format!("{step}[[step]]\ndrop_layer = {{ layer = 0 }}\n");
        assert_eq!(refusal(&later), "drop_layer cannot follow quantize, which is a recipe's last step");
    }
}
