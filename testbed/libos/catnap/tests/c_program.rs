// SPDX-License-Identifier: MIT
//! A C program, compiled against the public header and linked against the shared library, runs.

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

fn compile(name: &str, more: &[&str]) -> PathBuf {
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut compiler = Command::new("cc");
    compiler.args(["-std=gnu11", "-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread"]).args(more);
    compiler.arg("-I").arg(here.join("../include")).arg("-o").arg(&program).arg(here.join("tests/program.c"));
    run(compiler.arg("-L").arg(library_folder()).arg("-lcatnap"));
    program
}

#[test]
fn a_c_program_runs() {
    let program = compile("program", &[]);
    let words = run(Command::new(program).env("LD_LIBRARY_PATH", library_folder()).env("LIBOS", "catnip"));
    // Each engine says that LIBOS names another flavor.
    assert!(words.ends_with(" checks, 3 lines\n"), "{words}");
}

/// Runs a program under valgrind: no bytes that are not its own, none used before they are written, none lost.
#[test]
fn a_c_program_runs_without_a_fault_of_memory() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("not run: there is no valgrind (apt-get install -y valgrind)");
        return;
    }
    let program = compile("program-valgrind", &[]);
    let mut checker = Command::new("valgrind");
    checker.args(["--quiet", "--error-exitcode=97", "--leak-check=full", "--errors-for-leak-kinds=definite"]);
    let words = run(checker.arg(program).env("LD_LIBRARY_PATH", library_folder()).env("LIBOS", "catnip"));
    assert!(words.contains(" checks, 3 lines\n"), "{words}");
}

#[test]
fn valgrind_finds_a_planted_fault() {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("not run: there is no valgrind (apt-get install -y valgrind)");
        return;
    }
    let program = compile("program-overrun", &["-DOVERRUN"]);
    let mut checker = Command::new("valgrind");
    checker.args(["--quiet", "--error-exitcode=97"]).arg(program);
    let done = checker.env("LD_LIBRARY_PATH", library_folder()).output().unwrap();
    assert_eq!(done.status.code(), Some(97), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn the_header_is_good_in_cpp_too() {
    if Command::new("g++").arg("--version").output().is_err() {
        eprintln!("not run: there is no g++ (apt-get install -y g++)");
        return;
    }
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("../include/demi.h");
    let mut compiler = Command::new("g++");
    compiler.args(["-std=c++11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-x", "c++"]);
    run(compiler.arg(header));
}

#[test]
fn the_library_exports_the_functions_of_the_header_and_nothing_else() {
    let listed = run(Command::new("nm").args(["-D", "--defined-only"]).arg(library_folder().join("libcatnap.so")));
    let listed = listed.lines().filter_map(|line| line.split_whitespace().nth(2));
    // One is for the harness, and no program's.
    let found: Vec<&str> = listed.filter(|&name| name != "testbed_drive").collect();
    let header = include_str!("../../include/demi.h");
    let mut declared: Vec<&str> = header
        .lines()
        .filter(|line| line.starts_with("int demi_") || line.starts_with("demi_sgarray_t demi_"))
        .filter_map(|line| line.split(['(', ' ']).find(|word| word.starts_with("demi_") && !word.ends_with("_t")))
        .collect();
    declared.sort_unstable();
    assert_eq!(declared.len(), 20);
    assert_eq!(found, declared);
}
