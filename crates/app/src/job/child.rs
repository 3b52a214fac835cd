//! A child process that is waited for while signals and a deadline are heeded.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use futures_util::FutureExt;
use larder_base::{Error, ErrorKind, Result};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};
use tokio::signal::unix::{Signal as Listener, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

/// How long a command has for its end after it was told to end.
const GRACE: Duration = Duration::from_secs(5);
/// A deadline that is none.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// The signals that are handed on to whatever runs, instead of ending this process.
pub struct Signals {
    listeners: Vec<(Signal, Listener)>,
    has_terminal: bool,
}

impl Signals {
    /// Takes over the signals. `has_terminal` says that a terminal sends some of them to all processes of this one's group.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn take(has_terminal: bool) -> Result<Self> {
        let kinds = [
            (Signal::INT, SignalKind::interrupt()),
            (Signal::QUIT, SignalKind::quit()),
            (Signal::TERM, SignalKind::terminate()),
            (Signal::HUP, SignalKind::hangup()),
            (Signal::USR1, SignalKind::user_defined1()),
            (Signal::USR2, SignalKind::user_defined2()),
        ];
        let listener = |(forward, kind)| signal(kind).map(|listener| (forward, listener));
        let listeners = kinds.into_iter().map(listener).collect::<io::Result<_>>().map_err(|source| {
            Error::new(ErrorKind::Failed, "handle signals", "the system refused").with_source(source)
        })?;
        Ok(Self { listeners, has_terminal })
    }

    /// Forgets what came until now: it was meant for what ran until now.
    pub async fn forget(&mut self) {
        // Lets the runtime see what the system has for it.
        tokio::task::yield_now().await;
        while self.next().now_or_never().is_some() {}
    }

    /// Whether what is within reach has such a signal from the terminal itself.
    fn came_there(&self, signal: Signal, reach: Reach) -> bool {
        self.has_terminal && reach == Reach::Child && [Signal::INT, Signal::QUIT].contains(&signal)
    }

    /// The next signal to hand on.
    async fn next(&mut self) -> Signal {
        std::future::poll_fn(|context| {
            let came = self
                .listeners
                .iter_mut()
                .find_map(|(signal, listener)| listener.poll_recv(context).is_ready().then_some(*signal));
            came.map_or(std::task::Poll::Pending, std::task::Poll::Ready)
        })
        .await
    }
}

/// Whom signals go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The child, which is of the same process group as this process.
    Child,
    /// Its process group, which it must lead.
    Group,
}

/// How a child ended.
pub struct Ended {
    /// As the system tells it.
    pub status: ExitStatus,
    /// Whether it was ended because its time was over.
    pub is_late: bool,
}

/// A running child.
pub struct Running {
    child: Child,
    pid: Pid,
    ended: oneshot::Receiver<()>,
    reach: Reach,
}

impl Running {
    /// Starts a child.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(command: &mut Command, reach: Reach) -> io::Result<Self> {
        let child = command.spawn()?;
        let pid = Pid::from_child(&child);
        let (tell, ended) = oneshot::channel();
        #[expect(clippy::disallowed_methods, reason = "ends with the child that it waits for")]
        std::thread::spawn(move || {
            // The child is not reaped here, so that its number belongs to nobody else while signals are sent to it.
            while let Err(rustix::io::Errno::INTR) =
                waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
            {}
            let _ = tell.send(());
        });
        Ok(Self { child, pid, ended, reach })
    }

    /// Waits for the end. Signals are handed on; after `deadline` the child is told to end, and soon made to.
    ///
    /// # Errors
    /// When the system does not say how it ended.
    pub async fn end(mut self, signals: &mut Signals, deadline: Option<Duration>) -> io::Result<Ended> {
        let mut next = Instant::now() + deadline.unwrap_or(FOR_EVER);
        let (mut is_late, mut strongest) = (false, Signal::TERM);
        loop {
            tokio::select! {
                _ = &mut self.ended => break,
                signal = signals.next() => {
                    if !signals.came_there(signal, self.reach) {
                        self.send(signal);
                    }
                }
                () = sleep_until(next) => {
                    self.send(strongest);
                    (is_late, strongest, next) = (true, Signal::KILL, Instant::now() + GRACE);
                }
            }
        }
        if is_late {
            // What it left running in its group is late, too.
            self.send(Signal::KILL);
        }
        Ok(Ended { status: self.child.wait()?, is_late })
    }

    fn send(&self, signal: Signal) {
        // It may just have ended; there is then nobody to tell.
        let _ = match self.reach {
            Reach::Child => kill_process(self.pid, signal),
            Reach::Group => kill_process_group(self.pid, signal),
        };
    }
}

#[cfg(test)]
mod tests;
