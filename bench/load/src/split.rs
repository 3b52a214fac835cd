//! The client that ccache 4.x is: one connection, blocking, Nagle on, head and body in two writes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::body;
use crate::connection::answer_in;
use crate::report::Report;

pub fn run(addr: SocketAddr, prefix: &str, first: u64, keys: u64, size: usize) -> io::Result<Report> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut report = Report::new();
    let mut value = Vec::with_capacity(size);
    let start = Instant::now();
    for number in first..first + keys {
        value.clear();
        body::append_value(number, size, &mut value);
        // ccache's layout `subdirs`: the first two characters of the key are a folder.
        let key = body::key(number);
        let (folder, rest) = key.split_at(2);
        let head = format!(
            "PUT {prefix}{folder}/{rest} HTTP/1.1\r\nHost: localhost\r\nConnection: Keep-Alive\r\nUser-Agent: ccache/4.7.5\r\n\
             Content-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n"
        );
        let since = Instant::now();
        stream.write_all(head.as_bytes())?;
        stream.write_all(&value)?;
        let status = read_answer(&mut stream)?;
        report.answered(since.elapsed());
        report.errors += u64::from(!(200..300).contains(&status));
    }
    report.seconds = start.elapsed().as_secs_f64();
    Ok(report)
}

fn read_answer(stream: &mut TcpStream) -> io::Result<u16> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let n = stream.read(&mut piece)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&piece[..n]);
        if let Some(answer) = answer_in(&bytes)? {
            return Ok(answer.status);
        }
    }
}
