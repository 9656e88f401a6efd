// SPDX-License-Identifier: MIT
//! The log: lines go to the program's callback, or to stderr. `TESTBED_LIBOS_LOG` is the level; default `warn`.

use std::sync::{Mutex, Once};

use log::{LevelFilter, Log, Metadata, Record};

use crate::layout::LogCallback;

static CALLBACK: Mutex<Option<LogCallback>> = Mutex::new(None);
static STARTED: Once = Once::new();
const LEVEL_VARIABLE: &str = "TESTBED_LIBOS_LOG";

struct Lines;

/// Start the log of this library, once; a callback replaces the one before it, none leaves it.
pub fn start(callback: Option<LogCallback>) {
    if let (Some(callback), Ok(mut current)) = (callback, CALLBACK.lock()) {
        *current = Some(callback);
    }
    STARTED.call_once(|| {
        let wanted = std::env::var(LEVEL_VARIABLE).unwrap_or_default();
        log::set_max_level(wanted.parse().unwrap_or(LevelFilter::Warn));
        // A library has a log of its own; only tests that link several find one already there.
        let _ = log::set_logger(&Lines);
        if !wanted.is_empty() && wanted.parse::<LevelFilter>().is_err() {
            log::warn!("{LEVEL_VARIABLE}={wanted} is none of off, error, warn, info, debug, trace: it is warn");
        }
    });
}

impl Log for Lines {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    fn log(&self, record: &Record) {
        let callback = CALLBACK.lock().ok().and_then(|current| *current);
        let Some(callback) = callback else {
            eprintln!("{}: {}: {}", record.target(), record.level().as_str().to_lowercase(), record.args());
            return;
        };
        let module = record.target();
        let file = record.file().unwrap_or_default();
        let message = record.args().to_string();
        callback(
            record.level() as i32,
            module.as_ptr().cast(),
            module.len() as u32,
            file.as_ptr().cast(),
            file.len() as u32,
            record.line().unwrap_or(0),
            message.as_ptr().cast(),
            message.len() as u32,
        );
    }

    fn flush(&self) {}
}
