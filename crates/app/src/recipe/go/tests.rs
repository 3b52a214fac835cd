use super::super::testing::Machine;
use super::*;

const ASKED: &str =
    "go env -json GOVERSION GOMODCACHE GOCACHE GOCACHEPROG CGO_ENABLED GOARCH GOEXPERIMENT GOFLAGS GOOS";
const ANSWER: &str = r#"{
  "CGO_ENABLED": "1",
  "GOARCH": "amd64",
  "GOCACHE": "HERE/build",
  "GOCACHEPROG": "",
  "GOEXPERIMENT": "",
  "GOFLAGS": "-buildvcs=false",
  "GOMODCACHE": "HERE/mod",
  "GOOS": "linux",
  "GOVERSION": "go1.26.8"
}
"#;
const SUM: &str = "github.com/Burnt/toml v1.2.0 h1:abc=\ngithub.com/Burnt/toml v1.2.0/go.mod h1:def=\n\
                   golang.org/x/text v0.3.0/go.mod h1:ghi=\n../../etc v1.0.0 h1:x=\nbroken\n";

fn machine() -> Machine {
    let mut machine = Machine::new();
    machine.answer(ASKED, ANSWER);
    machine.write("project/go.mod", "module own\n\ngo 1.24\n\ntoolchain go1.27.1 // newer\n");
    machine.write("project/go.sum", SUM);
    machine
}

#[test]
fn of_the_module_cache_only_downloads_that_go_sum_names_are_taken() {
    let machine = machine();
    let toml = "mod/cache/download/github.com/!burnt/toml/@v";
    for file in ["v1.2.0.info", "v1.2.0.mod", "v1.2.0.zip", "v1.2.0.ziphash", "v1.2.0.lock", "list", "v1.1.0.zip"] {
        machine.write(&format!("{toml}/{file}"), "x");
    }
    machine.write("mod/cache/download/golang.org/x/text/@v/v0.3.0.mod", "x");
    machine.write("mod/cache/download/golang.org/x/text/@v/v0.3.0.zip", "only its manifest is needed");
    for machine_name in ["linux-amd64", "darwin-arm64"] {
        let toolchain = format!("mod/cache/download/golang.org/toolchain/@v/v0.0.1-go1.27.1.{machine_name}.zip");
        machine.write(&toolchain, "x");
    }
    machine.write("mod/cache/lock", "");
    machine.write("mod/cache/vcs/0123/config", "x");
    machine.write("mod/github.com/!burnt/toml@v1.2.0/toml.go", "unpacked");
    assert_eq!(
        machine.taken(&RECIPE, "go-modules"),
        [
            "cache/download/github.com/!burnt/toml/@v/v1.2.0.info",
            "cache/download/github.com/!burnt/toml/@v/v1.2.0.mod",
            "cache/download/github.com/!burnt/toml/@v/v1.2.0.zip",
            "cache/download/github.com/!burnt/toml/@v/v1.2.0.ziphash",
            "cache/download/golang.org/toolchain/@v/v0.0.1-go1.27.1.linux-amd64.zip",
            "cache/download/golang.org/x/text/@v/v0.3.0.mod",
        ]
    );
}

#[test]
fn what_no_build_used_for_five_days_is_left_out() {
    let machine = machine();
    machine.write("build/00/00aa-a", "x");
    machine.write_aged("build/00/00bb-d", "x", UNUSED);
    machine.write_aged("build/ff/ffcc-d", "x", UNUSED + Duration::from_secs(1));
    machine.write("build/trim.txt", "1700000000");
    machine.write("build/README", "x");
    machine.write("build/fuzz/own/FuzzIt/abc", "x");
    assert_eq!(machine.taken(&RECIPE, "go-build"), ["00/00aa-a", "00/00bb-d", "trim.txt"]);
}

#[test]
fn go_is_asked_outside_of_the_project_and_never_fetches_a_toolchain() {
    let machine = machine();
    machine.key(&RECIPE);
    let asked = machine.asked.borrow();
    assert_eq!(asked.len(), 1, "{asked:?}");
    let asked = &asked[0];
    assert_eq!((asked.command.as_str(), asked.directory.as_path()), (ASKED, Path::new("/")));
    assert_eq!(asked.environment[std::ffi::OsStr::new("GOTOOLCHAIN")], "local");
}

#[test]
fn sums_and_the_wanted_go_make_the_key_and_the_rest_of_a_manifest_does_not() {
    let machine = machine();
    let before = machine.identify(&RECIPE);
    assert!(before.key.as_str().starts_with("go-1.26.8-linux-x86_64-"), "{}", before.key);
    assert!(before.replaces);
    let manifest = "// said anew\nmodule own\ngo 1.24\ntoolchain go1.27.1\nrequire x.org/y v1.0.0\n";
    machine.write("project/go.mod", manifest);
    assert_eq!(machine.identify(&RECIPE).key, before.key);
    machine.write("project/go.mod", &manifest.replace("1.27.1", "1.27.2"));
    assert_ne!(machine.identify(&RECIPE).key, before.key);
    machine.write("project/go.mod", manifest);
    machine.write("project/tool/go.sum", "x.org/y v1.0.0 h1:x=\n");
    let changed = machine.identify(&RECIPE);
    assert_ne!(changed.key, before.key);
    assert_eq!(changed.fallbacks, before.fallbacks);
}

#[test]
fn another_module_cache_or_target_shares_nothing() {
    let mut machine = machine();
    let before = machine.identify(&RECIPE).fallbacks;
    for (from, to) in [("HERE/mod", "/mod"), ("\"linux\"", "\"windows\""), ("-buildvcs=false", "-race")] {
        machine.answer(ASKED, &ANSWER.replace(from, to));
        assert_ne!(machine.identify(&RECIPE).fallbacks, before, "{to}");
    }
}

#[test]
fn without_go_its_caches_are_where_it_would_have_them_and_the_user_is_told() {
    let mut machine = Machine::new();
    machine.write("project/go.mod", "module own\n");
    let identity = machine.identify(&RECIPE);
    assert!(identity.key.as_str().starts_with("go-unknown-"), "{}", identity.key);
    assert_eq!(identity.warnings.len(), 1);
    let places = |machine: &Machine| ["go-modules", "go-build"].map(|root| machine.place(&RECIPE, root));
    assert_eq!(places(&machine), ["home/go/pkg/mod", "home/.cache/go-build"].map(PathBuf::from));
    machine.set("GOPATH", "/first:/second");
    machine.set("GOCACHE", "/compiled");
    assert_eq!(places(&machine), ["/first/pkg/mod", "/compiled"].map(PathBuf::from));
    machine.set("GOMODCACHE", "/modules");
    assert_eq!(places(&machine)[0], Path::new("/modules"));
}

#[test]
fn what_another_program_keeps_of_compiling_is_not_kept_twice() {
    let mut machine = machine();
    machine.answer(ASKED, &ANSWER.replace("\"GOCACHEPROG\": \"\"", "\"GOCACHEPROG\": \"larder-go\""));
    let places = machine.identify(&RECIPE).places;
    assert_eq!(places.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["go-modules"]);
}
