use super::super::testing::Machine;
use super::*;

fn machine(lock: &str) -> Machine {
    let mut machine = Machine::new();
    machine.answer("node --version", "v20.20.2\n");
    machine.write(&format!("project/{lock}"), "lock");
    machine
}

#[test]
fn of_npms_cache_the_store_is_taken_and_no_logs() {
    let mut machine = machine("package-lock.json");
    machine.answer("npm config get cache", "HERE/npm\n");
    machine.write("npm/_cacache/content-v2/sha512/aa/bb/cc", "x");
    machine.write("npm/_cacache/index-v5/aa/bb/cc", "x");
    machine.write("npm/_cacache/tmp/dd", "x");
    machine.write("npm/_logs/debug-0.log", "x");
    machine.write("npm/_npx/x/package.json", "{}");
    assert_eq!(machine.taken(&RECIPE, "npm"), ["content-v2/sha512/aa/bb/cc", "index-v5/aa/bb/cc"]);
    assert_eq!(machine.place(&RECIPE, "npm"), Path::new("npm/_cacache"));
}

#[test]
fn of_pnpms_store_its_notes_on_projects_here_stay_out() {
    let mut machine = machine("pnpm-lock.yaml");
    machine.answer("pnpm store path", "HERE/store/v10\n");
    machine.write("store/v10/files/00/aa", "x");
    machine.write("store/v10/index/00/aa.json", "x");
    machine.write("store/v10/projects/0123", "x");
    machine.write("store/v10/tmp/half", "x");
    assert_eq!(machine.taken(&RECIPE, "pnpm"), ["files/00/aa", "index/00/aa.json"]);
    let identity = machine.identify(&RECIPE);
    assert_eq!(identity.clean_up, [["pnpm", "store", "prune"]]);

    machine.answer("pnpm store path", "HERE/store/v11\n");
    assert_ne!(machine.identify(&RECIPE).fallbacks, identity.fallbacks, "a store of another format goes elsewhere");
}

#[test]
fn each_yarn_is_asked_in_its_own_way() {
    let mut machine = machine("yarn.lock");
    machine.answer("yarn cache dir", "HERE/yarn/v6\n");
    machine.answer("yarn config get cacheFolder", "HERE/berry/cache\n");
    machine.write("yarn/v6/npm-is-number-7.0.0/package.json", "{}");
    machine.write("yarn/v6/.tmp/half", "x");
    assert_eq!(machine.taken(&RECIPE, "yarn"), ["npm-is-number-7.0.0/package.json"]);
    let first = machine.identify(&RECIPE);

    machine.write("project/yarn.lock", "# later\n\n__metadata:\n  version: 8\n");
    assert_eq!(machine.place(&RECIPE, "yarn"), Path::new("berry/cache"));
    assert_ne!(machine.identify(&RECIPE).fallbacks, first.fallbacks);
}

#[test]
fn all_managers_whose_locks_are_there_are_kept_and_named_in_the_key() {
    let machine = machine("package-lock.json");
    machine.write("project/pnpm-lock.yaml", "lock");
    machine.write("project/yarn.lock", "lock");
    let identity = machine.identify(&RECIPE);
    assert!(identity.key.as_str().starts_with("node-20-npm-pnpm-yarn-linux-x86_64-"), "{}", identity.key);
    let names: Vec<&str> = identity.places.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["npm", "pnpm", "yarn"]);
    assert!(!identity.replaces, "what a lock names does not change");
}

#[test]
fn without_the_tools_their_caches_are_where_they_would_have_them() {
    let mut machine = Machine::new();
    for lock in ["package-lock.json", "pnpm-lock.yaml", "yarn.lock"] {
        machine.write(&format!("project/{lock}"), "lock");
    }
    let places = |machine: &Machine| ["npm", "pnpm", "yarn"].map(|root| machine.place(&RECIPE, root));
    let usual = ["home/.npm/_cacache", "home/.local/share/pnpm/store", "home/.cache/yarn/v6"];
    assert_eq!(places(&machine), usual.map(PathBuf::from));
    let warnings = machine.identify(&RECIPE).warnings;
    assert!(["node", "pnpm"].iter().all(|tool| warnings.iter().any(|said| said.starts_with(tool))), "{warnings:?}");
    machine.set("npm_config_cache", "/npm");
    machine.set("PNPM_HOME", "/pnpm");
    machine.set("YARN_CACHE_FOLDER", "/yarn");
    assert_eq!(places(&machine), ["/npm/_cacache", "/pnpm/store", "/yarn/v6"].map(PathBuf::from));
    machine.write("project/yarn.lock", "__metadata:\n");
    assert_eq!(machine.place(&RECIPE, "yarn"), Path::new("/yarn"));
}
