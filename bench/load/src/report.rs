//! What a run has measured, as one line of JSON.

use std::fmt;
use std::time::Duration;

pub struct Report {
    pub seconds: f64,
    /// Microseconds of each answered request.
    pub latencies: Vec<u32>,
    /// Answers that were not a success, or whose body was not the one stored.
    pub errors: u64,
    /// Connections that the server closed between two answers.
    pub reconnects: u64,
}

impl Report {
    pub fn new() -> Self {
        Self { seconds: 0.0, latencies: Vec::new(), errors: 0, reconnects: 0 }
    }

    pub fn answered(&mut self, after: Duration) {
        self.latencies.push(u32::try_from(after.as_micros()).unwrap_or(u32::MAX));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let at =
            |share: f64| sorted.get((sorted.len() as f64 * share) as usize).or(sorted.last()).copied().unwrap_or(0);
        let rate = sorted.len() as f64 / self.seconds.max(1e-9);
        write!(
            f,
            r#"{{"requests":{},"errors":{},"reconnects":{},"seconds":{:.4},"rate":{rate:.1},"p50_us":{},"p99_us":{},"max_us":{}}}"#,
            sorted.len(),
            self.errors,
            self.reconnects,
            self.seconds,
            at(0.50),
            at(0.99),
            at(1.0),
        )
    }
}
