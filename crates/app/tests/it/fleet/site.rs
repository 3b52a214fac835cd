//! The machines of a fleet: a server with a bucket and tokens, and nodes on which jobs run without any.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use larder_base::{Clock, Timestamp};
use larder_testkit::clients::object_store::ObjectStore;
use larder_testkit::content::noise;
use larder_testkit::s3::{ACCESS_KEY_ID, BUCKET, FakeS3, REGION, SECRET_ACCESS_KEY};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::server::{Machine, Server, command, wait_until, with_environment};

struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp::from_millis(since.as_millis() as u64)
    }
}

/// The object store that the server's bucket is in.
pub enum Bucket {
    /// The test's own, and the runtime that it lives on.
    Fake { store: FakeS3, _runtime: Runtime },
    /// A real one, and the folder in which the objects of its bucket lie.
    Real(ObjectStore, PathBuf),
}

impl Bucket {
    pub fn fake() -> Self {
        let runtime = Runtime::new().unwrap();
        let store = runtime.block_on(FakeS3::start(Arc::new(WallClock)));
        Self::Fake { store, _runtime: runtime }
    }

    pub fn versitygw(program: &Path) -> Self {
        let store = ObjectStore::versitygw(program);
        let folder = store.make_bucket(BUCKET);
        Self::Real(store, folder)
    }

    fn endpoint(&self) -> &str {
        match self {
            Self::Fake { store, .. } => store.url(),
            Self::Real(store, _) => store.url(),
        }
    }

    /// The name of every object, and of every part of an unfinished upload, but those of a server's trial of the bucket.
    pub fn objects(&self) -> Vec<String> {
        let mut objects = self.all_objects();
        objects.retain(|name| !name.contains("check/first-"));
        objects
    }

    /// What servers' trials of the bucket have left.
    pub fn trials(&self) -> Vec<String> {
        let mut objects = self.all_objects();
        objects.retain(|name| name.contains("check/first-"));
        objects
    }

    fn all_objects(&self) -> Vec<String> {
        match self {
            Self::Fake { store, .. } => {
                assert_eq!(store.counts().1, 0, "an upload is unfinished");
                store.keys()
            }
            Self::Real(_, folder) => files(folder),
        }
    }
}

/// The files below a folder, by their names in it.
pub fn files(root: &Path) -> Vec<String> {
    let (mut names, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        // One that is being written may be gone by now.
        for path in fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                names.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    names.sort();
    names
}

/// A server with a bucket, its operator and its tokens, and a folder for everything.
pub struct Fleet {
    pub bucket: Bucket,
    folder: TempDir,
    server: Option<Server>,
    settings: String,
    operator: String,
    main: String,
    pull: String,
}

impl Fleet {
    /// A server with these settings, and tokens for a trusted job and for pull request 7.
    pub fn new(bucket: Bucket, settings: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("fleet").tempdir_in("/tmp").unwrap();
        let mut command = command();
        command.args(["--json", "--namespace", "*", "token", "create", "--admin", "--name", "operator", "--data"]);
        let output = command.arg(folder.path().join("up")).env("HOME", "/nonexistent").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let operator = token_of(&serde_json::from_slice(&output.stdout).unwrap());
        let (none, settings) = (String::new(), settings.to_owned());
        let mut fleet = Self { bucket, folder, server: None, settings, operator, main: none.clone(), pull: none };
        fleet.start_server();
        fleet.main = token_of(&fleet.ask(&["token", "create", "--name", "main", "--write", "trusted"]));
        fleet.pull = token_of(&fleet.ask(&["token", "create", "--name", "pull", "--write", "pr/7"]));
        fleet
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An empty folder.
    pub fn fresh(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        path
    }

    pub fn start_server(&mut self) {
        let config = self.path("up.toml");
        fs::write(&config, &self.settings).unwrap();
        let place = format!("s3://{BUCKET}/larder");
        let variables = [
            ("LARDER_BUCKET_URL", place.as_str()),
            ("LARDER_BUCKET_ENDPOINT", self.bucket.endpoint()),
            ("LARDER_BUCKET_REGION", REGION),
            ("LARDER_BUCKET_ORPHAN_AGE", "0s"),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID),
            ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ];
        let server = with_environment(&variables, || {
            Server::listening(&self.url(), &self.path("up"), &["--config", config.to_str().unwrap()])
        });
        self.server = Some(server);
    }

    pub fn kill_server(&mut self) {
        self.server.take().unwrap().kill();
    }

    fn url(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    /// What a command answers the operator.
    pub fn ask(&self, arguments: &[&str]) -> Value {
        let mut command = Machine::with_url(&self.url()).command(self.folder.path(), &["--strict", "--json"]);
        let output = command.args(arguments).env("LARDER_TOKEN", &self.operator).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The keys that the server has, the newest first.
    pub fn keys(&self, arguments: &[&str]) -> Vec<String> {
        let listed = self.ask(&[&["list"], arguments].concat());
        let keys = listed["entries"].as_array().unwrap().iter().map(|entry| entry["key"].as_str().unwrap().to_owned());
        keys.collect()
    }

    pub fn run_job(&self, name: &str) {
        let job = self.ask(&["jobs", "--run", name]);
        assert_eq!((&job["name"], &job["last_error"]), (&Value::from(name), &Value::Null), "{job}");
    }

    /// What the server says of its bucket.
    pub fn bucket_status(&self) -> Value {
        self.ask(&["stats"])["store"]["bucket"].clone()
    }

    /// Waits until everything sealed is in the bucket.
    pub fn ship_all(&self) {
        wait_until("all is shipped", || {
            self.run_job("shipping");
            self.bucket_status()["waiting_segments"] == 0
        });
    }

    /// As that, and leaves nothing on the disk that is there too.
    pub fn leave_all_to_the_bucket(&self) {
        self.ship_all();
        self.drop_all();
        self.ask(&["gc", "--quota", "1 GiB"]);
    }

    /// Has the server bring its data under a quota that the command line refuses as too small for a store.
    fn drop_all(&self) {
        let mut server = UnixStream::connect(self.socket()).unwrap();
        let token = &self.operator;
        let request = format!(
            "POST /gc?quota=1 HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\
             content-length: 0\r\n\r\n"
        );
        server.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        server.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }

    /// A command of a client that talks to the server itself, with the token of a trusted job.
    pub fn command(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = Machine::with_url(&self.url()).command(folder, arguments);
        command.env("LARDER_TOKEN", &self.main);
        command
    }

    /// A node with data of its own, for trusted jobs.
    pub fn node(&self, name: &str) -> Node {
        self.node_at(name, &self.url())
    }

    /// As that, with its server at another address.
    pub fn node_at(&self, name: &str, url: &str) -> Node {
        self.node_with(name, url, &self.main, "trusted")
    }

    /// A node for the jobs of pull request 7.
    pub fn pull_node(&self, name: &str) -> Node {
        self.node_with(name, &self.url(), &self.pull, "pr/7")
    }

    /// The path of the socket that the server listens on.
    pub fn socket(&self) -> PathBuf {
        self.path("up.sock")
    }

    fn node_with(&self, name: &str, url: &str, token: &str, scope: &str) -> Node {
        let config = self.path(&format!("{name}.toml"));
        fs::write(&config, format!("[upstream]\nurl = '{url}'\ntoken = '{token}'\nscope = '{scope}'\n")).unwrap();
        let data = self.path(name);
        Node { server: Some(Node::started(&data, &config)), data, config, work: TempDir::new().unwrap() }
    }
}

fn token_of(created: &Value) -> String {
    created["token"].as_str().unwrap().to_owned()
}

/// A machine with a node, where jobs run one after the other.
pub struct Node {
    server: Option<Server>,
    data: PathBuf,
    config: PathBuf,
    work: TempDir,
}

impl Node {
    fn started(data: &Path, config: &Path) -> Server {
        Server::start(data, &["--config", config.to_str().unwrap()])
    }

    pub fn kill(&mut self) {
        self.server.take().unwrap().kill();
    }

    pub fn restart(&mut self) {
        self.server = Some(Self::started(&self.data, &self.config));
    }

    /// Where its jobs run.
    pub fn work(&self) -> &Path {
        self.work.path()
    }

    /// An empty checkout for the next job.
    pub fn wipe(&mut self) {
        self.work = TempDir::new().unwrap();
    }

    /// Whether a part of a save has arrived.
    pub fn has_received(&self) -> bool {
        !files(&self.data.join("staging")).is_empty()
    }

    /// A command of ours in a job's surroundings, which hold an address and no credential.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
        command
            .args(arguments)
            .current_dir(self.work())
            .env_clear()
            .env("HOME", self.work().join("home"))
            .env("LARDER_URL", self.server.as_ref().unwrap().url())
            .env("LARDER_NAMESPACE", "test")
            .stdin(Stdio::null());
        crate::job::surround(&mut command);
        command
    }

    /// A job around a shell's script.
    pub fn job(&self, script: &str) -> Output {
        let ended = self.start_job(script).wait_with_output().unwrap();
        assert!(ended.status.success(), "{}", crate::job::said(&ended));
        ended
    }

    pub fn start_job(&self, script: &str) -> Child {
        let mut command = self.command(&["job", "run", "--", "sh", "-ec", script]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// What a restore into the checkout told.
    pub fn restore(&self, key: &str) -> Value {
        let output = self.command(&["--json", "restore", key]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What the node says of itself.
    pub fn status(&self) -> Value {
        let output = self.command(&["--json", "--strict", "stats"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["node"].clone()
    }

    pub fn wait_until_sent(&self) -> Value {
        wait_until("everything is sent", || self.status()["spool_entries"] == 0);
        self.status()
    }
}

/// A tree of files that do not compress.
pub fn make_noise(root: &Path, seed: u64, files: u64) {
    fs::create_dir_all(root.join("tree")).unwrap();
    for number in 0..files {
        fs::write(root.join(format!("tree/{number}")), noise(seed * 1000 + number, 1_000_000)).unwrap();
    }
}

/// Whether a folder has exactly the tree that [`make_noise`] made.
pub fn is_noise(root: &Path, seed: u64, count: u64) -> bool {
    files(&root.join("tree")).len() as u64 == count
        && (0..count).all(|number| {
            fs::read(root.join(format!("tree/{number}"))).unwrap() == noise(seed * 1000 + number, 1_000_000)
        })
}
