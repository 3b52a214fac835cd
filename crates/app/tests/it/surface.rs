//! The edges that an operator meets: start, status, stop, and what is said when something is wrong.

use std::fs;

use crate::server::{Machine, Server, command};

fn serve_fails(arguments: &[&str]) -> String {
    let output = command().arg("serve").args(arguments).env("HOME", "/nonexistent").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_wrong_key_of_the_configuration_names_the_right_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("larder.toml");
    let file_name = file.to_str().unwrap();
    for (text, right) in [
        ("qouta = '1 GiB'", "did you mean `quota`?"),
        ("[store]\nretentoin = '1h'", "did you mean `retention`?"),
        ("[door.http]\nmax_valeu = 5", "did you mean `max_value`?"),
        ("[door.htpp]\n", "there is no door \"htpp\""),
        ("[door.ci]\nurl_seconds = 'x'", "door.ci.url_seconds must be a whole number, 0 or more (from "),
        ("[door]\nci = 3", "door.ci must be a table; write [door.ci] (from "),
        ("[log]\nlevel = 'inof'", "log.level: \"inof\" is no level; did you mean info? (from "),
        ("[[credentials]]\nname = 'ci'\ntoken_sha256 = 'zz'", "credential \"ci\": token_sha256: a token's hash is"),
        ("listen = '0.0.0.0:0'", "[[credentials]]"),
    ] {
        fs::write(&file, text).unwrap();
        let data = folder.path().join("data");
        let mut arguments = vec!["--config", file_name, "--data", data.to_str().unwrap()];
        if !text.starts_with("listen") {
            arguments.extend(["--listen", "127.0.0.1:0"]);
        }
        let said = serve_fails(&arguments);
        assert!(said.contains(right), "{text}: {said}");
    }
}

#[test]
fn what_cannot_be_a_configuration_or_a_data_directory_is_told_as_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, [0xff, 0xfe, 0x00]).unwrap();
    let file_name = file.to_str().unwrap();
    let said = serve_fails(&["--config", file_name, "--data", file_name]);
    assert!(said.contains(&format!("{file_name} is no text, so no TOML")), "{said}");
    for quota in [&[][..], &["--quota", "1 GiB"]] {
        let said = serve_fails(&[&["--listen", "127.0.0.1:0", "--data", file_name], quota].concat());
        assert!(said.contains(&format!("{file_name} is a file (name another directory with --data")), "{said}");
    }
}

#[test]
fn a_quota_that_no_save_fits_in_is_refused_on_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    // A server that took the quota would end at this, and not run on.
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let serve = ["serve", "--quota", "5", "--listen", "127.0.0.1:0", "--data", file.to_str().unwrap()];
    for command_line in [&serve[..], &["gc", "--quota", "5"]] {
        let output = command().args(command_line).env("HOME", "/nonexistent").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("did you mean \"5 GiB\"?"), "{said}");
    }
}

#[test]
fn a_second_server_on_one_directory_or_one_port_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data, &[]);
    let said = serve_fails(&["--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()]);
    assert!(said.contains(data.to_str().unwrap()), "{said}");
    let other = folder.path().join("other");
    let said = serve_fails(&["--listen", server.authority(), "--data", other.to_str().unwrap()]);
    assert!(said.contains("--listen"), "{said}");
}

#[test]
fn a_log_that_goes_to_no_terminal_has_no_colours() {
    let folder = tempfile::tempdir().unwrap();
    // A folder that cannot be made ends the server at once; the slip in a variable's name is what it logs before.
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let mut serve = command();
    serve.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(file.join("data")).env("LARDER_QOUTA", "1 GiB");
    let said = String::from_utf8(serve.output().unwrap().stderr).unwrap();
    assert!(said.contains(" WARN ") && said.contains("LARDER_QOUTA"), "{said}");
    assert!(!said.contains('\x1b'), "{said:?}");
}

#[test]
fn the_server_tells_of_itself_and_stops_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &["--quota", "1 GiB"]);
    let machine = Machine::of(&server);
    fs::write(folder.path().join("file"), "content").unwrap();
    assert_eq!(machine.json(folder.path(), &["save", "key", "file"])["result"], "saved");
    let status = machine.json(folder.path(), &["stats"]);
    assert_eq!(status["store"]["quota"], 1 << 30, "{status}");
    assert_eq!(status["store"]["adopted_segments"], 1, "{status}");
    assert!(status["jobs"].as_array().unwrap().len() >= 2, "{status}");

    let quota = machine.json(folder.path(), &["jobs", "--run", "quota"]);
    assert_eq!(quota["status"], "1 namespace, 0 entries removed since the start", "{quota}");

    let doctor = machine.larder(folder.path(), &["doctor"]);
    assert_eq!(doctor.status.code(), Some(0), "{}", String::from_utf8_lossy(&doctor.stdout));
    assert_eq!(Machine::with_url("http://127.0.0.1:9").larder(folder.path(), &["doctor"]).status.code(), Some(3));

    let collected = machine.json(folder.path(), &["gc", "--quota", "512 MiB"]);
    assert!(collected["bytes"].is_u64(), "{collected}");
    assert_eq!(machine.json(folder.path(), &["stats"])["store"]["quota"], 512 << 20);
    assert!(server.stop(), "an orderly stop is a success");
}

#[test]
fn entries_can_be_listed_shown_explained_and_purged() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    let machine = Machine::of(&server);
    fs::write(folder.path().join("file"), "content").unwrap();
    for key in ["deps-linux-1", "deps-linux-2", "other"] {
        machine.json(folder.path(), &["save", key, "file"]);
    }
    let listed = machine.json(folder.path(), &["list", "deps-"]);
    let keys: Vec<_> =
        listed["entries"].as_array().unwrap().iter().map(|entry| entry["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["deps-linux-2", "deps-linux-1"]);
    assert_eq!(machine.json(folder.path(), &["show", "other"])["files"], 1);
    assert_eq!(machine.json(folder.path(), &["verify", "other"])["good"], true);
    let explained = machine.larder(folder.path(), &["explain", "deps-linux-3", "--fallback", "deps-"]);
    let said = String::from_utf8(explained.stdout).unwrap();
    assert!(said.contains("miss: the key deps-linux-3") && said.contains("hit:  the newest"), "{said}");
    let purged = machine.json(folder.path(), &["purge", "--prefix", "--dry-run", "deps-"]);
    assert_eq!(purged["entries"].as_array().unwrap().len(), 2);
    machine.json(folder.path(), &["purge", "--prefix", "deps-"]);
    assert_eq!(machine.json(folder.path(), &["list"])["entries"].as_array().unwrap().len(), 1);
    assert_eq!(machine.json(folder.path(), &["restore", "deps-linux-1"])["result"], "miss");

    let said = |arguments: &[&str]| String::from_utf8(machine.larder(folder.path(), arguments).stderr).unwrap();
    assert!(said(&["purge", "deps-linux-1"]).contains("nothing is saved under deps-linux-1;"));
    assert!(said(&["purge", "other", "--scope", "pr/7"]).contains("nothing is saved under other in scope pr/7;"));
    assert!(said(&["purge", "--prefix", "deps-"]).contains("nothing like that is saved"));
    let large = said(&["restore", "other", "--max-size", "1"]);
    assert!(large.contains("other has 7 B, and it may have 1 B (--max-size "), "{large}");
}

#[test]
fn a_deleted_index_is_made_anew_and_damage_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data, &[]);
    fs::write(folder.path().join("file"), "content ".repeat(1000)).unwrap();
    let machine = Machine::of(&server);
    assert_eq!(machine.json(folder.path(), &["save", "key", "file"])["result"], "saved");
    let fsck = |arguments: &[&str]| {
        command().args(["fsck", "--data", data.to_str().unwrap()]).args(arguments).output().unwrap()
    };
    assert_eq!(fsck(&[]).status.code(), Some(1), "a directory in use is not checked");
    assert!(server.stop());
    assert_eq!(fsck(&[]).status.code(), Some(0));
    fs::remove_dir_all(data.join("index")).unwrap();
    let rebuilt = fsck(&["--rebuild"]);
    assert_eq!(rebuilt.status.code(), Some(0), "{rebuilt:?}");
    let server = Server::start(&data, &[]);
    fs::remove_file(folder.path().join("file")).unwrap();
    assert_eq!(Machine::of(&server).json(folder.path(), &["restore", "key"])["result"], "hit");
}

#[test]
fn with_credentials_each_token_has_its_rights() {
    let folder = tempfile::tempdir().unwrap();
    let hash = |token: &str| larder_base::ContentHash::of(token.as_bytes()).to_hex();
    let config = folder.path().join("larder.toml");
    fs::write(
        &config,
        format!(
            "[[credentials]]\nname = 'ci'\ntoken_sha256 = '{}'\nwrite = 'trusted'\n\
             [[credentials]]\nname = 'fork'\ntoken_sha256 = '{}'\nread = ['pr/7', 'trusted']\nwrite = 'pr/7'\n\
             [[credentials]]\nname = 'laptop'\ntoken_sha256 = '{}'\n\
             [[credentials]]\nname = 'operator'\ntoken_sha256 = '{}'\nadmin = true\n",
            hash("ci"),
            hash("fork"),
            hash("laptop"),
            hash("operator")
        ),
    )
    .unwrap();
    let server = Server::start(&folder.path().join("data"), &["--config", config.to_str().unwrap()]);
    let machine = Machine::of(&server);
    let run = |token: &str, arguments: &[&str]| {
        let mut command = machine.command(folder.path(), &["--json", "--strict"]);
        let output = command.args(arguments).env("LARDER_TOKEN", token).output().unwrap();
        (output.status.code(), serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap_or_default())
    };
    fs::write(folder.path().join("file"), "trusted").unwrap();
    assert_eq!(run("ci", &["save", "key", "file"]).1["result"], "saved");
    fs::write(folder.path().join("file"), "from a fork").unwrap();
    assert_eq!(run("fork", &["save", "key", "file"]).1["result"], "saved", "in its own scope the key is free");
    assert_eq!(run("fork", &["save", "own", "file"]).1["result"], "saved");
    assert_eq!(run("ci", &["save", "key", "file"]).1["result"], "skipped", "in the trusted one it is taken");
    assert_eq!(run("laptop", &["save", "mine", "file"]).0, Some(1), "it may only read");
    assert_eq!(run("ci", &["restore", "own"]).1["result"], "miss", "nothing of a fork reaches a trusted job");
    assert_eq!(run("laptop", &["restore", "key"]).1["result"], "hit");
    assert_eq!(fs::read_to_string(folder.path().join("file")).unwrap(), "trusted");
    assert_eq!(run("guess", &["restore", "key"]).0, Some(1));
    assert_eq!(run("ci", &["stats"]).0, Some(1), "the whole server is an operator's matter");
    assert_eq!(run("operator", &["stats"]).0, Some(0));

    let doctor = |token: &str| {
        let (code, found) = run(token, &["doctor"]);
        let findings = found["findings"].as_array().unwrap().clone();
        (code, findings.into_iter().find(|finding| finding["what"] == "rights").unwrap())
    };
    let (code, rights) = doctor("fork");
    assert!(rights["text"].as_str().unwrap().contains("written in scope pr/7") && rights["note"] == false, "{rights}");
    assert_eq!(code, Some(0));
    let (code, rights) = doctor("laptop");
    assert!(rights["text"].as_str().unwrap().contains("may be read only") && rights["note"] == true, "{rights}");
    assert_eq!(code, Some(0), "it may be meant so");
    assert_eq!(doctor("guess").0, Some(3));

    // The operator of the documentation writes nothing and removes everything.
    let (code, dry) = run("operator", &["purge", "key", "--dry-run"]);
    assert_eq!((code, dry["entries"].as_array().unwrap().len()), (Some(0), 2), "{dry}");
    assert_eq!(run("operator", &["purge", "key"]).1["entries"], dry["entries"]);
    assert_eq!(run("ci", &["restore", "key"]).1["result"], "miss");
}

#[test]
fn without_a_server_the_cause_is_told_once_and_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = Machine::with_url("http://127.0.0.1:9");
    let start_one = "(start one with `larder serve`, or set LARDER_URL)";
    for command in [&["stats"][..], &["list"], &["show", "key"], &["restore", "key"], &["token", "list"]] {
        let output = nobody.larder(folder.path(), command);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.matches("refused").count(), 1, "{said}");
        assert!(said.contains("the server at http://127.0.0.1:9 cannot be reached"), "{said}");
        assert!(said.contains(start_one) && !said.contains("Connect)"), "{said}");
    }
    let doctor = String::from_utf8(nobody.larder(folder.path(), &["doctor"]).stdout).unwrap();
    let line = doctor.lines().find(|line| line.contains("  server: ")).unwrap();
    assert_eq!(line.matches("larder serve").count(), 1, "{line}");
}

#[test]
fn an_operators_command_that_cannot_be_done_fails_and_says_so_as_an_object_too() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder.path().join("data"), &[]);
    let machine = Machine::of(&server);
    let (data, none) = (folder.path().join("data"), folder.path().join("none"));
    let (data, none) = (data.to_str().unwrap(), none.to_str().unwrap());
    for command in [
        &["token", "list"][..],
        &["token", "create"],
        &["token", "create", "--data", data],
        &["token", "revoke", "nothing"],
        &["fsck", "--data", data],
        &["fsck", "--data", none],
        &["server", "check-bucket"],
    ] {
        let output = machine.larder(folder.path(), &[&["--json"], command].concat());
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        assert!(told["error"]["message"].is_string() && told["error"]["kind"].is_string(), "{command:?}: {output:?}");
        let said = machine.larder(folder.path(), command);
        assert_eq!(said.status.code(), Some(1), "{command:?}");
        assert!(said.stdout.is_empty() && !said.stderr.is_empty(), "{said:?}");
    }
    let endless = machine.larder(folder.path(), &["token", "create", "--data", none, "--expires", "0s"]);
    assert_eq!(endless.status.code(), Some(1), "{endless:?}");
    assert!(String::from_utf8(endless.stderr).unwrap().contains("expires at once"));
}

#[test]
fn a_helper_has_a_help_and_a_wrong_command_line_is_none_of_the_servers() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = Machine::with_url("http://127.0.0.1:9");
    for asked in [&["crsh", "--help"][..], &["crsh", "-h"], &["help", "crsh"]] {
        let output = nobody.larder(folder.path(), asked);
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{asked:?}");
        assert!(said.contains("Usage: larder crsh SOCKET [--idle-timeout SECONDS]"), "{said}");
    }
    for wrong in [&["crsh"][..], &["crsh", "socket", "--idle-timeout", "x"], &["crsh", "--nothing"]] {
        let output = nobody.larder(folder.path(), wrong);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains("usage: larder crsh SOCKET"));
    }
    let help = String::from_utf8(nobody.larder(folder.path(), &["--help"]).stdout).unwrap();
    assert!(help.contains("larder crsh SOCKET"), "{help}");
}
