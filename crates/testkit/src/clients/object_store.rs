//! Real object stores on this machine, which check what moto does not: signatures, lengths and expiry.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::run::command;
use crate::s3::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};

/// How often it is tried whether a store answers, [`PAUSE`] apart: half a minute in all.
const TRIES: u32 = 3000;
const PAUSE: Duration = Duration::from_millis(10);

/// A running store without any bucket, which ends with this value. It knows the keys and the region of [`crate::s3`].
#[derive(Debug)]
pub struct ObjectStore {
    child: Child,
    url: String,
    home: TempDir,
}

impl ObjectStore {
    /// versitygw over a directory of files.
    ///
    /// # Panics
    /// When it ends instead of listening.
    pub fn versitygw(program: &Path) -> Self {
        Self::start(program, |command, home, port| {
            command
                .args(["--port", &format!("127.0.0.1:{port}"), "--region", REGION, "--keep-alive", "--quiet", "posix"])
                .arg(home)
                .env("ROOT_ACCESS_KEY", ACCESS_KEY_ID)
                .env("ROOT_SECRET_KEY", SECRET_ACCESS_KEY);
        })
    }

    /// MinIO with one drive and without its console.
    ///
    /// # Panics
    /// When it ends instead of listening.
    pub fn minio(program: &Path) -> Self {
        Self::start(program, |command, home, port| {
            command
                .args(["server", "--quiet", "--address", &format!("127.0.0.1:{port}")])
                .arg(home)
                .env("MINIO_ROOT_USER", ACCESS_KEY_ID)
                .env("MINIO_ROOT_PASSWORD", SECRET_ACCESS_KEY)
                .env("MINIO_SITE_REGION", REGION)
                .env("MINIO_BROWSER", "off");
        })
    }

    /// s3s-fs over a directory of files. It takes any region, and lacks some operations.
    ///
    /// # Panics
    /// When it ends instead of listening.
    pub fn s3s_fs(program: &Path) -> Self {
        Self::start(program, |command, home, port| {
            command
                .args(["--host", "127.0.0.1", "--port", &port.to_string()])
                .args(["--access-key", ACCESS_KEY_ID, "--secret-key", SECRET_ACCESS_KEY])
                .arg(home);
        })
    }

    fn start(program: &Path, arguments: impl Fn(&mut Command, &Path, u16)) -> Self {
        let home = tempfile::tempdir().expect("a folder for the store");
        // None of them says which port it was given, so it is given one that was free just now.
        let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|probe| probe.local_addr());
        let port = free.expect("this machine has a free port").port();
        let mut command = command(program, home.path());
        arguments(&mut command, home.path(), port);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not run: {error}", program.display()));
        await_answer(&mut child, port, program);
        Self { child, url: format!("http://127.0.0.1:{port}"), home }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes an empty bucket past the protocol and gives the folder in which its objects lie as files; versitygw only,
    /// which takes any folder for a bucket.
    ///
    /// # Panics
    /// When the folder cannot be made.
    pub fn make_bucket(&self, name: &str) -> PathBuf {
        let folder = self.home.path().join(name);
        std::fs::create_dir(&folder).expect("a folder for the bucket");
        folder
    }
}

/// Returns when the store answers at the port.
fn await_answer(child: &mut Child, port: u16, program: &Path) {
    for _ in 0..TRIES {
        if let Ok(Some(status)) = child.try_wait() {
            panic!("{} ended before it listened: {status}", program.display());
        }
        if is_ready(port) == Some(true) {
            return;
        }
        std::thread::park_timeout(PAUSE);
    }
    let _ = child.kill();
    panic!("{} does not answer at port {port}", program.display());
}

/// Whether the store answers, and not that it is still starting; none while nothing listens. What it answers to a stranger
/// who asks for this path of MinIO's differs, and does not matter.
fn is_ready(port: u16) -> Option<bool> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let request = "GET /minio/health/cluster HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).ok()?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).ok()?;
    Some(head.starts_with(b"HTTP/1.1 ") && !head.ends_with(b"503"))
}

impl Drop for ObjectStore {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
