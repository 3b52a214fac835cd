//! One large file up or down, moved by the kernel (`io::copy` between a file or pipe and a socket), so that it costs the peer
//! less than any common client would.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use crate::connection::{answer_in, length_of};

pub fn send(addr: SocketAddr, path: &str, file: &Path) -> io::Result<()> {
    let mut file = File::open(file)?;
    let length = file.metadata()?.len();
    let mut stream = TcpStream::connect(addr)?;
    write!(stream, "PUT {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n")?;
    io::copy(&mut file, &mut stream)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    match answer_in(&bytes)? {
        Some(answer) if (200..300).contains(&answer.status) => Ok(()),
        answer => Err(io::Error::other(format!("PUT answered {}", answer.map_or(0, |a| a.status)))),
    }
}

pub fn fetch(addr: SocketAddr, path: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect(addr)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n")?;
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    let (start, length) = loop {
        let n = stream.read(&mut piece)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&piece[..n]);
        if let Some(found) = head_of(&bytes)? {
            break found;
        }
    };
    let mut out = io::stdout().lock();
    out.write_all(&bytes[start..])?;
    out.flush()?;
    let rest = (length - (bytes.len() - start)) as u64;
    if io::copy(&mut stream.take(rest), &mut out)? != rest {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

/// Where the body starts and how long it is, once the head is complete.
fn head_of(bytes: &[u8]) -> io::Result<Option<(usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    let httparse::Status::Complete(start) = parsed else { return Ok(None) };
    if response.code != Some(200) {
        return Err(io::Error::other(format!("GET answered {:?}", response.code)));
    }
    let length = length_of(response.headers)?.ok_or_else(|| io::Error::other("an answer without Content-Length"))?;
    Ok(Some((start, length)))
}
