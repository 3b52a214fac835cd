//! One kept-alive HTTP/1.1 connection, without blocking: bytes to send, bytes received, and where an answer ends.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use mio::net::TcpStream;

/// A complete answer at the head of the receive buffer.
pub struct Answer {
    pub status: u16,
    pub body: std::ops::Range<usize>,
}

pub struct Connection {
    pub stream: TcpStream,
    pub out: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    filled: usize,
}

/// Large enough for a head and a value; answers do not pile up, since one request is in flight at a time.
const ROOM: usize = 64 << 10;

impl Connection {
    pub fn open(addr: SocketAddr) -> io::Result<Self> {
        let stream = std::net::TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: TcpStream::from_std(stream),
            out: Vec::with_capacity(ROOM),
            sent: 0,
            received: vec![0; ROOM],
            filled: 0,
        })
    }

    /// Forgets the last exchange; the caller then fills `out`.
    pub fn begin(&mut self) {
        self.out.clear();
        self.sent = 0;
        self.filled = 0;
    }

    /// Sends what the socket takes now.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(n) => self.sent += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Reads until the socket has no more; true when the peer has closed.
    pub fn fill(&mut self) -> io::Result<bool> {
        loop {
            if self.filled == self.received.len() {
                self.received.resize(self.filled * 2, 0);
            }
            let room = self.received.len() - self.filled;
            match self.stream.read(&mut self.received[self.filled..]) {
                Ok(0) => return Ok(true),
                // A short read has emptied the socket; the next event says when there is more.
                Ok(n) => {
                    self.filled += n;
                    if n < room {
                        return Ok(false);
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) => return Err(e),
            }
        }
    }

    /// The answer, once all of it is here.
    pub fn answer(&self) -> io::Result<Option<Answer>> {
        answer_in(&self.received[..self.filled])
    }

    pub fn bytes(&self, range: std::ops::Range<usize>) -> &[u8] {
        &self.received[range]
    }
}

/// The answer at the head of `bytes`, or none while it is incomplete.
pub fn answer_in(bytes: &[u8]) -> io::Result<Option<Answer>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    let httparse::Status::Complete(start) = parsed else { return Ok(None) };
    let status = response.code.unwrap_or(0);
    let length = match length_of(response.headers)? {
        Some(length) => length,
        None if status == 204 || status == 304 => 0,
        None => return Err(io::Error::new(io::ErrorKind::InvalidData, "an answer without Content-Length")),
    };
    Ok((bytes.len() >= start + length).then_some(Answer { status, body: start..start + length }))
}

/// The value of Content-Length, if there is one.
pub fn length_of(headers: &[httparse::Header<'_>]) -> io::Result<Option<usize>> {
    let Some(header) = headers.iter().find(|h| h.name.eq_ignore_ascii_case("content-length")) else { return Ok(None) };
    std::str::from_utf8(header.value)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .map(Some)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "Content-Length is no number"))
}
