//! Measures a policy with a list of 100,000 names beside one without lists: its start, its memory and its decisions.
//! `cargo bench -p webhook-decisions --bench bundle`

#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{Criterion, criterion_group, criterion_main};
use ingest::Object;
use jiff::Timestamp;
use webhook_decisions::{Asking, Asks, Layout, Payment, Policy, decide};

const ENTRIES: usize = 100_000;

const LAYOUT: Layout = Layout {
    transaction: "transaction",
    sender: None,
    receiver: None,
    user_id: "userId",
    platform_user_id: "platformUserId",
    requested: "requestedReceiverUserInfoFields",
    requested_in_transaction: false,
};

const PERMIT: &str = "permit (principal, action, resource);";
const LISTED: &str = r#"forbid (principal in List::"names", action, resource);"#;

/// A folder with a policy whose list has this many names. One in six has accents, one in six is in another alphabet.
fn folder(name: &str, entries: usize) -> PathBuf {
    const SYLLABLES: [&str; 16] = [
        "ba", "ko", "mi", "ren", "tas", "vo", "lu", "shi", "dar", "el", "gon", "pe", "zar", "fi", "nor", "wy",
    ];
    const ACCENTS: [&str; 8] = ["é", "ö", "ñ", "ł", "ša", "ą", "ü", "ø"];
    const CYRILLIC: [&str; 8] = ["ба", "ков", "ми", "рен", "та", "дар", "шин", "пе"];
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(folder.join("lists")).unwrap();
    let mut text = String::new();
    let mut random = 7_u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % below
    };
    for entry in 0..entries {
        for word in 0..2 + next(2) {
            text.push_str(if word > 0 { " " } else { "" });
            let syllables: &[&str] = if entry % 6 == 1 { &CYRILLIC } else { &SYLLABLES };
            for _ in 0..2 + next(3) {
                text.push_str(syllables[next(syllables.len())]);
            }
            text.push_str(if entry % 6 == 2 { ACCENTS[next(ACCENTS.len())] } else { "" });
        }
        writeln!(text, " {}", if entry % 3 == 0 { "Mohammed" } else { "" }).unwrap();
    }
    fs::write(folder.join("lists/names.txt"), text).unwrap();
    fs::write(folder.join("bundle.json"), r#"{"lists": {"names": {"kind": "name"}}}"#).unwrap();
    fs::write(folder.join("policy.cedar"), format!("{PERMIT}\n{LISTED}")).unwrap();
    folder
}

fn payment(name: &str) -> Asking {
    let body = include_str!("../../../events/umaaas/incoming_payment.json").replace("Ada Sender", name);
    let read = || {
        let body = Object::parse(body.as_bytes()).unwrap();
        Payment::read(&body, &LAYOUT, None, Timestamp::UNIX_EPOCH)
    };
    Asking::new(Asks::Approval, read).unwrap()
}

fn bundle(criterion: &mut Criterion) {
    let (small, large) = (folder("small", 1), folder("large", ENTRIES));
    let load = |folder: &Path| Policy::load(folder.to_str().unwrap()).unwrap();
    // The schema and Cedar's parser are warm after the first one.
    let plain = Policy::parse("plain.cedar", PERMIT).unwrap();
    let words = format!(
        r#"{PERMIT} forbid (principal, action, resource) when {{ principal.nameTokens.contains("ivan") }};"#
    );
    let words = Policy::parse("words.cedar", &words).unwrap();
    for (name, folder) in [("1 name", &small), ("100,000 names", &large)] {
        let before = memory();
        let policy = load(folder);
        let after = memory();
        let (held, peak) = (after[0].saturating_sub(before[0]), after[1].saturating_sub(before[1]));
        println!("a list of {name}: {held} KiB more, {peak} KiB more at most");
        let took = on_processor(20, || drop(black_box(load(folder))));
        println!("a list of {name}: loaded in {took} µs of processor time");
        let decided = on_processor(20_000, || {
            drop(decide(Some(&policy), black_box(&payment("Ada Sender")), Some(&ingest::Totals::new())))
        });
        let read = on_processor(20_000, || drop(black_box(payment("Ada Sender"))));
        println!("a list of {name}: a decision takes {} ns of processor time", (decided - read) * 1000.0);
    }
    criterion.bench_function("load a policy with 1 name", |bench| bench.iter(|| load(&small)));
    criterion.bench_function("load a policy with 100,000 names", |bench| bench.iter(|| load(&large)));

    let large = load(&large);
    for (name, text) in [
        ("Ada Sender", "Ada Sender"),
        ("a name of six words and accents", "Éloïse Marie-Thérèse Mohammed de la Tour"),
        ("a Cyrillic name", "Пётр Сергеевич Иванов"),
    ] {
        let payment = payment(text);
        for (what, policy) in [("no list", &plain), ("its words", &words), ("100,000 names", &large)] {
            assert_eq!(decide(Some(policy), &payment, Some(&ingest::Totals::new())).name(), "approve");
            criterion.bench_function(&format!("{name}: decide by {what}"), |bench| {
                bench.iter(|| decide(Some(policy), black_box(&payment), Some(&ingest::Totals::new())));
            });
        }
    }
}

/// The processor time of one call, in microseconds. Unlike the time on the clock it does not depend on what else runs.
fn on_processor(times: u32, mut call: impl FnMut()) -> f64 {
    let nanoseconds = || -> f64 {
        let spent = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        spent.split(' ').next().and_then(|spent| spent.parse().ok()).unwrap_or_default()
    };
    let before = nanoseconds();
    (0..times).for_each(|_| call());
    (nanoseconds() - before) / f64::from(times) / 1000.0
}

/// The memory of this process now and at most so far, in KiB.
fn memory() -> [u64; 2] {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    ["VmRSS:", "VmHWM:"].map(|name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
    })
}

criterion_group!(benches, bundle);
criterion_main!(benches);
