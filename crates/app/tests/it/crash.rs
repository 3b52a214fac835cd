//! The server killed in the middle: what it acknowledged is there, and nothing is wrong.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::server::{Machine, Server};

/// How often the server is killed in a normal run; `LARDER_TEST_KILLS` asks for more.
const KILLS: u32 = 6;
const WRITERS: u64 = 4;

/// One connection to the kv door.
struct Client {
    stream: TcpStream,
}

impl Client {
    fn connect(authority: &str) -> Option<Self> {
        let stream = TcpStream::connect(authority).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        Some(Self { stream })
    }

    /// The status and body of an answer; `None` when the connection broke.
    fn exchange(&mut self, method: &str, key: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
        let head = format!(
            "{method} /http/kv/test/{key} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.stream.write_all(head.as_bytes()).ok()?;
        self.stream.write_all(body).ok()?;
        let mut read = Vec::new();
        let mut piece = [0; 65536];
        loop {
            if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&read[..end]).to_lowercase();
                let status = head.split(' ').nth(1)?.parse().ok()?;
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "))
                    .map_or(0, |length| length.trim().parse::<usize>().unwrap());
                while read.len() < end + 4 + length {
                    match self.stream.read(&mut piece).ok()? {
                        0 => return None,
                        n => read.extend_from_slice(&piece[..n]),
                    }
                }
                return Some((status, read[end + 4..end + 4 + length].to_vec()));
            }
            match self.stream.read(&mut piece).ok()? {
                0 => return None,
                n => read.extend_from_slice(&piece[..n]),
            }
        }
    }
}

/// The value that a writer puts under a key; some are larger than one chunk.
fn value(key: &str) -> Vec<u8> {
    let seed = larder_base::ContentHash::of(key.as_bytes());
    let length = match seed.as_bytes()[0] {
        0..8 => 3_000_000,
        first => usize::from(first) * 40,
    };
    seed.as_bytes().iter().copied().cycle().take(length).collect()
}

#[test]
fn every_acknowledged_write_survives_kill_9_under_load() {
    let kills = std::env::var("LARDER_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    let data = tempfile::tempdir().unwrap();
    // By key: whether it was acknowledged (else it may be there or not).
    let written: Arc<Mutex<BTreeMap<String, bool>>> = Arc::default();
    for round in 0..kills {
        let server = Server::start(data.path(), &[]);
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (written, stop, authority) = (written.clone(), stop.clone(), server.authority().to_owned());
                std::thread::spawn(move || {
                    let Some(mut client) = Client::connect(&authority) else { return };
                    for number in 0_u32.. {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let key = format!("{round}-{writer}-{number}");
                        written.lock().unwrap().insert(key.clone(), false);
                        match client.exchange("PUT", &key, &value(&key)) {
                            Some((200..300, _)) => written.lock().unwrap().insert(key, true),
                            Some((status, _)) => panic!("{key} was answered with {status}"),
                            None => return,
                        };
                    }
                })
            })
            .collect();
        // Killed once enough is under way: at another moment in each round.
        let enough = 40 * (round as usize + 1);
        while written.lock().unwrap().values().filter(|acknowledged| **acknowledged).count() < enough {
            assert!(!writers.iter().all(std::thread::JoinHandle::is_finished), "no writer is left");
            std::thread::yield_now();
        }
        server.kill();
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.join().unwrap();
        }
        let server = Server::start(data.path(), &[]);
        check(&server, &written.lock().unwrap());
        // Sometimes an orderly stop between, so that both ends are met.
        if round % 2 == 0 {
            assert!(server.stop());
        } else {
            server.kill();
        }
    }
}

fn check(server: &Server, written: &BTreeMap<String, bool>) {
    let mut client = Client::connect(server.authority()).unwrap();
    for (key, acknowledged) in written {
        let (status, body) = client.exchange("GET", key, b"").unwrap();
        match status {
            200 => assert!(body == value(key), "{key} has wrong bytes"),
            404 => assert!(!acknowledged, "{key} was acknowledged and is gone"),
            other => panic!("{key} was answered with {other}"),
        }
    }
}

/// Files that do not compress, so that a save takes a while.
fn make_noise(folder: &Path) {
    fs::create_dir_all(folder.join("tree")).unwrap();
    for number in 0..40_u32 {
        let seed = larder_base::ContentHash::of(&number.to_le_bytes());
        let mut state = u64::from_le_bytes(seed.as_bytes()[..8].try_into().unwrap()) | 1;
        let noise: Vec<u8> = (0..1_000_000)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            })
            .collect();
        fs::write(folder.join(format!("tree/{number}")), noise).unwrap();
    }
}

#[test]
fn a_save_whose_server_is_killed_fails_no_build_and_can_be_repeated() {
    // In the middle: as soon as a part has arrived.
    kill_in_the_middle_of_a_save(|data| fs::read_dir(data.join("staging")).map_or(0, Iterator::count) > 0);
}

/// Kills the server of a save as soon as `is_in_the_middle`, which is told the data directory.
pub fn kill_in_the_middle_of_a_save(is_in_the_middle: impl Fn(&Path) -> bool) {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    make_noise(folder.path());
    let first = Server::start(&data, &[]);
    assert_eq!(Machine::of(&first).json(folder.path(), &["save", "before", "tree/1", "tree/2"])["result"], "saved");
    let machine = Machine::of(&first);
    let child = machine
        .command(folder.path(), &["--json", "save", "key", "tree"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while !is_in_the_middle(&data) {
        std::thread::yield_now();
    }
    first.kill();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "a save that fails is no failure of the build");

    let second = Server::start(&data, &[]);
    let machine = Machine::of(&second);
    let other = folder.path().join("other");
    fs::create_dir(&other).unwrap();
    assert_eq!(machine.json(&other, &["restore", "before"])["result"], "hit", "what was acknowledged is there");
    assert_eq!(machine.json(&other, &["restore", "key"])["result"], "miss", "what was not published is not");
    assert_eq!(machine.json(folder.path(), &["save", "key", "tree"])["result"], "saved");
    assert_eq!(machine.json(&other, &["restore", "key"])["result"], "hit");
    for number in 0..40 {
        let name = format!("tree/{number}");
        assert!(fs::read(other.join(&name)).unwrap() == fs::read(folder.path().join(&name)).unwrap(), "{name}");
    }
}
