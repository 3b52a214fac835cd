//! A server that says what a test tells it to, on a real socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::{HttpClient, Policy};

/// What happens to one request, once all of it has come.
pub(crate) enum Step {
    /// It is answered: status line and headers without the length, and the body.
    Answer(&'static str, Vec<u8>),
    /// The answer announces its body and breaks off in the middle of it.
    BreakOff { announced: usize, sent: Vec<u8> },
    /// The connection is closed without a word.
    Close,
    /// Nothing happens; the connection stays open until the client gives it up.
    Stall,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// Method and path.
    pub(crate) line: String,
    pub(crate) headers: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Seen {
    pub(crate) fn has_header(&self, name: &str) -> bool {
        self.headers.iter().any(|header| header.to_ascii_lowercase().starts_with(&format!("{name}:")))
    }
}

/// A server that has a step for each request.
pub(crate) struct Script {
    pub(crate) url: String,
    thread: JoinHandle<Vec<Seen>>,
}

impl Script {
    pub(crate) fn run(steps: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        #[expect(
            clippy::disallowed_methods,
            reason = "the other end of a socket lives outside of the runtime under test"
        )]
        let thread = std::thread::spawn(move || serve(&listener, steps));
        Self { url, thread }
    }

    /// What came, in order; waits for all steps to be done.
    pub(crate) fn seen(self) -> Vec<Seen> {
        self.thread.join().unwrap()
    }
}

pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Step {
    Step::Answer("200 OK", body.into())
}

/// A client whose patience fits into a test.
pub(crate) fn impatient() -> HttpClient {
    let policy = Policy {
        idle: Duration::from_millis(300),
        first_pause: Duration::from_millis(1),
        total: Duration::from_secs(5),
        ..Policy::default()
    };
    HttpClient::new(policy, 1)
}

fn serve(listener: &TcpListener, steps: Vec<Step>) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut connection: Option<BufReader<TcpStream>> = None;
    for step in steps {
        let (mut stream, request) = loop {
            let mut stream = connection.take().unwrap_or_else(|| BufReader::new(listener.accept().unwrap().0));
            if let Some(request) = read(&mut stream) {
                break (stream, request);
            }
        };
        seen.push(request);
        match step {
            Step::Answer(head, body) => {
                let head = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n", body.len());
                stream.get_mut().write_all(&[head.as_bytes(), &body].concat()).unwrap();
                connection = Some(stream);
            }
            Step::BreakOff { announced, sent } => {
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {announced}\r\n\r\n");
                stream.get_mut().write_all(&[head.as_bytes(), &sent].concat()).unwrap();
            }
            Step::Close => {}
            Step::Stall => {
                let _ = stream.read(&mut [0]);
            }
        }
    }
    seen
}

fn read(stream: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let length = lines.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    let line = lines.remove(0).replace(" HTTP/1.1", "");
    Some(Seen { line, headers: lines, body })
}
