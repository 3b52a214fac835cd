//! Many kept-alive connections from one thread, each with one request in flight.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::body;
use crate::connection::Connection;
use crate::report::Report;

#[derive(Clone, Copy, PartialEq)]
pub enum Verb {
    /// Keys at random among `keys`, until the time is over.
    Get,
    /// Each key once, until all are stored or the time is over.
    Put,
}

pub struct Load {
    pub verb: Verb,
    pub addr: SocketAddr,
    pub prefix: String,
    pub first: u64,
    pub keys: u64,
    pub limit: Option<Duration>,
    pub connections: usize,
    pub size: usize,
}

/// No answer on any connection for this long ends the run as a fault.
const STALL: Duration = Duration::from_secs(30);

struct Slot {
    connection: Connection,
    number: u64,
    since: Instant,
    busy: bool,
}

pub fn run(load: &Load) -> io::Result<Report> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(load.connections * 2);
    let mut report = Report::new();
    let mut issued = 0;
    let start = Instant::now();
    let limit = load.limit.or((load.verb == Verb::Get).then_some(Duration::from_secs(5)));

    let mut slots = Vec::with_capacity(load.connections);
    for token in 0..load.connections {
        let mut slot = Slot { connection: Connection::open(load.addr)?, number: 0, since: start, busy: false };
        register(&poll, &mut slot, token)?;
        next(load, &mut issued, &mut slot, start, limit)?;
        slots.push(slot);
    }
    while slots.iter().any(|slot| slot.busy) {
        poll.poll(&mut events, Some(STALL))?;
        if events.is_empty() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the server has stopped answering"));
        }
        for event in &events {
            let slot = &mut slots[event.token().0];
            if !slot.busy {
                continue;
            }
            slot.connection.flush()?;
            let closed = slot.connection.fill()?;
            if let Some(answer) = slot.connection.answer()? {
                let now = Instant::now();
                report.answered(now - slot.since);
                report.errors += u64::from(!is_right(load, slot, &answer));
                next(load, &mut issued, slot, start, limit)?;
            } else if closed {
                // The request was not answered: the same one goes out again on a new connection.
                report.reconnects += 1;
                let out = std::mem::take(&mut slot.connection.out);
                slot.connection = Connection::open(load.addr)?;
                slot.connection.out = out;
                register(&poll, slot, event.token().0)?;
                slot.connection.flush()?;
            }
        }
    }
    report.seconds = start.elapsed().as_secs_f64();
    Ok(report)
}

fn register(poll: &Poll, slot: &mut Slot, token: usize) -> io::Result<()> {
    poll.registry().register(&mut slot.connection.stream, Token(token), Interest::READABLE | Interest::WRITABLE)
}

/// Sends the next request of the load, or leaves the connection idle when there is none.
fn next(load: &Load, issued: &mut u64, slot: &mut Slot, start: Instant, limit: Option<Duration>) -> io::Result<()> {
    let now = Instant::now();
    let over = limit.is_some_and(|limit| now - start >= limit);
    slot.busy = !over && (load.verb == Verb::Get || *issued < load.keys);
    if !slot.busy {
        return Ok(());
    }
    slot.number = load.first + if load.verb == Verb::Get { body::mix(*issued) % load.keys } else { *issued };
    slot.since = now;
    *issued += 1;
    slot.connection.begin();
    request(load, slot.number, &mut slot.connection.out);
    slot.connection.flush()
}

fn request(load: &Load, number: u64, out: &mut Vec<u8>) {
    let key = body::key(number);
    let prefix = &load.prefix;
    match load.verb {
        Verb::Get => out.extend_from_slice(format!("GET {prefix}{key} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()),
        Verb::Put => {
            let size = load.size;
            out.extend_from_slice(
                format!("PUT {prefix}{key} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n").as_bytes(),
            );
            body::append_value(number, size, out);
        }
    }
}

fn is_right(load: &Load, slot: &Slot, answer: &crate::connection::Answer) -> bool {
    match load.verb {
        Verb::Put => (200..300).contains(&answer.status),
        Verb::Get => {
            let value = slot.connection.bytes(answer.body.clone());
            answer.status == 200 && value.len() == load.size && body::begins(slot.number, value)
        }
    }
}
