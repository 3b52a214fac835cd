//! The hooks for Buildkite: sourced by bash one after the other, as the agent does, which carries on what they export.

use std::fs;
use std::process::Output;

use super::{Job, Make, Site, blocks, keeps_its_promise};
use crate::job::said;

/// What the agent does with a hook: it sources it, and reads what the environment is then.
const SOURCE: &str = r#"set -e; . "$1"; env -0 >"$2""#;

struct Agent<'a> {
    site: &'a Site,
    make: Make,
    environment: Vec<(String, String)>,
}

impl Agent<'_> {
    fn command(&self, arguments: &[&str]) -> Output {
        let mut command = self.site.command("bash", self.make);
        if !self.environment.is_empty() {
            command.env_clear();
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env("TMPDIR", self.site.path("temp")).args(arguments).output().unwrap()
    }

    fn hook(&mut self, text: &str) -> Output {
        let (hook, after) = (self.site.path("hook"), self.site.path("environment"));
        fs::write(&hook, text).unwrap();
        let done = self.command(&["-c", SOURCE, "hook", hook.to_str().unwrap(), after.to_str().unwrap()]);
        assert!(done.status.success(), "a hook that fails fails the job: {}", said(&done));
        let all = String::from_utf8(fs::read(&after).unwrap()).unwrap();
        let pairs = all.split_terminator('\0').map(|pair| pair.split_once('=').unwrap());
        self.environment = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        done
    }

    fn set(&mut self, name: &str, value: String) {
        self.environment.push((name.to_owned(), value));
    }
}

fn hooks() -> [String; 2] {
    blocks("Buildkite", "bash").try_into().unwrap()
}

#[test]
fn the_hooks_for_buildkite_save_at_the_jobs_end() {
    let [before, exit] = hooks();
    keeps_its_promise(|site, make| {
        let mut agent = Agent { site, make, environment: Vec::new() };
        let mut job = Job::default();
        job.add(&agent.hook(&before));
        let tested = agent.command(&["-c", "make test"]);
        agent.set("BUILDKITE_COMMAND_EXIT_STATUS", tested.status.code().unwrap().to_string());
        job.add(&tested);
        job.add(&agent.hook(&exit));
        job
    });
}

#[test]
fn a_job_of_buildkite_whose_command_never_ran_saves_nothing() {
    let [before, exit] = hooks();
    let site = Site::new();
    let mut agent = Agent { site: &site, make: Make::Succeeds, environment: Vec::new() };
    agent.hook(&before);
    agent.hook("make test");
    let ended = agent.hook(&exit);
    assert!(said(&ended).contains("is for another end of the job"), "{}", said(&ended));
    assert_eq!(site.saved(), "");
}

#[test]
fn where_larder_is_not_installed_the_hooks_for_buildkite_fail_nothing() {
    let site = Site::new();
    let mut agent = Agent { site: &site, make: Make::Succeeds, environment: Vec::new() };
    agent.hook("PATH=/usr/bin:/bin");
    for hook in hooks() {
        agent.hook(&hook);
    }
}
