//! No process keeps running when the command, its owner, or the value for it ends.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::panic::AssertUnwindSafe;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use local_stack::process::Program;

/// A script that starts nested shells, orphans, and a process that ignores SIGTERM, and then waits. All
/// processes can be recognised by the first argument, the time to sleep.
const FAMILY: &str = "
    sh -c 'sh -c \"sleep $0 & wait\" $0 & wait' $1 &
    (sh -c 'trap \"\" TERM; echo deaf; sleep $0; sleep $0; sleep $0' $1 &)
    (sleep $1 &)
    sleep $1 & wait";

/// Set in the process that a test starts and kills.
const VICTIM: &str = "LOCAL_TEST_VICTIM";

#[test]
fn stop_ends_the_whole_family() {
    let name = name(1);
    let mut process = family(&name).start().unwrap();
    wait_until("it runs", || running(&name) >= 4);
    process.stop();
    assert_eq!(running(&name), 0);
}

#[test]
fn a_panic_ends_the_whole_family() {
    let name = name(2);
    let unwound = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let _process = family(&name).start().unwrap();
        wait_until("it runs", || running(&name) >= 4);
        panic!("as a failing test does");
    }));
    assert!(unwound.is_err());
    assert_eq!(running(&name), 0);
}

#[test]
fn an_orphan_of_an_ended_program_is_ended() {
    let name = name(3);
    let mut process = Program::new("sh").args(["-c", &format!("(sleep {name} &) ; exit 7")]).start().unwrap();
    let mut status = None;
    wait_until("it ends", || {
        status = process.exited().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(7));
    assert_eq!(running(&name), 0);
}

#[test]
fn the_family_ends_when_its_owner_is_killed() {
    let name = name(4);
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--include-ignored", "--nocapture"])
        .env(VICTIM, &name)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("family started")));
    wait_until("it runs", || running(&name) >= 4);
    owner.kill().unwrap();
    owner.wait().unwrap();
    wait_until("it has ended", || running(&name) == 0);
}

#[test]
#[ignore = "the owner in `the_family_ends_when_its_owner_is_killed`"]
fn victim() {
    let Ok(name) = std::env::var(VICTIM) else { return };
    let _process = family(&name).start().unwrap();
    println!("family started");
    std::thread::sleep(Duration::from_secs(60));
}

fn family(name: &str) -> Program {
    Program::new("sh").args(["-c", FAMILY, "family", name]).grace(Duration::from_millis(300))
}

/// A time to sleep that is unique to one test, so that its processes can be recognised.
fn name(test: u32) -> String {
    format!("{}.{test}", 1_000_000 + std::process::id())
}

fn running(name: &str) -> usize {
    let listing = Command::new("ps").args(["-A", "-o", "stat=,args="]).output().unwrap().stdout;
    let listing = String::from_utf8_lossy(&listing).into_owned();
    listing.lines().filter(|line| line.contains(&format!("sleep {name}")) && !line.starts_with('Z')).count()
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
