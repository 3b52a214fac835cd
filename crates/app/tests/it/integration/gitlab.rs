//! The block for GitLab CI: its scripts run as a runner runs them, in shells that share only the job's variables.

use std::collections::BTreeMap;

use serde_json::Value;

use super::yaml::Yaml;
use super::{Job, Make, Site, blocks, keeps_its_promise};

/// A number for each job, as GitLab gives it.
static JOBS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);

/// Whether the processes of the first scripts live on until the last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Stays,
    IsStartedAnew,
}

fn lines(job: &Value, name: &str) -> String {
    let lines = job[name].as_array().unwrap_or_else(|| panic!("no {name} in {job}"));
    lines.iter().map(|line| line.as_str().unwrap().to_owned() + "\n").collect()
}

fn run(site: &Site, make: Make, pipeline: &Value, container: Container) -> Job {
    let (job, parent) = (&pipeline["test"], &pipeline[".larder"]);
    assert_eq!(job["extends"], ".larder");
    let number = JOBS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let id = format!("{}-{number}", std::process::id());
    let mut variables: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in parent["variables"].as_object().unwrap() {
        variables.insert(name, value.as_str().unwrap().replace("$CI_JOB_ID", &id));
    }
    // Where the server really is.
    assert!(variables.remove("LARDER_URL").is_some());
    let shell = |script: &str, status: &str| {
        let mut command = site.command("bash", make);
        // As the runner does, which also ends at the first line that fails.
        command.args(["-eo", "pipefail", "-c", script]).envs(&variables);
        command.env("CI_JOB_ID", &id).env("CI_JOB_STATUS", status).output().unwrap()
    };
    let mut all = Job::default();
    all.add(&shell(&(lines(parent, "before_script") + &lines(job, "script")), "running"));
    if container == Container::IsStartedAnew {
        crate::job::kill_server(variables["LARDER_JOB"].as_ref());
    }
    let after = shell(&lines(parent, "after_script"), if all.fails { "failed" } else { "success" });
    assert!(after.status.success(), "{}", crate::job::said(&after));
    all.add(&after);
    assert!(!std::path::Path::new(&variables["LARDER_JOB"]).exists(), "{}", all.said);
    all
}

#[test]
fn the_scripts_for_gitlab_save_at_their_end() {
    let Some(yaml) = Yaml::new() else { return };
    let [block] = &blocks("GitLab CI", "yaml")[..] else { panic!("one block") };
    let pipeline = yaml.parse(block);
    for container in [Container::Stays, Container::IsStartedAnew] {
        keeps_its_promise(|site, make| run(site, make, &pipeline, container));
    }
}

#[test]
fn where_larder_is_not_installed_the_scripts_for_gitlab_fail_nothing() {
    let Some(yaml) = Yaml::new() else { return };
    let pipeline = yaml.parse(&blocks("GitLab CI", "yaml")[0]);
    let site = Site::new();
    for name in ["before_script", "after_script"] {
        let script = lines(&pipeline[".larder"], name);
        let mut command = site.command("bash", Make::Succeeds);
        let ended = command.args(["-eo", "pipefail", "-c", &script]).env("PATH", "/usr/bin:/bin").output().unwrap();
        assert!(ended.status.success(), "{}", crate::job::said(&ended));
    }
}
