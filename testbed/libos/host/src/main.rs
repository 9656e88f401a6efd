// SPDX-License-Identifier: MIT
//! `testbed-libos`: loads a library with the queue API and drives it, for the harness or by hand.

mod engine;
mod layout;
mod library;
mod pattern;
mod protocol;
mod report;
mod serve;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::library::Library;

/// Drive a library with the queue API (`demi.h`).
#[derive(Parser)]
#[command(name = "testbed-libos", version)]
struct Arguments {
    /// The shared library.
    #[arg(long, value_name = "PATH")]
    library: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the harness, which listens on the abstract Unix socket NAME.
    Serve { name: String },
    /// Check that the library loads and has all functions.
    Check,
    /// Run one side of a workload; prints `ready` when the peer may start, and a line of JSON at its end.
    Workload(Box<workload::Options>),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("testbed-libos: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, String> {
    let library = Library::load(&arguments.library)?;
    match &arguments.command {
        Command::Serve { name } => serve::serve(library, name).map_err(|e| format!("{name}: {e}"))?,
        Command::Check => println!("ok"),
        Command::Workload(options) => workload::run(library, options).map_err(|e| e.to_string())?,
    }
    Ok(ExitCode::SUCCESS)
}
