//! Operations at a fixed rate over kept-alive connections: what a client waits for an answer when the server is not driven to its limit.
//!
//! An operation is one or more requests, one after the other on one connection. It counts from the moment it is sent; where it had to
//! wait for a free connection it counts from the moment it was due, so that a server that stalls is not asked less for it.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::connection::Connection;
use crate::report::Report;

/// One request, rendered, and what its answer must contain.
pub struct Step {
    request: Vec<u8>,
    expected: Vec<u8>,
}

impl Step {
    /// `what` is a method and a path, such as `GET:/healthz`.
    pub fn new(what: &str, body: &[u8], expected: &str) -> Result<Self, String> {
        let (method, path) = what.split_once(':').ok_or_else(|| format!("{what} is no METHOD:/path"))?;
        let kind = if body.first() == Some(&b'{') { "application/json" } else { "application/octet-stream" };
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        Ok(Self { request, expected: expected.as_bytes().to_vec() })
    }

    fn is_answered_by(&self, status: u16, body: &[u8]) -> bool {
        let expected = &self.expected;
        status == 200 && (expected.is_empty() || body.windows(expected.len()).any(|window| window == expected))
    }
}

pub struct Load {
    pub addr: SocketAddr,
    /// Operations in a second.
    pub rate: f64,
    pub connections: usize,
    pub limit: Duration,
    pub steps: Vec<Step>,
}

/// No answer on any connection for this long ends the run as a fault.
const STALL: Duration = Duration::from_secs(30);

struct Slot {
    connection: Connection,
    /// Which request of the operation is under way; none on an idle connection.
    step: Option<usize>,
    since: Instant,
}

pub fn run(load: &Load) -> io::Result<Report> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(load.connections * 2);
    let mut report = Report::new();
    let start = Instant::now();
    let mut slots = Vec::with_capacity(load.connections);
    for token in 0..load.connections {
        let mut slot = Slot { connection: Connection::open(load.addr)?, step: None, since: start };
        register(&poll, &mut slot, token)?;
        slots.push(slot);
    }
    let mut idle: Vec<usize> = (0..slots.len()).collect();
    let total = (load.limit.as_secs_f64() * load.rate) as u64;
    let (mut issued, mut waiting, mut heard) = (0, false, start);
    while issued < total || idle.len() < slots.len() {
        let due = ((start.elapsed().as_secs_f64() * load.rate) as u64 + 1).min(total);
        while issued < due {
            let Some(token) = idle.pop() else {
                waiting = true;
                break;
            };
            let slot = &mut slots[token];
            slot.since =
                if waiting { start + Duration::from_secs_f64(issued as f64 / load.rate) } else { Instant::now() };
            send(load, slot, 0)?;
            issued += 1;
        }
        waiting &= issued < due;
        // With a connection free the next thing may be to send; otherwise, or at the end, only answers count.
        let next = start + Duration::from_secs_f64(issued as f64 / load.rate);
        let sending = issued < total && !idle.is_empty();
        poll.poll(&mut events, Some(if sending { next.saturating_duration_since(Instant::now()) } else { STALL }))?;
        if !events.is_empty() {
            heard = Instant::now();
        } else if heard.elapsed() > STALL {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the server has stopped answering"));
        }
        for event in &events {
            let token = event.token().0;
            if receive(load, &mut slots[token], &poll, token, &mut report)? {
                idle.push(token);
            }
        }
    }
    report.seconds = start.elapsed().as_secs_f64();
    Ok(report)
}

fn register(poll: &Poll, slot: &mut Slot, token: usize) -> io::Result<()> {
    poll.registry().register(&mut slot.connection.stream, Token(token), Interest::READABLE | Interest::WRITABLE)
}

fn send(load: &Load, slot: &mut Slot, step: usize) -> io::Result<()> {
    slot.step = Some(step);
    slot.connection.begin();
    slot.connection.out.extend_from_slice(&load.steps[step].request);
    slot.connection.flush()
}

/// Takes what came; true when the operation is over and the connection idle.
fn receive(load: &Load, slot: &mut Slot, poll: &Poll, token: usize, report: &mut Report) -> io::Result<bool> {
    let Some(step) = slot.step else { return Ok(false) };
    slot.connection.flush()?;
    let closed = slot.connection.fill()?;
    if let Some(answer) = slot.connection.answer()? {
        let good = load.steps[step].is_answered_by(answer.status, slot.connection.bytes(answer.body));
        report.errors += u64::from(!good);
        if step + 1 < load.steps.len() {
            send(load, slot, step + 1)?;
            return Ok(false);
        }
        report.answered(slot.since.elapsed());
        slot.step = None;
        return Ok(true);
    }
    if closed {
        // The request was not answered: the same one goes out again on a new connection.
        report.reconnects += 1;
        slot.connection = Connection::open(load.addr)?;
        register(poll, slot, token)?;
        send(load, slot, step)?;
    }
    Ok(false)
}
