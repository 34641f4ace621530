//! `bantam compare --kld TEXT BASE VARIANT…`: how far the predictions of each variant moved from the base's.

use super::args::{Compare, KldArithmetic};
use super::live::LiveLine;
use super::{Exit, stop};
use crate::run::lost::{self, Answer, Progress, Question};
use crate::run::plan::bound_threads;
use crate::show::Table;
use crate::show::out::{self, note, say};
use anyhow::{Context, Result, bail, ensure};
use bantam_core::stats::Divergence;
use bantam_core::stats::divergence::Figure;
use bantam_model::Arithmetic;
use serde_json::{Value, json};
use std::path::PathBuf;

pub(super) fn run(args: Compare, text: PathBuf) -> Result<Exit> {
    ensure!(
        !args.candidates.contains(&args.reference),
        "'{}' is compared with itself; name its variants behind it",
        args.reference
    );
    let twice = args.candidates.iter().enumerate().find(|(at, name)| args.candidates[..*at].contains(name));
    if let Some((_, name)) = twice {
        bail!("'{name}' is named twice, and would be read twice for the same figures; name it once");
    }
    start_threads(args.threads)?;
    let cancel = stop::on_signals()?;
    let question = Question {
        base: args.reference,
        variants: args.candidates,
        text,
        ctx: args.ctx,
        chunks: args.chunks,
        arithmetic: match args.arithmetic {
            KldArithmetic::Ggml => Arithmetic::Ggml,
            KldArithmetic::Exact => Arithmetic::Exact,
            KldArithmetic::Fast => Arithmetic::Fast,
        },
    };
    let live = (!args.common.quiet).then(LiveLine::logged);
    let answer = lost::answer(&question, &cancel, &mut |progress| {
        if let Some(live) = &live {
            live.show(|| told(progress));
        }
    });
    if let Some(live) = live {
        live.clear();
    }
    if cancel.is_cancelled() && answer.is_err() {
        note!("stopped before the first window was read");
        return Ok(Exit::Interrupted);
    }
    let answer = answer?;
    match args.common.json {
        true => out::pretty_json(&as_json(&question, &answer))?,
        false => print(&question, &answer)?,
    }
    if answer.lost.chunks < answer.lost.of {
        note!("note: stopped after {} of {} windows, which these figures are of", answer.lost.chunks, answer.lost.of);
        return Ok(Exit::Interrupted);
    }
    Ok(Exit::Done)
}

/// Has all that computes share so many threads.
pub(super) fn start_threads(threads: Option<usize>) -> Result<()> {
    let Some(threads) = threads else { return Ok(()) };
    bound_threads("--threads", threads, std::thread::available_parallelism().map_or(1, usize::from))?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    pool.with_context(|| format!("{threads} threads cannot be started"))
}

fn told(progress: Progress) -> String {
    match progress {
        Progress::Load(model) => format!("loading {model}"),
        Progress::Read(done, of, means) => {
            let means: Vec<String> = means.iter().map(|mean| format!("{mean:.5}")).collect();
            format!("window {done} of {of}, mean KLD so far {}", means.join(", "))
        }
    }
}

fn print(question: &Question, answer: &Answer) -> Result<()> {
    let Some(first) = answer.lost.variants.first() else { return Ok(()) };
    say!("{}: {}, perplexity {}", question.base, answer.base_bytes, shown(first.base_perplexity, 3, 1.0))?;
    say!(
        "measured on {}: {} tokens, the second halves of {} windows of {}; KLD in nats, ± one standard error",
        question.text.display(),
        first.tokens,
        answer.lost.chunks,
        question.ctx
    )?;
    say!()?;
    let mut table = Table::new().text("variant").number("size").number("mean KLD");
    for head in ["median", "90%", "95%", "99%", "99.9%", "max", "RMS Δp", "same top", "perplexity", "ratio to base"] {
        table = table.number(head);
    }
    for ((name, bytes), lost) in question.variants.iter().zip(&answer.bytes).zip(&answer.lost.variants) {
        let tails = [lost.median, lost.p90, lost.p95, lost.p99, lost.p999, lost.max];
        let mut cells = vec![name.clone(), bytes.to_string(), shown(lost.mean, 5, 1.0)];
        cells.extend(tails.map(|value| format!("{value:.4}")));
        cells.push(format!("{}%", shown(lost.rms_delta_p, 2, 100.0)));
        cells.push(format!("{}%", shown(lost.same_top, 2, 100.0)));
        cells.push(shown(lost.perplexity, 3, 1.0));
        cells.push(shown(lost.ratio, 4, 1.0));
        table.row(cells);
    }
    table.print(&mut out::stdout()).context("printing the table")
}

fn shown(figure: Figure, digits: usize, times: f64) -> String {
    match figure.error {
        Some(error) => format!("{:.digits$} ± {:.digits$}", figure.value * times, error * times),
        // one token has no spread
        None => format!("{:.digits$} ± –", figure.value * times),
    }
}

fn as_json(question: &Question, answer: &Answer) -> Value {
    let variant = |((name, bytes), lost): ((&String, &bantam_core::unit::Bytes), &Divergence)| json!({ "model": name, "bytes": bytes.0, "kld": lost });
    let variants = question.variants.iter().zip(&answer.bytes).zip(&answer.lost.variants).map(variant);
    json!({
        "base": question.base,
        "base_bytes": answer.base_bytes.0,
        "text": question.text,
        "ctx": question.ctx,
        "chunks": answer.lost.chunks,
        "arithmetic": format!("{:?}", question.arithmetic).to_lowercase(),
        "chunks_asked": answer.lost.of,
        "variants": variants.collect::<Vec<Value>>(),
    })
}
