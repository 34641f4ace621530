//! Builds the bundled family: `family_build --out models [--work DIR] [--only NAME,..] [--threads N] [--tokens N]`.

use anyhow::{Context, Result, bail};
use bantam::family::{Build, SIZES, Size, build};
use bantam::job::Cancel;
use bantam::train::settle_process;
use std::time::{Duration, Instant};

fn main() -> Result<()> {
    // SAFETY: nothing has run yet, so there is no other thread.
    unsafe { settle_process() };
    let build_plan = arguments()?;
    let cancel = Cancel::new();
    signal_hook::flag::register(signal_hook::consts::SIGINT, cancel.flag())?;
    signal_hook::flag::register(signal_hook::consts::SIGTERM, cancel.flag())?;
    let mut said = Instant::now() - Duration::from_secs(60);
    let finished = build(&build_plan, &cancel, &mut |size, p| {
        if said.elapsed() > Duration::from_secs(10) || p.tokens >= p.total_tokens {
            said = Instant::now();
            println!(
                "{} step {} tokens {:.2}M/{:.2}M loss {:.4} norm {:.2} rate {:.2e} {:.0} tokens/s left {:.1} min",
                size.name,
                p.steps,
                p.tokens as f64 / 1e6,
                p.total_tokens as f64 / 1e6,
                p.loss,
                p.norm,
                p.rate,
                p.tokens_per_second,
                p.left.as_secs_f64() / 60.0,
            );
        }
    })?;
    println!("{}", if finished { "finished" } else { "stopped; run again to go on" });
    Ok(())
}

fn arguments() -> Result<Build> {
    let mut plan = Build {
        out: "models".into(),
        work: "target/family".into(),
        sizes: SIZES.iter().collect(),
        threads: 2,
        tokens: None,
        checkpoint_every: Duration::from_secs(60),
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().with_context(|| format!("{arg} needs a value"))?;
        match arg.as_str() {
            "--out" => plan.out = value.into(),
            "--work" => plan.work = value.into(),
            "--threads" => plan.threads = value.parse()?,
            "--tokens" => plan.tokens = Some(value.parse()?),
            "--only" => {
                let named = |name| Size::named(name).with_context(|| format!("no size is called {name}"));
                plan.sizes = value.split(',').map(named).collect::<Result<_>>()?;
            }
            _ => bail!("{arg} is unknown; known are --out, --work, --only, --threads, --tokens"),
        }
    }
    Ok(plan)
}
