//! The promise under every fault of the disk and the bucket, as in [`crate::tests::crash`]: a script runs against the store
//! and a model, and at every step of it in turn something fails or the process dies.

use super::*;
use crate::disk::faulty::Fault as DiskFault;
use crate::tests::crash::{Model, Step, part, script, upload_body};

#[derive(Clone, Debug)]
enum TierStep {
    Plain(Step),
    Ship,
    Offload,
    Sweep,
    Repack,
    /// A part that the client puts into the bucket.
    Direct {
        number: u32,
        contents: Vec<Bytes>,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Where {
    Disk(DiskFault),
    Bucket(Fault),
}

fn tier_script(seed: u64) -> Vec<TierStep> {
    let mut dice = Dice(seed + 1000);
    let mut steps = Vec::new();
    for (number, step) in (100..).zip(script(seed, 14, &noise(4711, 9000))) {
        steps.push(TierStep::Plain(step));
        let content = |n| noise(seed << 20 | u64::from(number) << 4 | n, 500);
        match dice.roll(8) {
            0..3 => steps.push(TierStep::Ship),
            3..5 => steps.push(TierStep::Offload),
            5 => steps.push(TierStep::Sweep),
            6 => steps.push(TierStep::Direct { number, contents: (0..4).map(content).collect() }),
            _ => steps.push(TierStep::Repack),
        }
    }
    steps.extend([TierStep::Ship, TierStep::Ship, TierStep::Offload, TierStep::Repack, TierStep::Sweep]);
    steps
}

fn run(tier: &Tier, store: &Store, model: &mut Model, step: &TierStep) -> larder_base::Result<()> {
    match step {
        TierStep::Plain(step) => model.run(store, step)?,
        TierStep::Ship => drop(store.ship_next()?),
        TierStep::Offload => drop(store.offload_until(|_| false)?),
        TierStep::Sweep => drop(store.sweep_objects(AGE)?),
        TierStep::Repack => {
            // A pass has few steps here, and one that fails is taken up by the next.
            for _ in 0..20 {
                if store.repack_step()?.wrapped {
                    break;
                }
            }
        }
        TierStep::Direct { number, contents } => {
            contents.iter().for_each(|content| model.may_have("up", content));
            let bytes = upload_body(contents);
            let name = store.part_object(&part(*number)).unwrap();
            tier.bucket.set(name.as_str(), Some(bytes.clone()));
            let adopted = store.adopt_object(&ns("up"), &part(*number), &name, bytes.len() as u64)?;
            assert_eq!(adopted.expect("it was put").records, contents.len() as u64);
            contents.iter().for_each(|content| model.must_have("up", content));
        }
    }
    Ok(())
}

fn small(tier: &Tier) -> Options {
    Options { segment_len: 6000, ..tier.options() }
}

/// After a sweep that takes no age into account, the bucket holds what the index speaks of and nothing else.
pub(super) fn no_orphans(tier: &Tier, store: &Store, context: &str) {
    while !store.sweep_objects(Duration::ZERO).unwrap().wrapped {}
    store.sweep_objects(Duration::ZERO).unwrap();
    let archive = store.core().archive.as_ref().unwrap();
    let stored = archive.segments(crate::row::ObjectState::Stored);
    let mut names: Vec<String> = stored.iter().map(|id| archive.object(*id).unwrap().name.to_string()).collect();
    names.sort();
    assert_eq!(tier.bucket.names(), names, "{context}");
    assert!(archive.segments(crate::row::ObjectState::Doomed).is_empty(), "{context}");
}

fn run_with_fault(steps: &[TierStep], seed: u64, k: u64, fault: Where) -> bool {
    let context = format!("seed {seed}, {fault:?} at {k}");
    let mut tier = Tier::new();
    let mut model = Model::default();
    let store = tier.open_with(small(&tier));
    let disk = tier.disk.clone();
    tier.bucket.on_death(move || disk.cut());
    let begun = match fault {
        Where::Disk(fault) => {
            tier.disk.plan(k, fault);
            tier.disk.operations()
        }
        Where::Bucket(fault) => {
            tier.bucket.plan(k, fault);
            tier.bucket.calls()
        }
    };
    for step in steps {
        if run(&tier, &store, &mut model, step).is_err() && tier.disk.is_dead() {
            break;
        }
        if matches!(fault, Where::Bucket(Fault::Down)) && matches!(step, TierStep::Sweep) {
            tier.bucket.heal();
        }
    }
    let now = if matches!(fault, Where::Disk(_)) { tier.disk.operations() } else { tier.bucket.calls() };
    let reached = now >= begun + k;
    tier.bucket.heal();
    tier.clock.advance(Duration::from_secs(60));
    if !tier.disk.is_dead() {
        model.look(&store, &context);
    }
    drop(store);
    let mut dice = Dice(seed ^ k << 20);
    tier.disk = match fault {
        Where::Disk(DiskFault::Cut | DiskFault::Tear) => tier.disk.after_power_cut(&mut || dice.roll(2) == 0),
        _ => tier.disk.after_kill(),
    };
    let store = tier.open_with(small(&tier));
    model.check(&store, &context);
    // What was begun is finished by later steps, and the store goes on.
    for (number, contents) in std::mem::take(&mut model.parts) {
        if store.adopt(&ns("up"), &part(number)).unwrap().is_some() {
            contents.iter().for_each(|content| model.must_have("up", content));
        }
    }
    model.run(&store, &Step::Blob { namespace: "a", content: noise(seed + k, 3000) }).unwrap();
    ship_all(&store);
    no_orphans(&tier, &store, &context);
    offload_all(&store);
    model.check(&store, &format!("{context}, all in the bucket"));
    drop(store);
    tier.disk = tier.disk.after_kill();
    tier.remove_index();
    let store = tier.open_with(small(&tier));
    model.check(&store, &format!("{context}, index made anew"));
    no_orphans(&tier, &store, &context);
    reached
}

fn at_every_step(fault: Where, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let steps = tier_script(seed);
        let mut k = 1;
        while run_with_fault(&steps, seed, k, fault) {
            k += 1;
        }
        assert!(k > 8, "the script of seed {seed} has only {k} steps");
    }
}

#[test]
fn a_power_cut_at_any_step_loses_nothing_and_leaves_no_orphan() {
    at_every_step(Where::Disk(DiskFault::Cut), 0..2);
    at_every_step(Where::Disk(DiskFault::Tear), 2..4);
}

#[test]
fn a_failing_disk_at_any_step_loses_nothing_and_leaves_no_orphan() {
    at_every_step(Where::Disk(DiskFault::Fail), 4..6);
    at_every_step(Where::Disk(DiskFault::NoSpace), 6..7);
    at_every_step(Where::Disk(DiskFault::Full), 7..8);
}

#[test]
fn a_process_that_dies_around_any_call_of_the_bucket_loses_nothing_and_leaves_no_orphan() {
    at_every_step(Where::Bucket(Fault::DieBefore), 10..14);
    at_every_step(Where::Bucket(Fault::DieAfter), 10..14);
}

#[test]
fn a_bucket_that_fails_at_any_call_loses_nothing_and_leaves_no_orphan() {
    at_every_step(Where::Bucket(Fault::Fail), 20..23);
    at_every_step(Where::Bucket(Fault::NoAnswer), 20..23);
    at_every_step(Where::Bucket(Fault::Down), 20..23);
}
