//! Sends hostile bodies and headers to the built functions: each gets its documented reply, quickly and with
//! little memory.

use std::time::Duration;

use local_stack::senders::{SENDERS, Sender};
use local_stack::watch;
use serde_json::{Value, json};
use tests::{Function, Host, LocalAws, post};

/// The size of a large body. It must fit Lambda's limit of 6 MB for an event.
const LARGE: usize = 5 << 20;

/// How long a reply may take, in a debug build on a busy machine.
const WITHIN: Duration = Duration::from_secs(20);

/// The peak memory may not exceed the memory of a function of the smallest sensible size.
const MEMORY_KB: usize = 128 * 1024;

#[tokio::test]
async fn hostile_deliveries() {
    let aws = LocalAws::start_alone().await;
    watch::build().await.unwrap();
    for (provider, binary, path) in [
        (&SENDERS[0], "umaaas", "/umaaas"),
        (&SENDERS[1], "weavr-other", "/weavr/anything/watch"),
        (&SENDERS[2], "grid", "/grid"),
    ] {
        let host = Host::start().await;
        let function = Function::start(&host, binary, &aws.stack.environment(provider));
        for (name, body, identified) in bodies() {
            let signed = host.invoke(signed(provider, path, &body)).await.unwrap();
            let forged = host.invoke(unsigned(provider, path, &body)).await.unwrap();
            println!(
                "{binary:<12} {name:<28} {:>9} bytes: {} after {} ms, {} unsigned",
                body.len(),
                signed.status,
                signed.took.as_millis(),
                forged.status
            );
            assert_eq!(
                signed.status,
                if identified { 200 } else { 400 },
                "{binary}, {name}: {}",
                signed.body
            );
            assert_eq!(forged.status, 401, "{binary}, {name}: the signature is checked first");
            assert!(signed.took < WITHIN && forged.took < WITHIN, "{binary}, {name}: {:?}", signed.took);
        }
        // header values of 8 KB, and bytes that are not text
        for value in ["a".repeat(8192), "é".repeat(4096), "ab, ab".to_owned()] {
            let mut event = signed(provider, path, "{}");
            for header in
                ["x-umaaas-signature", "x-grid-signature", "signature", "signature-v2", "published-timestamp"]
            {
                event["headers"][header] = json!(value);
            }
            assert_eq!(host.invoke(event).await.unwrap().status, 401, "{binary}: {value:.9}");
        }
        let mut event = signed(provider, path, "{}");
        event["body"] = json!("//79/A==");
        event["isBase64Encoded"] = json!(true);
        let forged = host.invoke(event.clone()).await.unwrap().status;
        assert_eq!(forged, provider.forgery_status, "{binary}: not UTF-8, not signed");
        event["body"] = json!("not base64!");
        assert_eq!(host.invoke(event).await.unwrap().status, 400, "{binary}: bad base64 from the gateway");

        let peak = function.peak_memory_kb();
        println!("{binary}: {} MB at most", peak / 1024);
        assert!(peak < MEMORY_KB, "{peak} KB");
    }
}

/// Names and texts of bodies, and whether each body is an event.
fn bodies() -> Vec<(&'static str, String, bool)> {
    let event = |id: &str, extra: &str| {
        format!(
            r#"{{"webhookId":"{id}","id":"{id}","type":"TEST","timestamp":"2026-11-02T09:15:00Z"{extra}}}"#
        )
    };
    vec![
        ("a 5 MB string", event("long", &format!(r#","x":"{}""#, "s".repeat(LARGE))), true),
        (
            "10,000 levels",
            event("deep", &format!(r#","x":{}1{}"#, "[".repeat(10_000), "]".repeat(10_000))),
            true,
        ),
        ("a number of 400 digits", event("digits", &format!(r#","x":{}"#, "9".repeat(400))), true),
        ("a NUL, escaped", event("nul", r#","x":"\u0000""#), true),
        ("a lone surrogate", event("half", r#","\ud800":"\udfff""#), true),
        ("a noncharacter", event("noncharacter", ",\"x\":\"\u{ffff}\""), true),
        (
            "50,000 fields",
            event("wide", &(0..50_000).map(|n| format!(r#","f{n}":1"#)).collect::<String>()),
            true,
        ),
        ("duplicate names", event("first", r#","webhookId":"last","id":"last""#), true),
        ("a megabyte of [", "[".repeat(1 << 20), false),
        ("a megabyte of {\"a\":", r#"{"a":"#.repeat(1 << 18), false),
        ("nothing", String::new(), false),
        ("a byte order mark", format!("\u{feff}{}", event("mark", "")), true),
        ("two byte order marks", "\u{feff}\u{feff}{}".to_owned(), false),
        ("a NUL, raw", "{\"a\":\"\0\"}".to_owned(), false),
        ("a line break in a name, raw", event("line", ",\"x\ny\":1"), true),
    ]
}

fn signed(provider: &Sender, path: &str, body: &str) -> Value {
    let delivery = provider.delivery(path, body.to_owned(), &provider.signing_key());
    post(path, &delivery.headers, body)
}

/// The same delivery without its signature headers.
fn unsigned(provider: &Sender, path: &str, body: &str) -> Value {
    let mut event = signed(provider, path, body);
    let headers = event["headers"].as_object_mut().unwrap();
    headers.retain(|name, _| !name.contains("signature"));
    event
}
