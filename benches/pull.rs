//! How fast one large file comes from a hub on loopback into the cache, hashed, written and synced; and what the program
//! holds while it does, which is to be the same for a file of any size.
//!
//! Seen in November 2026 on two cores (Sapphire Rapids): 1 GiB in 1.65 s (620 MiB/s) with the server in a process
//! of its own, where `sha256sum` alone takes 2.1 s; 14.5 MiB of memory at most for 64 MiB, 14.8 MiB for 1 GiB.

#![allow(clippy::print_stdout, reason = "a figure beside criterion's")]

#[path = "../tests/hub/server.rs"]
#[allow(dead_code, reason = "the tests use all of it")]
mod server;

use bantam_core::cancel::Cancel;
use bantam_hub::{Cache, Hub, Name, Patience, Settings, Want};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use server::{Repo, Server, noise};
use sha2::{Digest, Sha256};
use std::hint::black_box;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const MIB: usize = 1 << 20;

fn pull(criterion: &mut Criterion) {
    let (server, dir) = (serve(512 * MIB), tempfile::tempdir().expect("temp dir"));
    let bytes = noise(1, 512 * MIB);
    let mut group = criterion.benchmark_group("pull");
    group.throughput(Throughput::Bytes(bytes.len() as u64)).sample_size(10);
    // what no client that verifies can be faster than
    group.bench_function("sha256", |bencher| bencher.iter(|| Sha256::digest(black_box(&bytes))));
    group.bench_function("file", |bencher| {
        let fresh = || {
            let cache = dir.path().join("hub");
            // the file of the pull before
            let _ = std::fs::remove_dir_all(&cache);
            Hub::new(settings(&server, &cache), &Cancel::new())
        };
        let name = Name::parse("org/large").expect("a name");
        bencher.iter_batched(
            fresh,
            |hub| hub.pull(&name, &Want::default(), &|_| {}).expect("pulls"),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// The program's peak memory for files of three sizes.
fn memory(_: &mut Criterion) {
    for size in [MIB, 64 * MIB, 1024 * MIB] {
        let (server, dir) = (serve(size), tempfile::tempdir().expect("temp dir"));
        let mut child = Command::new(env!("CARGO_BIN_EXE_bantam"))
            .args(["pull", "org/large", "--quiet"])
            .env("HF_ENDPOINT", &server.endpoint)
            .env("HF_HUB_CACHE", dir.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("starts");
        let mut peak = 0;
        while child.try_wait().expect("asks").is_none() {
            peak = peak.max(high_water(child.id()).unwrap_or(0));
            std::thread::sleep(Duration::from_millis(1));
        }
        println!("memory/{} MiB: {:.1} MiB at most", size / MIB, peak as f64 / 1024.0);
    }
}

/// VmHWM in KiB.
fn high_water(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn serve(size: usize) -> Server {
    Server::start([Repo::new("org/large").large("model.safetensors", noise(1, size))])
}

fn settings(server: &Server, cache: &Path) -> Settings {
    Settings {
        endpoint: server.endpoint.clone(),
        token: None,
        offline: false,
        cache: Cache::at(cache),
        read_timeout: Duration::from_secs(10),
        ask_timeout: Duration::from_secs(10),
        patience: Patience::default(),
    }
}

criterion_group!(benches, pull, memory);
criterion_main!(benches);
