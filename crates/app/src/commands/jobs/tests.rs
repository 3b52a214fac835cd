use larder_base::Timestamp;
use serde_json::json;

use super::line;

#[test]
fn one_step_is_told_as_one() {
    let told = |steps: u64| {
        let run = json!({"began_ms": 1000, "ended_ms": 1005, "outcome": "done"});
        let job = json!({"name": "quota", "state": "waiting", "steps": steps, "failures": 0, "status": "all well", "last_run": run});
        line(Timestamp::from_millis(1005), &job)
    };
    assert_eq!(told(1), "quota          waiting  done just now after 5 ms; 1 step, 0 failed; all well");
    assert_eq!(told(2), "quota          waiting  done just now after 5 ms; 2 steps, 0 failed; all well");
}
