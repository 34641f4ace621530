//! The words of the screens, each explained in one place; help shows those of its screen.

/// A word, and what it means.
pub(super) type Word = (&'static str, &'static str);

pub(super) const VARIANT: Word = ("variant", "a model after a recipe; the untouched model is the base");
pub(super) const RECIPE: Word =
    ("recipe", "steps that make a model smaller: a quantization like Q4_K_M, or several steps");
pub(super) const SUITE: Word = ("suite", "tasks with their data and how answers are scored");
pub(super) const TRIAL: Word =
    ("trial", "one variant on one task, or on one length of prompt and answer for its speed");
pub(super) const REFERENCE: Word =
    ("reference", "the variant that all others are held against: the profile's, or the largest base");
pub(super) const MARGIN: Word =
    ("margin", "how much worse than the reference is still good enough; of perplexities as a ratio");
pub(super) const SHOWN: Word = (
    "can show",
    "the smallest loss that so many items would show, four times in five, where one answer in ten changes",
);
pub(super) const QUALIFIES: Word =
    ("qualifies", "keeps every limit, and is shown not worse than the reference by more than the margin on every task");
pub(super) const CANNOT_TELL: Word = (
    "cannot tell",
    "nothing is shown against it, but something is not shown: too few items, a limit within an interval",
);
pub(super) const OUT: Word = ("out", "breaks a limit, or is shown worse than the reference");
pub(super) const INTERVAL: Word =
    ("interval", "where the true value lies, at the profile's confidence; a single measurement has none");
pub(super) const FRONT: Word = ("front", "variants that qualify and of which none is both cheaper and better");
pub(super) const MEASURED: Word =
    ("measured, ≈", "figures are measured or derived of such; ≈ is an estimate, – is missing with a reason");
pub(super) const PREFER: Word = (
    "prefer",
    "which of those that qualify is picked: smallest, fastest, leanest (energy), weighed, or by correct answer",
);
pub(super) const WEIGHED: Word =
    ("weighed", "several costs in one: the geometric mean of shares of the reference's costs, as weighed");
pub(super) const TURN: Word = ("would be advised", "the nearest turn of each setting at which the advice is another");
pub(super) const FLIP: Word = ("lost, gained", "answers that were right and are wrong now, and the other way round");
pub(super) const SLICE: Word = ("slice", "items that have something in common, as a length or a source");
pub(super) const MIX: Word = ("tensors", "the types that the file keeps its numbers in, and how much of it each takes");
pub(super) const CONTEXT: Word = ("context", "tokens of prompt and answer together that the model takes at most");
pub(super) const DOUBT: Word = ("doubts", "what a reader should know before trusting the advice");
pub(super) const FIT: Word = (
    "fit",
    "whether a model would keep the limits above, as far as can be reckoned before it is loaded; the one it breaks is named",
);
pub(super) const BOUND: Word =
    ("≈tok/s", "what the memory's bandwidth lets through: each token reads all weights once; measured it is less");
