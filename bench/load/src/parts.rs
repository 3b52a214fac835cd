//! One file up in equal parts over several connections, to URLs that were signed before: the shape in which CI caches upload.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Mutex;

use crate::connection::length_of;

/// Sends part N of `size` bytes (the last one is shorter) to the Nth of `targets`. Returns their tags in order.
pub fn send(addr: SocketAddr, file: &Path, size: u64, connections: usize, targets: &[&str]) -> io::Result<Vec<String>> {
    let length = File::open(file)?.metadata()?.len();
    if length.div_ceil(size) != targets.len() as u64 {
        return Err(io::Error::other(format!("{length} bytes are not {} parts of {size}", targets.len())));
    }
    let numbers = Mutex::new(0..targets.len());
    let tags = Mutex::new(vec![String::new(); targets.len()]);
    let next = || numbers.lock().expect("nobody panics with it").next();
    let work = || -> io::Result<()> {
        let mut stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        while let Some(number) = next() {
            let offset = number as u64 * size;
            let tag = one(&mut stream, addr, targets[number], file, offset, size.min(length - offset))?;
            tags.lock().expect("nobody panics with it")[number] = tag;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..connections.min(targets.len())).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
    })?;
    Ok(tags.into_inner().expect("nobody panics with it"))
}

fn one(
    stream: &mut TcpStream,
    addr: SocketAddr,
    target: &str,
    file: &Path,
    offset: u64,
    length: u64,
) -> io::Result<String> {
    let mut file = File::open(file)?;
    file.seek(SeekFrom::Start(offset))?;
    write!(stream, "PUT {target} HTTP/1.1\r\nHost: {addr}\r\nContent-Length: {length}\r\n\r\n")?;
    if io::copy(&mut file.take(length), stream)? != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let n = stream.read(&mut piece)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&piece[..n]);
        if let Some(tag) = tag_in(&bytes)? {
            return Ok(tag);
        }
    }
}

/// The tag, once the answer is complete.
fn tag_in(bytes: &[u8]) -> io::Result<Option<String>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(bytes).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    let httparse::Status::Complete(start) = parsed else { return Ok(None) };
    if bytes.len() < start + length_of(response.headers)?.unwrap_or(0) {
        return Ok(None);
    }
    let tag = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("etag"));
    match (response.code, tag) {
        (Some(200), Some(tag)) => Ok(Some(String::from_utf8_lossy(tag.value).into_owned())),
        (code, _) => {
            Err(io::Error::other(format!("PUT answered {code:?}: {}", String::from_utf8_lossy(&bytes[start..]))))
        }
    }
}
