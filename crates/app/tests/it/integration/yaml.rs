//! YAML, read by a parser that is not ours.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use larder_testkit::clients::client;
use serde_json::Value;

const TO_JSON: &str = "import json, sys, yaml\njson.dump(yaml.safe_load(sys.stdin), sys.stdout)";

/// A parser of YAML.
pub struct Yaml(PathBuf);

impl Yaml {
    /// The parser, or `None` after it was said that there is none.
    pub fn new() -> Option<Self> {
        client("python-yaml").map(Self)
    }

    pub fn parse(&self, text: &str) -> Value {
        let mut python = Command::new(&self.0);
        python.args(["-c", TO_JSON]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut python = python.spawn().unwrap();
        python.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let parsed = python.wait_with_output().unwrap();
        assert!(parsed.status.success(), "this is no YAML:\n{text}");
        serde_json::from_slice(&parsed.stdout).unwrap()
    }

    pub fn read(&self, path: &Path) -> Value {
        self.parse(&std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }
}
