//! Threads for what costs processor time: hashing, compressing, verifying.

use larder_base::{Error, ErrorKind, Result};

type Task = Box<dyn FnOnce() + Send>;

/// A fixed number of threads. They end when the pool is dropped.
pub(crate) struct Pool {
    tasks: crossbeam_channel::Sender<Task>,
    threads: usize,
}

impl Pool {
    pub(crate) fn new(threads: usize) -> Result<Self> {
        let threads = threads.max(1);
        // Who hands in tasks bounds them by waiting for their answers; the channel holds no more than that.
        let (tasks, waiting) = crossbeam_channel::unbounded::<Task>();
        for _ in 0..threads {
            let waiting = waiting.clone();
            #[expect(clippy::disallowed_methods, reason = "the pool's own threads; they end when it is dropped")]
            std::thread::Builder::new()
                .name("larder-store".into())
                .spawn(move || waiting.iter().for_each(|task| task()))
                .map_err(|error| {
                    Error::new(ErrorKind::Failed, "start worker thread", "the system gave none").with_source(error)
                })?;
        }
        Ok(Self { tasks, threads })
    }

    /// How many tasks of one caller are worth having under way.
    pub(crate) fn depth(&self) -> usize {
        self.threads * 2
    }

    /// Does `task` on one of the threads; its result is to be taken from what is returned.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        task: impl FnOnce() -> T + Send + 'static,
    ) -> crossbeam_channel::Receiver<T> {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        let task = Box::new(move || {
            // Whoever gave up waiting does not want it.
            let _ = sender.send(task());
        });
        // The threads live as long as the pool, unless a task panicked; then the answer's channel says so.
        let _ = self.tasks.send(task);
        receiver
    }
}

/// What a task of the pool answers when it died.
pub(crate) fn lost() -> Error {
    Error::new(ErrorKind::Failed, "process chunk", "a worker thread died").with_hint("this is a bug: report the log")
}
