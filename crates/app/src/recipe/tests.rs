use std::collections::BTreeSet;

use super::testing::Machine;
use super::*;

#[test]
fn every_recipe_is_found_by_its_own_name() {
    let names: Vec<&str> = all().iter().map(|recipe| recipe.name()).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    for name in names {
        assert_eq!(named(name).unwrap().name(), name);
    }
    assert!(named("cobol").is_none());
}

#[test]
fn in_an_empty_folder_no_recipe_applies_and_each_says_what_it_misses() {
    let machine = Machine::new();
    for recipe in all() {
        assert!(!machine.detects(recipe.as_ref()), "{}", recipe.name());
    }
    for recipe in all().iter().filter(|recipe| !matches!(recipe.name(), "rust" | "ccache")) {
        let error = machine.with(|project| recipe.identify(project)).unwrap_err();
        assert!(error.message().contains(recipe.looks_for()), "{error}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn a_lock_below_does_not_make_a_recipe_apply_but_counts_where_it_does() {
    let machine = Machine::new();
    machine.write("project/web/package-lock.json", "{}");
    assert!(!machine.detects(&node::RECIPE));
    machine.write("project/package-lock.json", "{}");
    assert!(machine.detects(&node::RECIPE));
    let before = machine.key(&node::RECIPE);
    machine.write("project/web/package-lock.json", "{\"changed\":1}");
    assert_ne!(machine.key(&node::RECIPE), before);
}

#[test]
fn a_cache_that_is_absent_or_empty_is_nothing_to_save() {
    let machine = Machine::new();
    machine.write("project/package-lock.json", "{}");
    let reason = machine.plan(&node::RECIPE).nothing.unwrap();
    assert!(reason.contains("home/.npm/_cacache"), "{reason}");
    std::fs::create_dir_all(machine.path("home/.npm/_cacache")).unwrap();
    let plan = machine.plan(&node::RECIPE);
    assert!(plan.nothing.is_some() && plan.listings[0].paths.is_empty(), "{plan:?}");
    machine.write("home/.npm/_cacache/content-v2/x", "x");
    assert_eq!(machine.plan(&node::RECIPE).nothing, None);
}

#[test]
fn nothing_is_changed_on_disk_by_a_plan() {
    let machine = Machine::new();
    machine.write("project/package-lock.json", "{}");
    machine.write("home/.npm/_cacache/tmp/half", "x");
    machine.plan(&node::RECIPE);
    assert!(machine.path("home/.npm/_cacache/tmp/half").is_file());
    assert_eq!(std::fs::read_dir(machine.path("project")).unwrap().count(), 1);
}

#[test]
fn what_is_as_old_as_allowed_is_recent_and_what_cannot_be_seen_is_too() {
    let machine = Machine::new();
    let day = std::time::Duration::from_secs(86_400);
    machine.write_aged("old", "x", day);
    machine.with(|project| {
        assert!(is_recent(&machine.path("old"), project.now, day));
        assert!(!is_recent(&machine.path("old"), project.now, day - std::time::Duration::from_secs(1)));
        assert!(is_recent(&machine.path("absent"), project.now, day));
    });
}
