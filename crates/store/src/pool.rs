//! Threads for what costs processor time: hashing, compressing, verifying.

use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender};
use larder_base::{Error, ErrorKind, Result};
use parking_lot::Mutex;

use crate::thread;

type Task = Box<dyn FnOnce() + Send>;

/// A fixed number of threads.
pub(crate) struct Pool {
    tasks: Mutex<Option<Sender<Task>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    size: usize,
}

impl Pool {
    pub(crate) fn new(size: usize) -> Result<Self> {
        let size = size.max(1);
        // Who hands in tasks bounds them by waiting for their answers; the channel holds no more than that.
        let (tasks, waiting) = crossbeam_channel::unbounded::<Task>();
        let start = |_| {
            let waiting = waiting.clone();
            thread::start("larder-worker", move || waiting.iter().for_each(|task| task()))
        };
        let threads = (0..size).map(start).collect::<Result<_>>()?;
        Ok(Self { tasks: Mutex::new(Some(tasks)), threads: Mutex::new(threads), size })
    }

    /// How many tasks of one caller are worth having under way.
    pub(crate) fn depth(&self) -> usize {
        self.size * 2
    }

    /// Does `task` on one of the threads; its result is to be taken from what is returned, and never comes if the pool was
    /// stopped or the task panicked.
    pub(crate) fn run<T: Send + 'static>(&self, task: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
        let (sender, receiver) = crossbeam_channel::bounded(1);
        let task: Task = Box::new(move || {
            // Whoever gave up waiting does not want it.
            let _ = sender.send(task());
        });
        if let Some(tasks) = &*self.tasks.lock() {
            let _ = tasks.send(task);
        }
        receiver
    }

    /// Ends the threads once all that was handed in is done. Not to be called from one of them.
    pub(crate) fn stop(&self) {
        *self.tasks.lock() = None;
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            let _ = thread.join();
        }
    }
}

/// What it means when a task's answer never comes.
pub(crate) fn lost() -> Error {
    Error::new(ErrorKind::Unavailable, "process chunk", "the store is closed, or a worker thread died")
}
