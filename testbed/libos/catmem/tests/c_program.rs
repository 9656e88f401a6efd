// SPDX-License-Identifier: MIT
//! A C program that plays over a pipe, plain and under valgrind.

use std::path::{Path, PathBuf};
use std::process::Command;

fn run(command: &mut Command) -> String {
    let done = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let words = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{command:?}: {}\n{words}", done.status);
    words
}

/// The folder of the library that cargo has built beside this test.
fn library_folder() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    here.parent().unwrap().to_path_buf()
}

fn compile(name: &str) -> PathBuf {
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut compiler = Command::new("cc");
    compiler.args(["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"]);
    compiler.arg("-I").arg(here.join("../include")).arg("-o").arg(&program).arg(here.join("tests/program.c"));
    run(compiler.arg("-L").arg(library_folder()).arg("-lcatmem"));
    program
}

/// Runs a program with a pipe of its own name.
fn play(command: &mut Command, name: &str) {
    let name = format!("c-{}-{name}", std::process::id());
    let words = run(command.arg(name).env("LD_LIBRARY_PATH", library_folder()).env("LIBOS", "catmem"));
    assert!(words.ends_with(" checks\n"), "{words}");
}

#[test]
fn a_c_program_runs() {
    play(&mut Command::new(compile("pipe")), "plain");
}

#[test]
fn a_c_program_runs_without_a_fault_of_memory() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("not run: there is no valgrind (apt-get install -y valgrind)");
        return;
    }
    let mut checker = Command::new("valgrind");
    checker.args(["--quiet", "--error-exitcode=97", "--leak-check=full", "--errors-for-leak-kinds=definite"]);
    play(checker.arg(compile("pipe-valgrind")), "valgrind");
}
