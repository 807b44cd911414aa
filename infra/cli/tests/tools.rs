//! `cargo webhooks send`, `sign`, `verify`, `listen` and `compare`, as their user meets them: the built
//! binary, without a stack.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use local_stack::keys::SigningKey;
use local_stack::senders::{SENDERS, Sender};
use serde_json::Value;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, Stream};
use verify::Delivery;

/// The secret of this test. It must not be in any output.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Exit status, stdout, stderr.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

/// Runs the command with a text on its stdin.
fn run_with(stdin: &str, arguments: &[&str]) -> Ran {
    let mut child = command(arguments).spawn().unwrap();
    // A command that does not read it may have ended.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let ran = Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) };
    assert!(!format!("{}{}", ran.out, ran.err).contains(SECRET), "{arguments:?}: {}{}", ran.out, ran.err);
    assert!(!ran.out.contains('\x1b'), "no colour in a pipe");
    ran
}

fn run(arguments: &[&str]) -> Ran {
    run_with("", arguments)
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webhooks"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("WEBHOOKS_TEST_SECRET", SECRET).env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_REGION");
    // Nothing of the machine's own settings, and no question to an instance's metadata.
    command.env_remove("AWS_DEFAULT_REGION").env("AWS_EC2_METADATA_DISABLED", "true");
    command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
    command
}

/// A folder of its own for one test, as if for the first time.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tools-{name}"));
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn write(file: &Path, text: impl AsRef<[u8]>) -> String {
    std::fs::write(file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

/// The providers that sign with a secret.
fn with_secrets() -> impl Iterator<Item = &'static Sender> {
    SENDERS.iter().filter(|provider| provider.has_shared_secret())
}

fn provider(name: &str) -> &'static Sender {
    Sender::named(name).unwrap()
}

fn sample(path: &str) -> Vec<u8> {
    std::fs::read(local_stack::root().join("events").join(path)).unwrap()
}

#[test]
fn every_command_has_help_with_examples() {
    for name in ["send", "sign", "verify", "listen", "doctor", "compare"] {
        let ran = run(&[name, "--help"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(ran.out.contains("Examples:") && ran.out.contains("Exit status: 0"), "{name}: {}", ran.out);
    }
}

#[test]
fn shells_get_completions() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = run(&["completions", shell]);
        assert!(ran.code == 0 && ran.out.contains("units-per-second"), "{shell}: {}", ran.err);
    }
}

#[test]
fn the_list_has_every_sample() {
    let (text, json) = (run(&["send", "--list"]), run(&["send", "--list", "--json"]));
    assert_eq!((text.code, json.code), (0, 0));
    let kinds: Vec<Value> = serde_json::from_str(&json.out).unwrap();
    let samples = SENDERS.iter().map(|provider| provider.samples.len()).sum::<usize>();
    assert_eq!((kinds.len(), text.out.lines().count()), (samples, samples + 1));
    for kind in &kinds {
        assert!(text.out.contains(kind["kind"].as_str().unwrap()), "{kind}");
        assert!(local_stack::root().join(kind["file"].as_str().unwrap()).is_file(), "{kind}");
    }
}

#[test]
fn wrong_usage_is_said_with_status_2() {
    let folder = folder("usage");
    let body = write(&folder.join("body.json"), "{}");
    let csv = write(&folder.join("day.csv"), "id,createdAt\n1,yesterday\n");
    let no_id = write(&folder.join("no-id.csv"), "a,b\n1,2\n");
    let nothing = write(&folder.join("nothing.jsonl"), "\n");
    let verify = ["verify", "umaaas", "--body", &body, "-H", "x-umaaas-signature: 00"];
    let day = ["--day", "2026-11-02"];
    for (arguments, expected) in [
        (&["send"][..], "KIND"),
        (&["send", "no.such.kind"], "there is no kind `no.such.kind`"),
        (&["send", "managed_cards"], "weavr.managed_cards.settlement"),
        (&["send", "umaaas.test", "--set", "x"], "PATH=VALUE"),
        (&["send", "umaaas.test", "--set", "webhookId.x=1"], "--set webhookId.x"),
        (&["send", "umaaas.test", "--file", "absent.json"], "absent.json: No such file"),
        (&["send", "umaaas.test", "--repeat", "0"], "--repeat"),
        (&["send", "umaaas.test", "--rate", "0"], "--rate"),
        (&["send", "umaaas.test", "--forge", "--duplicate"], "cannot be used with"),
        (&["send", "umaaas.test", "--url", "localhost:9000"], "http:// or https://"),
        (&["send", "umaaas.test", "--as-is"], "--file"),
        (&["send", "umaaas.test", "--secret-env", "NO_SUCH_VARIABLE"], "--secret-env is not set"),
        (&["send", "umaaas.test", "--url", "https://127.0.0.2:1"], "the secret is empty"),
        (&["send", "umaaas.test", "--url", "http://127.0.0.1:1"], "cargo dev"),
        (&["sign", "nobody", "--body", &body], "the providers are umaaas, weavr"),
        (&["sign", "umaaas", "--body", "absent.json", "--secret-local"], "absent.json: No such file"),
        (&["sign", "umaaas", "--body", &body], "the secret is empty"),
        (&["sign", "umaaas", "--body", &body, "--secret-local", "--secret-stdin"], "cannot be used with"),
        (&["sign", "umaaas", "--body", &body, "--secret-local", "--timestamp", "1"], "headers of weavr"),
        (&["sign", "umaaas", "--body", &body, "--secret-local", "--path", "x"], "slash"),
        (&["sign", "umaaas", "--body", &body, "--secret-env", SECRET_LIKE], "takes the name"),
        (&["verify", "umaaas", "--body", &body, "--secret-local"], "there is no header"),
        (&["verify", "umaaas", "--body", &body, "-H", "no colon", "--secret-local"], "not `Name: value`"),
        (&["verify", "umaaas", "--body", &body, "--headers", "absent"], "absent: No such file"),
        (&["verify", "umaaas", "-H", "a: b"], "--body"),
        (&[&verify[..], &["--tolerance", "x"]].concat(), "--tolerance"),
        (&[&verify[..], &["--received-at", "x"]].concat(), "--received-at"),
        (&[&verify[..], &["--scheme", "v3"]].concat(), "--scheme"),
        (&["listen", "--status", "99"], "--status"),
        (&["listen", "--port", "65536"], "--port"),
        (&["doctor", "--env-file", "absent"], "start `cargo dev`"),
        (&["doctor", "--table", "t"], "no region"),
        (&["doctor", "--stack", "s", "--local"], "cannot be used with"),
        (&["doctor", "--url", "http://127.0.0.1:1"], "--stack or --table"),
        (&["send", "umaaas.test", "--stack", "s"], "no region"),
        (&["send", "umaaas.test", "--local", "--env-file", "absent"], "there is no absent"),
        (&["send", "umaaas.test", "--secret-stack"], "--stack"),
        (&["send", "umaaas.test", "--secret-local", "--url", "http://127.0.0.2:1"], "only https://"),
        (&["doctor", "--table", "t", "--region", "x@localhost:1/#"], "is no region"),
        (&["policy", "test", "--stack", "s"], "policy talks to no deployment: --stack"),
        (&["generate", "--check", "--region", "r"], "generate talks to no deployment: --region"),
        (&["completions", "bash", "--local"], "completions talks to no deployment: --local"),
        (&["sign", "grid", "--body", &body, "--secret-env", "WEBHOOKS_TEST_SECRET"], "private key"),
        (
            &["verify", "grid", "--body", &body, "-H", "a: b", "--secret-env", "WEBHOOKS_TEST_SECRET"],
            "public key",
        ),
        (&[&["compare", "umaaas", "--transactions", "absent"][..], &day].concat(), "absent: No such file"),
        (&[&["compare", "umaaas", "--transactions", &csv][..], &day].concat(), "row 2: `yesterday`"),
        (
            &[&["compare", "umaaas", "--transactions", &no_id][..], &day].concat(),
            "--id-field. The fields are a, b",
        ),
        (&[&["compare", "umaaas", "--transactions", &nothing][..], &day].concat(), "nothing.jsonl"),
        (&["compare", "umaaas", "--transactions", &csv, "--day", "today"], "--day"),
        (
            &[&["compare", "umaaas", "--transactions", &csv, "--utc-offset", "x"][..], &day].concat(),
            "--utc-offset",
        ),
    ] {
        let ran = run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {}{}", ran.out, ran.err);
        assert!(ran.err.contains(expected) && ran.out.is_empty(), "{arguments:?}: {}{}", ran.out, ran.err);
    }
}

/// Somebody gives a secret where the name of a variable is needed.
const SECRET_LIKE: &str = "hunter2-or-so";

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    let body = write(&folder("place").join("body.json"), "{}");
    let ran = run(&["sign", "umaaas", "--body", &body, "--secret-env", SECRET_LIKE]);
    assert!(!ran.err.contains(SECRET_LIKE), "{}", ran.err);
    let ran = run_with(&format!("{{\"current\": \"{SECRET}\""), &["sign", "umaaas", "--body", &body]);
    assert_eq!(ran.code, 2);
}

#[test]
fn what_is_signed_verifies_wherever_the_secret_comes_from() {
    let folder = folder("sign");
    for provider in with_secrets() {
        let file = provider.file(&provider.samples[0]);
        let body = local_stack::root().join(&file).to_str().unwrap().to_owned();
        let json = format!(r#"{{"current": "{SECRET}", "previous": "another"}}"#);
        for (stdin, source) in [
            (SECRET, &[][..]),
            (&format!("{SECRET}\n"), &["--secret-stdin"]),
            (&json, &[]),
            (&format!("{SECRET},older"), &[]),
            ("", &["--secret-env", "WEBHOOKS_TEST_SECRET"]),
            ("", &["--secret-local"]),
        ] {
            let arguments = [&["sign", provider.name, "--body", &body][..], source].concat();
            let signed = run_with(stdin, &arguments);
            assert_eq!(signed.code, 0, "{}", signed.err);
            let (headers, curl) = signed.out.split_once("\n\n").unwrap();
            assert!(curl.starts_with("curl -i 'http://127.0.0.1:9000/") && curl.contains(&body), "{curl}");
            let headers = write(&folder.join("headers"), headers);
            let arguments =
                [&["verify", provider.name, "--body", &body, "--headers", &headers][..], source].concat();
            let verified = run_with(stdin, &arguments);
            assert_eq!(verified.code, 0, "{arguments:?}: {}{}", verified.out, verified.err);
            assert!(verified.out.starts_with("it verifies"), "{}", verified.out);
        }
    }
    // the documented example of another implementation
    let body = write(&folder.join("body"), r#"{"actionDoneBy":"ADMIN","emailAddress":"zoë@x.example"}"#);
    let arguments =
        ["sign", "weavr", "--body", &body, "--timestamp", "1793612075500", "--call-ref", "order-7", "--json"];
    let signed: Value = serde_json::from_str(&run_with("demo-api-key", &arguments).out).unwrap();
    assert_eq!(signed["headers"]["signature"], "ZbIqX4qHYXRTGep8gKvL/Yq2qcBMmmE5YeMEQbEE+ig=");
    assert_eq!(signed["headers"]["signature-v2"], "OcQGCaGoQSBNJn6QbGg4GlmBMp3FHv7VoOOck6fvNcc=");
}

/// A request that somebody captured.
#[derive(Clone)]
struct Captured {
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Captured {
    /// A body, as the provider signs and sends it.
    fn genuine(provider: &Sender, body: &[u8], secret: &str) -> Self {
        let mut delivery = Delivery::new("/", body.to_vec());
        if provider.name == "weavr" {
            delivery.headers.insert("call-ref", "order-7".parse().unwrap());
            delivery.headers.insert("published-timestamp", "1793612075000".parse().unwrap());
        }
        (provider.sign)(&mut delivery, &SigningKey::secret(secret));
        delivery.headers.insert("content-type", "application/json".parse().unwrap());
        let headers = delivery.headers.iter();
        let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        Self { headers: headers.collect(), body: body.to_vec() }
    }

    fn header(&mut self, name: &str) -> &mut String {
        &mut self.headers.iter_mut().find(|(known, _)| known == name).unwrap().1
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }
}

/// What `verify` says: its exit status and its JSON.
fn verify(folder: &Path, provider: &Sender, captured: &Captured, stdin: &str, more: &[&str]) -> (i32, Value) {
    let lines = captured.headers.iter().map(|(name, value)| format!("{name}: {value}\n"));
    let headers = write(&folder.join("headers"), lines.collect::<String>());
    let body = write(&folder.join("body"), &captured.body);
    let arguments = ["verify", provider.name, "--headers", &headers, "--body", &body, "--json"];
    let ran = run_with(stdin, &[&arguments[..], more].concat());
    assert!(ran.code < 2, "{}", ran.err);
    (ran.code, serde_json::from_str(&ran.out).unwrap())
}

fn signature_header(provider: &Sender) -> &'static str {
    if provider.name == "weavr" { "signature-v2" } else { "x-umaaas-signature" }
}

/// Bodies with members in an order that is not sorted, text beyond ASCII, a slash, and numbers that a parser
/// would write in another way.
fn siblings(provider: &Sender) -> Vec<Vec<u8>> {
    let own = concat!(
        r#"{"webhookId":"b/1","type":"TEST","timestamp":"2026-11-02T09:15:00Z","n":[1.0,1e2,{}],"#,
        r#""a":{"z":"Zo\u00eb \"x\"","y":"Zoë"}}"#
    );
    let samples = provider
        .samples
        .iter()
        .step_by(3)
        .map(|sample| std::fs::read(local_stack::root().join(provider.file(sample))).unwrap());
    samples.chain([own.as_bytes().to_vec()]).collect()
}

#[test]
fn a_body_that_was_written_anew_is_recognised() {
    let folder = folder("bodies");
    let text = |body: &[u8]| String::from_utf8(body.to_vec()).unwrap();
    // what the sender made of a body, and what is captured of it
    type Change = fn(&str) -> String;
    let compact: Change = |body| {
        let mut inside = false;
        let mut escaped = false;
        let keep = |c: &char| {
            inside ^= *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            inside || !c.is_ascii_whitespace()
        };
        body.chars().filter(keep).collect()
    };
    let same: Change = str::to_owned;
    let changes: [(&str, Change, Change); 9] = [
        ("compactly", compact, |body| format!("\n{}\n", body.replace("{", "{ "))),
        ("line end", same, |body| format!("{body}\n")),
        ("line end (CRLF)", |body| format!("{}\r\n", body.trim_end()), |body| body.trim_end().to_owned()),
        ("LF instead of CRLF", |body| body.replace(',', ",\n"), |body| body.replace('\n', "\r\n")),
        (
            "CRLF instead of LF",
            |body| body.replace(',', ",\n").replace('\n', "\r\n"),
            |body| body.replace("\r\n", "\n"),
        ),
        ("byte order mark", same, |body| format!("\u{feff}{body}")),
        ("decoded from base64", same, base64),
        ("JSON string", same, |body| serde_json::to_string(body).unwrap()),
        ("sorted by name", |body| sorted(&serde_json::from_str(body).unwrap()), |body| body.to_owned()),
    ];
    for provider in with_secrets() {
        for body in siblings(provider) {
            for (expected, sent, captured) in changes {
                let original = text(&body);
                let sent_body = sent(&original);
                let mut request = Captured::genuine(provider, sent_body.as_bytes(), SECRET);
                // what is captured is another writing of what was sent; of the last one, of what the sender
                // began with
                let seen = if expected == "sorted by name" { original.clone() } else { captured(&sent_body) };
                request.body = seen.clone().into_bytes();
                let (code, said) = verify(&folder, provider, &request, SECRET, &[]);
                if seen == sent_body {
                    assert_eq!(code, 0, "{expected}: {said}");
                    continue;
                }
                assert_eq!(
                    (code, &said["reasons"][0]["reason"]),
                    (1, &"body_reserialised".into()),
                    "{expected}: {said}\n{sent_body:?}\n{seen:?}"
                );
                assert!(said["reasons"].as_array().unwrap().len() == 1, "{said}");
            }
        }
    }
}

fn base64(body: &str) -> String {
    STANDARD.encode(body)
}

/// Compact, with sorted names, and with numbers as they are for integers.
fn sorted(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            let members = members
                .into_iter()
                .map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), sorted(value)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        Value::Array(entries) => format!("[{}]", entries.iter().map(sorted).collect::<Vec<_>>().join(",")),
        scalar => scalar.to_string(),
    }
}

#[test]
fn the_mistake_that_fits_is_named() {
    let folder = folder("mistakes");
    let upper = |text: &String| text.to_uppercase();
    for provider in with_secrets() {
        let header = signature_header(provider);
        for body in siblings(provider) {
            let genuine = Captured::genuine(provider, &body, SECRET);
            let edited = |edit: &dyn Fn(&mut String)| {
                let mut request = genuine.clone();
                edit(request.header(header));
                request
            };
            let signature = genuine.clone().header(header).clone();
            let length = genuine.clone().with("content-length", body.len());
            let mut altered = length.clone();
            altered.body.insert(body.len() / 2, b'x');
            let hexadecimal = header == "x-umaaas-signature";
            let umaaas_upper = if hexadecimal { None } else { Some("wrong_encoding") };
            let cases: Vec<(&str, Captured, Option<&str>)> = vec![
                ("genuine", genuine.clone(), None),
                ("white space around it", edited(&|text| *text = format!(" {text} ")), None),
                ("upper case", edited(&|text| *text = upper(text)), umaaas_upper),
                ("a prefix", edited(&|text| text.insert_str(0, "sha256=")), Some("wrong_encoding")),
                ("quotes", edited(&|text| *text = format!("\"{text}\"")), Some("wrong_encoding")),
                ("cut", edited(&|text| text.truncate(30)), Some("wrong_encoding")),
                ("not a signature", edited(&|text| *text = "?".to_owned()), Some("wrong_encoding")),
                ("empty", edited(&|text| text.clear()), Some("wrong_encoding")),
                ("SHA-512", edited(&|text| *text = "ab".repeat(64)), Some("wrong_scheme")),
                ("SHA-1", edited(&|text| *text = "ab".repeat(20)), Some("wrong_scheme")),
                ("twice", genuine.clone().with(header, &signature), Some("header_repeated")),
                ("joined", edited(&|text| *text = format!("{text}, {text}")), Some("header_repeated")),
                (
                    "no signature",
                    genuine.clone().without(header),
                    Some(if hexadecimal { "signature_missing" } else { "wrong_scheme" }),
                ),
                ("altered, with its length", altered.clone(), Some("body_altered")),
                (
                    "another secret",
                    Captured::genuine(provider, &body, "another").with("content-length", body.len()),
                    Some("wrong_secret_or_body"),
                ),
                (
                    "the local secret",
                    Captured::genuine(provider, &body, &provider.secret()),
                    Some("wrong_secret"),
                ),
                ("the placeholder", Captured::genuine(provider, &body, "replace-me"), Some("wrong_secret")),
                (
                    "quoted secret",
                    Captured::genuine(provider, &body, &format!("\"{SECRET}\"")),
                    Some("wrong_secret"),
                ),
                (
                    "without its prefix",
                    Captured::genuine(provider, &body, &SECRET[6..]),
                    Some("wrong_secret"),
                ),
                (
                    "lower case secret",
                    Captured::genuine(provider, &body, &SECRET.to_lowercase()),
                    Some("wrong_secret"),
                ),
            ];
            for (case, request, expected) in cases {
                let (code, said) = verify(&folder, provider, &request, SECRET, &[]);
                let reason = said["reasons"][0]["reason"].as_str();
                assert_eq!(
                    (code, reason),
                    (i32::from(expected.is_some()), expected),
                    "{} {case}: {said}",
                    provider.name
                );
            }
            // hexadecimal and base64 mixed up
            let other = if hexadecimal {
                STANDARD.encode(hex::decode(&signature).unwrap())
            } else {
                hex::encode(STANDARD.decode(&signature).unwrap())
            };
            let (code, said) =
                verify(&folder, provider, &edited(&|text| text.clone_from(&other)), SECRET, &[]);
            assert_eq!((code, &said["reasons"][0]["reason"]), (1, &"wrong_encoding".into()), "{said}");
        }
    }
}

#[test]
fn what_weavr_signs_is_told_apart() {
    let folder = folder("weavr");
    let weavr = provider("weavr");
    let body = sample("weavr/managed_cards.settlement.json");
    let genuine = Captured::genuine(weavr, &body, SECRET);
    let swapped = {
        let mut swapped = genuine.clone();
        let (one, two) = (swapped.header("signature").clone(), swapped.header("signature-v2").clone());
        *swapped.header("signature") = two;
        *swapped.header("signature-v2") = one;
        swapped
    };
    let seconds = {
        let mut seconds = genuine.clone();
        *seconds.header("published-timestamp") = "1793612075".to_owned();
        seconds
    };
    let mut altered = genuine.clone();
    let at = altered.body.iter().position(|byte| *byte == b'8').unwrap();
    altered.body[at] = b'9';
    let mut other_reference = genuine.clone();
    *other_reference.header("call-ref") = "order-8".to_owned();
    for (case, request, scheme, expected) in [
        ("genuine", genuine.clone(), "v2", None),
        ("genuine", genuine.clone(), "v1", None),
        ("only the first signature", genuine.clone().without("signature-v2"), "v2", Some("wrong_scheme")),
        ("only the first signature", genuine.clone().without("signature-v2"), "v1", None),
        ("swapped", swapped, "v2", Some("wrong_scheme")),
        ("the timestamp in seconds", seconds, "v2", Some("wrong_scheme")),
        ("no timestamp", genuine.clone().without("published-timestamp"), "v2", Some("timestamp_missing")),
        ("one byte of the body", altered.clone(), "v2", Some("body_altered")),
        ("one byte of the body", altered, "v1", Some("body_altered")),
        ("another call-ref", other_reference, "v2", Some("body_altered")),
        (
            "another timestamp header",
            genuine.clone().with("published-timestamp", "1"),
            "v2",
            Some("header_repeated"),
        ),
    ] {
        let (code, said) = verify(&folder, weavr, &request, SECRET, &["--scheme", scheme]);
        let reason = said["reasons"][0]["reason"].as_str();
        assert_eq!((code, reason), (i32::from(expected.is_some()), expected), "{case} {scheme}: {said}");
    }
    // the other provider's request
    let (code, said) = verify(&folder, provider("umaaas"), &genuine, SECRET, &[]);
    assert_eq!((code, &said["reasons"][0]["reason"]), (1, &"wrong_provider".into()));
    let misspelt = Captured::genuine(provider("umaaas"), &body, SECRET);
    let value = misspelt.clone().header("x-umaaas-signature").clone();
    let misspelt = misspelt.without("x-umaaas-signature").with("umaaas-signature", value);
    let (code, said) = verify(&folder, provider("umaaas"), &misspelt, SECRET, &[]);
    assert_eq!(code, 1);
    assert!(said["reasons"][0]["found"].as_str().unwrap().contains("`umaaas-signature` is there"), "{said}");
}

#[test]
fn a_signature_by_a_private_key_is_another_scheme() {
    let folder = folder("ecdsa");
    let der =
        "MEQCIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAiACAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg==";
    for text in [der.to_owned(), format!(r#"{{"v":"1","s":"{der}"}}"#)] {
        let request =
            Captured { headers: vec![("x-umaaas-signature".to_owned(), text)], body: b"{}".to_vec() };
        let (code, said) = verify(&folder, provider("umaaas"), &request, SECRET, &[]);
        assert_eq!((code, &said["reasons"][0]["reason"]), (1, &"wrong_scheme".into()), "{said}");
        assert!(said["reasons"][0]["found"].as_str().unwrap().contains("ECDSA"), "{said}");
    }
}

#[test]
fn age_is_checked_against_a_tolerance() {
    let folder = folder("age");
    for provider in with_secrets() {
        // sent at 2026-11-02T09:34:35Z (Weavr), 09:15:00Z (UMAaaS)
        let body = siblings(provider).pop().unwrap();
        let genuine = Captured::genuine(provider, &body, SECRET);
        for (received_at, tolerance, expected) in [
            ("2026-11-02T10:00:00Z", "7200", None),
            ("2026-11-02T12:00:00Z", "7200", Some("stale")),
            ("2026-11-12T09:00:00Z", "691200", Some("stale")),
            ("2026-11-02T09:00:00Z", "7200", Some("future")),
        ] {
            let more = ["--received-at", received_at, "--tolerance", tolerance];
            let (code, said) = verify(&folder, provider, &genuine, SECRET, &more);
            let reason = said["reasons"][0]["reason"].as_str();
            assert_eq!((code, reason), (i32::from(expected.is_some()), expected), "{received_at}: {said}");
        }
        // without a tolerance it is only said
        let (code, said) = verify(&folder, provider, &genuine, SECRET, &[]);
        assert_eq!(code, 0);
        assert!(said["notes"][0].as_str().unwrap().contains("--tolerance"), "{said}");
    }
}

#[test]
fn the_secret_that_signed_is_counted() {
    let folder = folder("rotation");
    let body = sample("umaaas/test.json");
    let request = Captured::genuine(provider("umaaas"), &body, SECRET);
    let (code, said) = verify(&folder, provider("umaaas"), &request, &format!("new,{SECRET}"), &[]);
    assert_eq!(code, 0);
    assert!(said["notes"].to_string().contains("secret 2 of 2"), "{said}");
}

fn reasons(said: &Value) -> Vec<&str> {
    let reasons = said["reasons"].as_array().unwrap().iter();
    reasons.map(|reason| reason["reason"].as_str().unwrap()).collect()
}

#[test]
fn two_mistakes_are_both_named() {
    let folder = folder("two");
    for provider in with_secrets() {
        let header = signature_header(provider);
        let body = siblings(provider).pop().unwrap();
        let mut request = Captured::genuine(provider, &body, &format!("'{SECRET}'"));
        request.body.push(b'\n');
        let text = request.header(header);
        *text = format!("v1={text}");
        let (code, said) = verify(&folder, provider, &request, SECRET, &[]);
        let reasons = reasons(&said);
        assert_eq!(
            (code, &reasons[..]),
            (1, &["wrong_secret", "body_reserialised", "wrong_encoding"][..]),
            "{said}"
        );
    }
}

#[test]
fn a_key_is_told_by_weavrs_first_signature() {
    let folder = folder("key");
    let weavr = provider("weavr");
    for body in siblings(weavr) {
        let mut request = Captured::genuine(weavr, &body, &SECRET.to_uppercase());
        request.body.insert(body.len() / 2, b'x');
        let (code, said) = verify(&folder, weavr, &request, SECRET, &[]);
        let reasons = reasons(&said);
        assert_eq!((code, &reasons[..]), (1, &["wrong_secret", "body_altered"][..]), "{said}");
    }
}

/// A running `listen`, and the lines of its output.
struct Listening {
    child: Child,
    address: String,
    out: BufReader<std::process::ChildStdout>,
    err: BufReader<std::process::ChildStderr>,
}

impl Listening {
    fn start(arguments: &[&str]) -> Self {
        let mut child = command(&[&["listen", "--port", "0"][..], arguments].concat()).spawn().unwrap();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (out, mut err) = (BufReader::new(out), BufReader::new(err));
        let mut line = String::new();
        err.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
        Self { child, address, out, err }
    }

    /// Sends a request and returns the status of the reply.
    fn post(&self, request: &Captured) -> u16 {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let headers =
            request.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<String>();
        let head = format!(
            "POST /any/path?q HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
             content-length: {}\r\n{headers}\r\n",
            request.body.len()
        );
        stream.write_all(&[head.as_bytes(), &request.body].concat()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// Ends it as Ctrl-C does: exit status, and the rest of both outputs.
    fn interrupt(mut self) -> (i32, String, String) {
        let status = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
        self.ended()
    }

    fn ended(&mut self) -> (i32, String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        self.out.read_to_string(&mut out).unwrap();
        self.err.read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap().code().unwrap(), out, err)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn listen_shows_what_is_posted_and_ends_cleanly() {
    let listening = Listening::start(&["--status", "503"]);
    let request = Captured {
        headers: vec![("x-odd".to_owned(), "v".to_owned())],
        body: br#"{"b":1.0,"a":"\u001b"}"#.to_vec(),
    };
    assert_eq!(listening.post(&request), 503);
    let text = Captured { headers: vec![], body: b"no JSON \x1b[31m".to_vec() };
    assert_eq!(listening.post(&text), 503);
    let (code, out, err) = listening.interrupt();
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("POST /any/path?q\n") && out.contains("x-odd: v\n"), "{out}");
    assert!(out.contains("{\n  \"b\": 1.0,\n  \"a\": \"\\u001b\"\n}"), "{out}");
    assert!(out.contains("no JSON \\u{1b}[31m") && !out.contains('\x1b'), "{out}");
    assert!(err.contains("nothing is masked") && err.contains("2 requests"), "{err}");
}

#[test]
fn listen_verifies_the_requests_of_known_providers() {
    for provider in with_secrets() {
        let body = siblings(provider).pop().unwrap();
        let genuine = Captured::genuine(provider, &body, &provider.secret());
        let forged = Captured::genuine(provider, &body, "a guess");
        let mut listening = Listening::start(&["--secret-local", "--json", "--count", "2"]);
        assert_eq!((listening.post(&genuine), listening.post(&forged)), (200, 200));
        let (code, out, _) = listening.ended();
        assert_eq!(code, 1, "one of the two does not verify");
        let seen: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let verifies: Vec<&Value> = seen.iter().map(|request| &request["verification"]["verifies"]).collect();
        assert_eq!(verifies, [&Value::from(true), &Value::from(false)], "{out}");
        assert_eq!(seen[0]["body"].as_str().unwrap().as_bytes(), body);
    }
    let mut listening = Listening::start(&["--secret-env", "WEBHOOKS_TEST_SECRET", "--count", "1"]);
    let body = sample("umaaas/test.json");
    listening.post(&Captured::genuine(provider("umaaas"), &body, SECRET));
    let (code, out, _) = listening.ended();
    assert!(code == 0 && out.contains("it verifies") && !out.contains(SECRET), "{out}");
}

#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let ran = run(&["listen", "--port", &port]);
    assert!(ran.code == 2 && ran.err.contains(&port) && ran.err.contains("--port"), "{}", ran.err);
}

/// Answers one request over TLS, with a certificate of its own for `localhost`: the port, and the
/// certificate.
fn tls_server() -> (u16, String) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = config.with_single_cert(vec![certified.cert.der().clone()], key).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        let mut connection = ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = Stream::new(&mut connection, &mut tcp);
        let mut seen = Vec::new();
        let mut buffer = [0; 4096];
        while !seen.ends_with(b"}\n") {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(count) => seen.extend_from_slice(&buffer[..count]),
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
        stream.flush().unwrap();
    });
    (port, certified.cert.pem())
}

#[test]
fn https_needs_a_certificate_that_this_machine_trusts() {
    let folder = folder("tls");
    for trusted in [true, false] {
        let (port, certificate) = tls_server();
        let (_, other) = tls_server();
        let file = write(&folder.join("trusted.pem"), if trusted { certificate } else { other });
        let url = format!("https://localhost:{port}/umaaas");
        let mut command = command(&["send", "umaaas.test", "--url", &url, "--env-file", "absent"]);
        let output = command.env("SSL_CERT_FILE", file).env_remove("SSL_CERT_DIR").output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(if trusted { 0 } else { 2 }), "{text}");
        assert!(text.contains(if trusted { "200" } else { "certificate" }), "{text}");
    }
}

#[test]
fn send_posts_what_listen_verifies() {
    for (variant, deliveries, verified) in [
        (&[][..], 1, &[true][..]),
        (&["--duplicate"], 2, &[true, true]),
        (&["--conflict"], 2, &[true, true]),
        (&["--forge"], 1, &[false]),
        (&["--stale"], 1, &[true]),
        (&["--late-secret"], 2, &[false, true]),
        (&["--repeat", "3", "--rate", "50"], 3, &[true, true, true]),
        (&["--set", "added.deep=[1]", "--expect", "200"], 1, &[true]),
    ] {
        for kind in ["umaaas.test", "weavr.consumers.activated", "weavr.send.transaction"] {
            let mut listening =
                Listening::start(&["--secret-local", "--json", "--count", &deliveries.to_string()]);
            let url = format!("http://{}", listening.address);
            let sent = run(
                &[&["send", kind, "--url", &url, "--json", "--env-file", "absent"][..], variant].concat()
            );
            let (_, out, _) = listening.ended();
            let seen: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let verifies: Vec<bool> =
                seen.iter().map(|request| request["verification"]["verifies"].as_bool().unwrap()).collect();
            assert_eq!(verifies, verified, "{kind} {variant:?}: {out}{}", sent.err);
            // 200 is not what a forgery, a repetition or a conflict of UMAaaS should get
            let lines: Vec<Value> =
                sent.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(lines.len(), deliveries);
            let good = lines.iter().all(|line| line["as_expected"].as_bool().unwrap());
            assert_eq!(sent.code, i32::from(!good), "{}", sent.out);
            let refused = variant == ["--forge"] || variant == ["--late-secret"];
            assert!(!(refused && good), "{}", sent.out);
            // every event is one of its own, and a repetition is the same
            let identity = |request: &Value| {
                let stamp = request["headers"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .find(|pair| pair[0] == "published-timestamp");
                format!("{} {}", request["body"], stamp.map_or(&Value::Null, |pair| &pair[1]))
            };
            let identities: std::collections::BTreeSet<String> = seen.iter().map(identity).collect();
            let expected = match variant.first() {
                Some(&"--repeat") => 3,
                Some(&"--conflict") if kind.starts_with("umaaas") => 2,
                _ => 1,
            };
            assert_eq!(identities.len(), expected, "{kind} {variant:?}: {out}");
            if variant.first() == Some(&"--conflict") && kind.starts_with("weavr") {
                assert_ne!(seen[0]["path"], seen[1]["path"]);
            }
        }
    }
}

/// A provider that signs with a private key: the private key signs, the public one verifies, and both come in PEM.
#[test]
fn what_a_private_key_signs_verifies_with_the_public_one() {
    let folder = folder("keys");
    let (key, other) = (SigningKey::new_private(), SigningKey::new_private());
    let (private, public) = (key.private_key().unwrap(), key.public_key().unwrap());
    let both = other.public_key().unwrap() + &public;
    for provider in ["grid", "umaaas"].map(provider) {
        let file = provider.file(&provider.samples[0]);
        let body = local_stack::root().join(&file).to_str().unwrap().to_owned();
        let ran = run_with(&private, &["sign", provider.name, "--body", &body, "--json"]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(!ran.out.contains(&private[40..80]), "{}", ran.out);
        let said: Value = serde_json::from_str(&ran.out).unwrap();
        let headers = said["headers"].as_object().unwrap().iter();
        let headers =
            headers.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect();
        let captured = Captured { headers, body: sample(file.strip_prefix("events/").unwrap()) };
        for (keys, verifies) in
            [(&public, true), (&both, true), (&private, true), (&other.public_key().unwrap(), false)]
        {
            let (code, said) = verify(&folder, provider, &captured, keys, &[]);
            assert_eq!(code, i32::from(!verifies), "{}: {said}", provider.name);
        }
        let altered = Captured { body: [captured.body.clone(), b" ".to_vec()].concat(), ..captured.clone() };
        let (code, said) = verify(&folder, provider, &altered, &public, &[]);
        assert_eq!((code, &said["reasons"][0]["reason"]), (1, &Value::from("body_reserialised")), "{said}");
    }
    // A receiver that expects a secret gets a signature of a private key, and the other way round.
    let umaaas = provider("umaaas");
    let signed = |key: &SigningKey| {
        let delivery = umaaas.delivery("/", "{}", key);
        let header = delivery.headers[signature_header(umaaas)].to_str().unwrap().to_owned();
        Captured { headers: vec![(signature_header(umaaas).to_owned(), header)], body: b"{}".to_vec() }
    };
    for (captured, keys) in [(signed(&key), SECRET), (signed(&SigningKey::secret(SECRET)), &*public)] {
        let (code, said) = verify(&folder, umaaas, &captured, keys, &[]);
        assert_eq!((code, &said["reasons"][0]["reason"]), (1, &Value::from("wrong_scheme")), "{said}");
    }
}
