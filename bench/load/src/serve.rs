//! A server that does nothing but answer: what loopback and the load itself cost, and so the ceiling of any rate measured here.

use std::io::{self, Read, Write};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::connection::length_of;

const LISTENER: Token = Token(usize::MAX);

struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

/// Serves until it is killed. A GET gets `size` zero bytes, anything else an empty 200.
pub fn run(addr: SocketAddr, size: usize) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(256);
    let mut listener = TcpListener::bind(addr)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut clients: Vec<Option<Client>> = Vec::new();
    let mut full = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").into_bytes();
    full.resize(full.len() + size, 0);
    let empty = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec();
    let mut piece = vec![0; 64 << 10];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    poll.registry().register(&mut stream, Token(clients.len()), Interest::READABLE)?;
                    clients.push(Some(Client { stream, received: Vec::new() }));
                }
                continue;
            }
            let place = &mut clients[event.token().0];
            let Some(client) = place else { continue };
            if exchange(client, &mut piece, &full, &empty).is_err() {
                *place = None;
            }
        }
    }
}

fn exchange(client: &mut Client, piece: &mut [u8], full: &[u8], empty: &[u8]) -> io::Result<()> {
    loop {
        match client.stream.read(piece) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => client.received.extend_from_slice(&piece[..n]),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e),
        }
        while let Some((is_get, end)) = request_in(&client.received)? {
            client.received.drain(..end);
            client.stream.write_all(if is_get { full } else { empty })?;
        }
    }
}

/// Whether the request at the head of `bytes` is a GET, and where it ends; none while it is incomplete.
fn request_in(bytes: &[u8]) -> io::Result<Option<(bool, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut request = httparse::Request::new(&mut headers);
    let parsed = request.parse(bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    let httparse::Status::Complete(start) = parsed else { return Ok(None) };
    let end = start + length_of(request.headers)?.unwrap_or(0);
    Ok((bytes.len() >= end).then_some((request.method == Some("GET"), end)))
}
