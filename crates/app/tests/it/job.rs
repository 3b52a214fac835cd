//! A job's end: what was queued runs, once, in order, whatever happened before.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::server::{command, wait_until};

mod save_at_end;
mod socket;

/// A folder for the files of a job's commands.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::Builder::new().prefix("job").tempdir_in("/tmp").unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The binary, with `larder` on the path.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = command();
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        surround(&mut command);
        command
    }

    pub fn larder(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// A shell's script as the command of a job.
    fn job(&self, flags: &[&str], script: &str) -> Output {
        self.job_command(flags, script).output().unwrap()
    }

    fn job_command(&self, flags: &[&str], script: &str) -> Command {
        let state = self.path("state");
        let mut command = self.command(&[&["job", "run", "--state", state.to_str().unwrap()], flags].concat());
        command.args(["--", "sh", "-c", script]);
        command
    }

    /// Opens a job over several steps.
    fn begin(&self) -> PathBuf {
        let state = self.path("state");
        let begun = self.larder(&["job", "begin", "--state", state.to_str().unwrap()]);
        assert!(begun.status.success(), "{}", said(&begun));
        state
    }

    pub fn step(&self, arguments: &[&str]) -> Output {
        self.command(arguments).env("LARDER_JOB", self.path("state")).output().unwrap()
    }

    fn post(&self, when: &str, name: &str, script: &str) {
        let posted = self.step(&["--strict", "post", when, name, "--", "sh", "-c", script]);
        assert!(posted.status.success(), "{}", said(&posted));
    }

    /// What the job's commands wrote.
    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

/// Puts the binary on the path.
pub fn surround(command: &mut Command) {
    let folder = Path::new(env!("CARGO_BIN_EXE_larder")).parent().unwrap();
    command.env("PATH", format!("{}:{}", folder.display(), std::env::var("PATH").unwrap()));
}

pub fn said(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    format!("{}\n{out}\n{err}", output.status)
}

fn signal(child: &Child, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).unwrap();
}

#[test]
fn what_is_queued_runs_last_first_with_its_own_folder_and_environment_and_the_commands_code_remains() {
    let place = Place::new();
    fs::create_dir(place.path("sub")).unwrap();
    let ended = place.job(
        &[],
        "larder post always first -- sh -c 'echo first $LARDER_JOB_STATUS >> log'
         larder post success never -- sh -c 'echo never >> log'
         larder post always twice -- sh -c 'echo wrong >> log'
         (cd sub && VALUE='a  b' larder post failure second -- sh -c 'echo second \"$VALUE\" $1 >> ../log; pwd > here' x '*')
         larder post always twice -- sh -c 'echo twice >> log'
         VALUE=other; exit 7",
    );
    assert_eq!(ended.status.code(), Some(7), "{}", said(&ended));
    assert_eq!(place.log(), "twice\nsecond a  b *\nfirst failure\n", "{}", said(&ended));
    let here = fs::read_to_string(place.path("sub/here")).unwrap();
    assert_eq!(Path::new(here.trim()).canonicalize().unwrap(), place.path("sub").canonicalize().unwrap());
    assert!(!place.path("state").exists(), "a job that has ended leaves nothing");
}

#[test]
fn arguments_and_environments_that_are_no_text_come_through() {
    let place = Place::new();
    let ended = place.job(
        &[],
        "export ODD=$(printf 'x\\377y'); larder --strict post always odd -- sh -c 'printf \"%s|%s\" \"$ODD\" \"$1\" > log' x \"$(printf '\\376')\"",
    );
    assert!(ended.status.success(), "{}", said(&ended));
    assert_eq!(fs::read(place.path("log")).unwrap(), b"x\xffy|\xfe");
}

#[test]
fn the_queue_runs_also_when_the_command_was_killed_or_could_not_start() {
    let place = Place::new();
    let ended = place.job(&[], "larder post failure name -- sh -c 'echo ran >> log'; kill -9 $$");
    assert_eq!(ended.status.code(), Some(128 + 9), "{}", said(&ended));
    assert_eq!(place.log(), "ran\n");
    let absent = place.larder(&["job", "run", "/nonexistent/program"]);
    assert_eq!(absent.status.code(), Some(127), "{}", said(&absent));
    let folder = place.larder(&["job", "run", "/"]);
    assert_eq!(folder.status.code(), Some(126), "{}", said(&folder));
}

#[test]
fn signals_go_to_the_command_and_the_queue_runs_after_it() {
    let place = Place::new();
    let script = "larder post failure name -- sh -c 'echo queue >> log'
        trap 'echo told >> log; exit 3' TERM; touch ready; while :; do sleep 0.05; done";
    let mut job = place.job_command(&[], script).spawn().unwrap();
    wait_until("the command runs", || place.path("ready").exists());
    signal(&job, rustix::process::Signal::TERM);
    assert_eq!(job.wait().unwrap().code(), Some(3));
    assert_eq!(place.log(), "told\nqueue\n");
}

#[test]
fn a_failing_command_of_the_queue_is_reported_and_counts_only_when_that_is_asked_for() {
    let place = Place::new();
    let script = "larder post always good -- sh -c 'echo good >> log'
        larder post always absent -- /nonexistent/program
        larder post always bad -- sh -c 'exit 9'";
    let ended = place.job(&[], script);
    assert_eq!(ended.status.code(), Some(0), "{}", said(&ended));
    assert!(said(&ended).contains("bad failed: it ended with code 9"), "{}", said(&ended));
    assert!(said(&ended).contains("absent failed: /nonexistent/program"), "{}", said(&ended));
    assert_eq!(place.log(), "good\n", "one that fails keeps no other from its turn");
    assert_eq!(place.job(&["--strict"], script).status.code(), Some(1));
    assert_eq!(place.job(&["--strict"], &format!("{script}\nexit 5")).status.code(), Some(5));
}

#[test]
fn a_command_of_the_queue_has_a_deadline_and_takes_along_what_it_started() {
    let place = Place::new();
    let script = "larder post always after -- sh -c 'echo after >> log'
        larder post always slow -- sh -c 'trap \"\" TERM; sleep 1000 & echo $! > child; wait; sleep 1000'";
    let ended = place.job(&["--deadline", "1", "--json"], script);
    assert!(ended.status.success(), "{}", said(&ended));
    let told: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(told["status"], "success", "{told}");
    assert_eq!(
        (&told["commands"][0]["name"], &told["commands"][0]["result"]),
        (&"slow".into(), &"late".into()),
        "{told}"
    );
    assert_eq!(told["commands"][1]["result"], "done", "{told}");
    assert_eq!(place.log(), "after\n");
    let child = fs::read_to_string(place.path("child")).unwrap();
    let stat = format!("/proc/{}/stat", child.trim());
    wait_until("the child is gone", || fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z ")));
}

#[test]
fn a_job_over_several_steps_is_begun_shown_and_ended() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let state = place.begin();
    assert_eq!(fs::metadata(state.join("state")).unwrap().permissions().mode() & 0o777, 0o700);
    place.post("success", "one", "echo one >> log");
    place.post("always", "two", "echo two >> log");
    let shown = place.step(&["job", "status"]);
    let lines: Vec<_> = String::from_utf8(shown.stdout.clone()).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(lines, ["always   two: sh -c echo two >> log", "success  one: sh -c echo one >> log"]);
    let again = place.larder(&["--strict", "job", "begin", "--state", state.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(1), "{}", said(&again));
    let ended = place.step(&["job", "end", "--status", "failed"]);
    assert!(ended.status.success(), "{}", said(&ended));
    assert_eq!(place.log(), "two\n");
    assert!(!state.exists());
    let ended = place.step(&["--strict", "job", "end"]);
    assert!(ended.status.success() && said(&ended).contains("it has ended"), "{}", said(&ended));
    assert_eq!(place.log(), "two\n");
    let late = place.step(&["--strict", "post", "always", "late", "--", "true"]);
    assert_eq!(late.status.code(), Some(1), "{}", said(&late));
    let late = place.step(&["post", "always", "late", "--", "true"]);
    assert!(late.status.success() && said(&late).contains("the job has ended"), "{}", said(&late));
}

#[test]
fn a_job_tells_its_steps_of_it_in_the_form_that_each_ci_reads() {
    let place = Place::new();
    for (format, beginning) in [("shell", "export LARDER_JOB='"), ("github", "LARDER_JOB="), ("dotenv", "LARDER_JOB=")]
    {
        let begun =
            place.command(&["job", "begin", "--format", format]).env("RUNNER_TEMP", place.path("it's")).output();
        let line = String::from_utf8(begun.unwrap().stdout).unwrap();
        assert!(line.starts_with(beginning) && line.lines().count() == 1, "{line}");
        let script = match format {
            "shell" => format!("{line}printf %s \"$LARDER_JOB\""),
            _ => format!("printf %s \"{}\"", line.trim().strip_prefix("LARDER_JOB=").unwrap()),
        };
        let folder = Command::new("sh").args(["-c", &script]).output().unwrap().stdout;
        let folder = String::from_utf8(folder).unwrap();
        assert!(Path::new(&folder).starts_with(place.path("it's")), "{folder}");
        let ended = place.larder(&["--strict", "job", "end", "--job", &folder]);
        assert!(ended.status.success() && !Path::new(&folder).exists(), "{}", said(&ended));
    }
}

/// Kills the process that takes a job's commands.
pub fn kill_server(state: &Path) {
    let wanted = format!("job\0serve\0{}", state.display());
    let is_it = |pid: &str| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(&wanted))
    };
    let all = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let pid: i32 = all.filter(|name| name.parse::<i32>().is_ok()).find(|pid| is_it(pid)).unwrap().parse().unwrap();
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let is_zombie = || fs::read_to_string(folder.join("stat")).is_ok_and(|stat| stat.contains(") Z "));
    wait_until("the process is gone", || !folder.exists() || is_zombie());
}

#[test]
fn a_job_whose_process_was_killed_is_ended_from_what_is_on_disk() {
    let place = Place::new();
    let state = place.begin();
    place.post("always", "one", "echo one >> log");
    kill_server(&state);
    let posted = place.step(&["--strict", "post", "always", "two", "--", "true"]);
    assert_eq!(posted.status.code(), Some(1), "nobody takes commands: {}", said(&posted));
    let ended = place.step(&["--strict", "job", "end"]);
    assert!(ended.status.success(), "{}", said(&ended));
    assert_eq!(place.log(), "one\n");
}

#[test]
fn whoever_is_killed_while_the_queue_runs_no_command_runs_twice_and_the_rest_runs_once() {
    let place = Place::new();
    place.begin();
    place.post("always", "last", "echo last >> log");
    place.post("always", "killer", "echo killer >> log; kill -9 $PPID");
    place.post("always", "first", "echo first >> log");
    let killed = place.step(&["job", "end"]);
    assert_eq!(killed.status.code(), None, "{}", said(&killed));
    wait_until("the killer wrote", || place.log().contains("killer"));
    let ended = place.step(&["--json", "job", "end", "--status", "failure"]);
    assert!(ended.status.success(), "{}", said(&ended));
    assert_eq!(place.log(), "first\nkiller\nlast\n");
    let told: serde_json::Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(told["status"], "success", "the first end counts: {told}");
    assert_eq!(told["commands"][0]["result"], "interrupted", "{told}");
}

#[test]
fn a_killed_job_run_leaves_a_queue_that_can_be_run() {
    let place = Place::new();
    let script = "larder post always name -- sh -c 'echo ran >> log'; echo $$ > ready; exec sleep 1000";
    let mut job = place.job_command(&[], script).spawn().unwrap();
    wait_until("the command runs", || fs::read_to_string(place.path("ready")).is_ok_and(|pid| pid.ends_with('\n')));
    let early = place.step(&["--strict", "job", "end"]);
    assert_eq!(early.status.code(), Some(1), "{}", said(&early));
    assert!(said(&early).contains("ends with the command"), "{}", said(&early));
    job.kill().unwrap();
    job.wait().unwrap();
    let pid: i32 = fs::read_to_string(place.path("ready")).unwrap().trim().parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let ended = place.step(&["--strict", "job", "end", "--status", "failure"]);
    assert!(ended.status.success(), "{}", said(&ended));
    assert_eq!(place.log(), "ran\n");
}

#[test]
fn without_a_place_for_its_state_a_job_still_runs_its_command() {
    let place = Place::new();
    fs::write(place.path("state"), "in the way").unwrap();
    let ended = place.job(&[], "echo \"${LARDER_JOB-none}\" >> log; exit 4");
    assert_eq!(ended.status.code(), Some(4), "{}", said(&ended));
    assert!(said(&ended).contains("there is no job around the command"), "{}", said(&ended));
    assert_eq!(place.log(), "none\n");
    assert_eq!(place.job(&["--strict"], "true").status.code(), Some(1));
}
