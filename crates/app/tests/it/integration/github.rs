//! The action in this repository and the blocks of docs/ci.md, on the parts of GitHub's runner that they need: expressions of a few kinds,
//! files of commands, post steps in reverse order with inputs that are read again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use larder_testkit::clients::client;
use serde_json::{Map, Value};

use super::yaml::Yaml;
use super::{Job, Make, REPOSITORY, Site, blocks, keeps_its_promise};

type Variables = BTreeMap<String, String>;

/// A runner during one job.
struct Runner<'a> {
    site: &'a Site,
    make: Make,
    yaml: &'a Yaml,
    node: &'a Path,
    /// The job's environment, which steps add to.
    environment: Variables,
    /// JavaScript actions that have begun: their folder, definition and state.
    begun: Vec<(PathBuf, Value, Variables)>,
    job: Job,
}

impl Runner<'_> {
    fn status(&self) -> &'static str {
        if self.job.fails { "failure" } else { "success" }
    }

    /// A text with its expressions replaced.
    fn expand(&self, text: &Value, inputs: &Variables) -> String {
        let text = text.as_str().unwrap_or_else(|| panic!("{text} is no text"));
        let mut parts = text.split("${{");
        let mut expanded = parts.next().unwrap().to_owned();
        for part in parts {
            let (expression, rest) = part.split_once("}}").unwrap();
            expanded += match expression.trim() {
                "job.status" => self.status(),
                other => match other.strip_prefix("inputs.") {
                    Some(name) => inputs.get(name).unwrap_or_else(|| panic!("there is no input {name}")),
                    None => panic!("{other} is not known here"),
                },
            };
            expanded += rest;
        }
        expanded
    }

    fn step(&mut self, step: &Value, inputs: &Variables) {
        match step["if"].as_str() {
            Some("always()") => {}
            None if self.job.fails => return,
            None => {}
            Some(other) => panic!("{other} is not known here"),
        }
        if let Some(action) = step["uses"].as_str() {
            match action.strip_prefix("./") {
                Some(folder) => self.action(&Path::new(REPOSITORY).join(folder), &step["with"], inputs),
                None => assert!(action.starts_with("actions/checkout@"), "{action} is not known here"),
            }
            return;
        }
        let script = self.expand(&step["run"], inputs);
        let own = step["env"].as_object().cloned().unwrap_or_default();
        let own: Variables = own.iter().map(|(name, value)| (name.clone(), self.expand(value, inputs))).collect();
        self.process(Path::new("bash"), &["--noprofile", "--norc", "-eo", "pipefail", "-c", &script], &own);
    }

    fn action(&mut self, folder: &Path, with: &Value, outer: &Variables) {
        let definition = self.yaml.read(&folder.join("action.yml"));
        let inputs = self.inputs(&definition, with, outer);
        match definition["runs"]["using"].as_str().unwrap() {
            "composite" => {
                for step in definition["runs"]["steps"].as_array().unwrap() {
                    assert!(step["uses"].is_string() || step["shell"] == "bash", "{step}");
                    self.step(step, &inputs);
                }
            }
            using => {
                assert!(using.starts_with("node"), "{using}");
                let state = self.script(folder, &definition["runs"]["main"], &inputs, &Variables::new());
                self.begun.push((folder.to_owned(), definition, state));
            }
        }
    }

    fn inputs(&self, definition: &Value, with: &Value, outer: &Variables) -> Variables {
        let given = with.as_object().cloned().unwrap_or_default();
        let known = definition["inputs"].as_object().unwrap();
        assert!(given.keys().all(|name| known.contains_key(name)), "{given:?}");
        let value = |(name, input): (&String, &Value)| {
            (name.clone(), self.expand(given.get(name).unwrap_or(&input["default"]), outer))
        };
        known.iter().map(value).collect()
    }

    /// Runs a script of an action, and gives the state that it leaves.
    fn script(&mut self, folder: &Path, script: &Value, inputs: &Variables, state: &Variables) -> Variables {
        let script = folder.join(script.as_str().unwrap());
        let input = |(name, value): (&String, &String)| (format!("INPUT_{}", name.to_uppercase()), value.clone());
        let state = state.iter().map(|(name, value)| (format!("STATE_{name}"), value.clone()));
        let own = inputs.iter().map(input).chain(state).collect();
        self.process(self.node, &[script.to_str().unwrap()], &own)
    }

    fn process(&mut self, program: &Path, arguments: &[&str], own: &Variables) -> Variables {
        let [variables, state] = ["variables", "left"].map(|name| self.site.path(name));
        for file in [&variables, &state] {
            fs::write(file, "").unwrap();
        }
        let mut command = self.site.command(program, self.make);
        command.args(arguments).envs(&self.environment).envs(own);
        command.env("GITHUB_ENV", &variables).env("GITHUB_STATE", &state).env("RUNNER_TEMP", self.site.path("temp"));
        let ended = command.output().unwrap();
        self.job.add(&ended);
        self.environment.extend(pairs(&variables));
        pairs(&state).collect()
    }

    /// What GitHub does at a job's end.
    fn end(mut self) -> Job {
        while let Some((folder, definition, state)) = self.begun.pop() {
            let inputs = self.inputs(&definition, &Value::Null, &Variables::new());
            self.script(&folder, &definition["runs"]["post"], &inputs, &state);
        }
        self.job
    }
}

/// What a step wrote for the runner.
fn pairs(file: &Path) -> impl Iterator<Item = (String, String)> {
    let text = fs::read_to_string(file).unwrap();
    let pairs = text.lines().map(|line| line.split_once('=').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>().into_iter()
}

struct Tools {
    yaml: Yaml,
    node: PathBuf,
}

impl Tools {
    fn find() -> Option<Self> {
        Some(Self { yaml: Yaml::new()?, node: client("node")? })
    }

    fn run(&self, site: &Site, make: Make, steps: &[Value]) -> Job {
        let (environment, begun) = (Variables::new(), Vec::new());
        let mut runner =
            Runner { site, make, yaml: &self.yaml, node: &self.node, environment, begun, job: Job::default() };
        for step in steps {
            runner.step(step, &Variables::new());
        }
        runner.end()
    }

    /// The steps of a block of docs/ci.md.
    fn steps(&self, at: usize) -> Vec<Value> {
        let all = blocks("GitHub Actions", "yaml");
        assert_eq!(all.len(), 2);
        let workflow = self.yaml.parse(&all[at]);
        let job: &Map<_, _> = workflow["jobs"]["test"].as_object().unwrap();
        assert!(job["env"]["LARDER_URL"].is_string());
        job["steps"].as_array().unwrap().clone()
    }
}

#[test]
fn the_action_saves_at_the_jobs_end() {
    let Some(tools) = Tools::find() else { return };
    let steps = tools.steps(0);
    keeps_its_promise(|site, make| tools.run(site, make, &steps));
}

#[test]
fn the_steps_without_an_action_save_at_the_jobs_end() {
    let Some(tools) = Tools::find() else { return };
    let steps = tools.steps(1);
    keeps_its_promise(|site, make| tools.run(site, make, &steps));
}

#[test]
fn the_action_takes_another_restore_and_saves_also_after_a_failure_when_told_so() {
    let Some(tools) = Tools::find() else { return };
    let step = |with: Value| serde_json::json!({"uses": "./.github/actions/larder", "with": with});
    let steps = [
        step(serde_json::json!({"restore": "restore deps out", "save-at-end": "always", "directory": "sub"})),
        // A second use queues in the job that is open, and leaves its end to the first.
        step(serde_json::json!({})),
        serde_json::json!({"run": "mkdir sub/out && echo half > sub/out/file && make test"}),
    ];
    let site = Site::new();
    fs::create_dir(site.path("checkout/sub")).unwrap();
    let job = tools.run(&site, Make::Fails, &steps);
    assert!(job.fails && site.saved().contains("deps"), "{}", job.said);
    assert!(!site.saved().contains("node-"), "{}", job.said);
    assert_eq!(fs::read_dir(site.path("temp")).unwrap().count(), 0, "{}", job.said);
}

#[test]
fn where_larder_is_not_installed_the_action_warns_and_fails_nothing() {
    let Some(tools) = Tools::find() else { return };
    let site = Site::new();
    let mut runner = Runner {
        site: &site,
        make: Make::Succeeds,
        yaml: &tools.yaml,
        node: &tools.node,
        environment: [("PATH".to_owned(), "/usr/bin:/bin".to_owned())].into(),
        begun: Vec::new(),
        job: Job::default(),
    };
    runner.step(&serde_json::json!({"uses": "./.github/actions/larder"}), &Variables::new());
    let job = runner.end();
    assert!(!job.fails && job.said.contains("::warning::larder is not on the path"), "{}", job.said);
    assert!(job.said.contains("::warning::larder does not run here"), "{}", job.said);
}
