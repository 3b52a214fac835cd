//! The scripts for a plain shell.

use super::{Job, Make, blocks, keeps_its_promise};

#[test]
fn the_scripts_for_a_plain_shell_save_at_their_end() {
    let scripts = blocks("Plain shell", "sh");
    assert_eq!(scripts.len(), 2);
    for script in scripts {
        for shell in ["sh", "bash"] {
            keeps_its_promise(|site, make| {
                let mut job = Job::default();
                let mut command = site.command(shell, make);
                command.args(["-c", &script]).env("TMPDIR", site.path("temp"));
                let ended = command.output().unwrap();
                assert_eq!(ended.status.code(), Some(if make == Make::Fails { 3 } else { 0 }));
                job.add(&ended);
                job
            });
        }
    }
}
