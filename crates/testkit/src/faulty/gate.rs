//! A place where calls wait for a test, instead of a sleep.

use tokio::sync::watch;

/// Holds calls until a test opens it; clones are handles on the same gate.
#[derive(Clone, Debug)]
pub struct Gate {
    open: watch::Sender<bool>,
    arrived: watch::Sender<u64>,
}

impl Gate {
    /// A closed gate.
    pub fn closed() -> Self {
        Self { open: watch::Sender::new(false), arrived: watch::Sender::new(0) }
    }

    /// Lets through whoever waits and whoever comes later.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Waits until `calls` calls have come to the gate since it was made.
    pub async fn arrivals(&self, calls: u64) {
        let mut arrived = self.arrived.subscribe();
        arrived.wait_for(|arrived| *arrived >= calls).await.expect("this gate holds the sender");
    }

    pub(super) async fn pass(&self) {
        self.arrived.send_modify(|arrived| *arrived += 1);
        self.open.subscribe().wait_for(|open| *open).await.expect("this gate holds the sender");
    }
}
