use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("worker") => bantam::bench::worker::main(),
        _ => ExitCode::from(2),
    }
}
