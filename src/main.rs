//! bantam's binary: reads the arguments and does one command.

use std::process::ExitCode;

fn main() -> ExitCode {
    // a shell that asks what may follow is answered, and nothing else is done
    bantam::cli::answer();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_env("BANTAM_LOG"))
        .with_writer(bantam::show::out::Log::default)
        .log_internal_errors(false)
        .init();
    match bantam::cli::parse(std::env::args_os().collect()) {
        Ok(args) => bantam::cli::main(args),
        Err(code) => code,
    }
}
