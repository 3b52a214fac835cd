//! Progress of long work: bars on a terminal, a plain timed line now and then elsewhere.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::config::ByteSize;
use crate::terminal::say;
use crate::words::counted;

/// How often a plain line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
const BAR_EVERY: Duration = Duration::from_millis(100);

/// How far something has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Bytes dealt with.
    pub done: u64,
    /// Bytes in all, as far as known; 0 when not known.
    pub total: u64,
    /// Files dealt with.
    pub files: u64,
}

/// Shows the progress of one piece of work on standard error until it is dropped.
pub struct ProgressDisplay {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ProgressDisplay {
    /// Shows what `read` tells under a verb such as `saving`. With `quiet` nothing is shown.
    pub fn start(verb: &'static str, quiet: bool, read: impl Fn() -> Progress + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        if quiet {
            return Self { stop, thread: None };
        }
        let stopped = stop.clone();
        #[expect(clippy::disallowed_methods, reason = "the display is a thread of its own, joined when it is dropped")]
        let thread = std::thread::spawn(move || {
            if std::io::stderr().is_terminal() {
                draw_bar(verb, &stopped, &read);
            } else {
                write_lines(verb, &stopped, &read);
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A display that broke must not break the work.
            let _ = thread.join();
        }
    }
}

fn draw_bar(verb: &'static str, stop: &AtomicBool, read: &dyn Fn() -> Progress) {
    let bar = ProgressBar::new(0);
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {msg}");
    bar.set_style(style.expect("the template is a constant"));
    bar.set_prefix(verb);
    while !stop.load(Ordering::Acquire) {
        let now = read();
        bar.set_length(now.total.max(now.done));
        bar.set_position(now.done);
        bar.set_message(counted(now.files, "file"));
        std::thread::park_timeout(BAR_EVERY);
    }
    bar.finish_and_clear();
}

fn write_lines(verb: &'static str, stop: &AtomicBool, read: &dyn Fn() -> Progress) {
    let start = Instant::now();
    let mut next = LINE_EVERY;
    while !stop.load(Ordering::Acquire) {
        let elapsed = start.elapsed();
        if elapsed < next {
            std::thread::park_timeout(next - elapsed);
            continue;
        }
        next += LINE_EVERY;
        let now = read();
        let total = if now.total > 0 { format!(" of {}", ByteSize(now.total)) } else { String::new() };
        say!("{verb}: {}{total}, {}, {} s", ByteSize(now.done), counted(now.files, "file"), elapsed.as_secs());
    }
}
