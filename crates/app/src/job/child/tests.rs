use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;

use rustix::process::{Signal, getpid, kill_process};

use tokio::signal::unix::{SignalKind, signal};

use super::{Reach, Running, Signals};

/// Sends this process the signal of Ctrl-C, and waits until it has come.
async fn interrupt_self() {
    let mut listener = signal(SignalKind::interrupt()).unwrap();
    kill_process(getpid(), Signal::INT).unwrap();
    listener.recv().await.unwrap();
}

/// The terminal's signals reach its foreground group, and a command of the queue has a group of its own.
#[tokio::test]
async fn a_terminals_interrupt_is_handed_on_to_what_is_out_of_its_reach_and_only_from_now_on() {
    let mut signals = Signals::take(true).unwrap();
    let sleep = || {
        let mut command = Command::new("sleep");
        command.arg("1000").process_group(0);
        command
    };
    interrupt_self().await;
    signals.forget().await;
    let child = Running::start(&mut sleep(), Reach::Group).unwrap();
    let ended = child.end(&mut signals, Some(std::time::Duration::from_millis(50))).await.unwrap();
    assert_eq!((ended.is_late, ended.status.signal()), (true, Some(15)), "it was not interrupted by what came before");
    let child = Running::start(&mut sleep(), Reach::Group).unwrap();
    interrupt_self().await;
    let ended = child.end(&mut signals, None).await.unwrap();
    assert_eq!((ended.is_late, ended.status.signal()), (false, Some(2)));
    // This child has had the signal, if there was one, from the terminal.
    let child = Running::start(&mut sleep(), Reach::Child).unwrap();
    interrupt_self().await;
    let ended = child.end(&mut signals, Some(std::time::Duration::from_millis(50))).await.unwrap();
    assert_eq!((ended.is_late, ended.status.signal()), (true, Some(15)));
}
