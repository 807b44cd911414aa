//! Redeliveries and conflicts on the built functions: every signed event is on the queue exactly once, with
//! the reply that it got.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use tests::{
    Answer, Call, Deployment, Fault, Host, Rule, provider_bytes, signed_event, umaaas_event, unique,
};

const UMAAAS: &str = "umaaas";

/// The body of a payment that needs a decision. `about_sender` adds information about the sender.
fn payment(id: &str, about_sender: &Value) -> Value {
    let currency = json!({"code": "USD", "decimals": 2});
    json!({
        "webhookId": id, "type": "INCOMING_PAYMENT", "timestamp": "2026-11-02T09:15:00Z",
        "transaction": {
            "id": format!("Transaction:{id}"), "status": "PENDING", "type": "INCOMING",
            "senderUmaAddress": "$ada@example.com", "receiverUmaAddress": "$bob@example.org",
            "receivedAmount": {"amount": 50_000, "currency": currency},
            "userId": "User:1", "platformUserId": "user-1",
            "counterpartyInformation": about_sender,
        },
    })
}

/// Delivers the bodies one after the other, and waits after each until it is forwarded.
async fn deliver(host: &Host, bodies: &[String]) -> Vec<Answer> {
    let mut answers = Vec::new();
    for body in bodies {
        answers.push(host.invoke(umaaas_event("/umaaas", body)).await.unwrap());
    }
    host.idle(1).await;
    answers
}

fn statuses(answers: &[Answer]) -> Vec<u16> {
    answers.iter().map(|answer| answer.status).collect()
}

fn decision(answer: &Answer) -> Option<String> {
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    body["details"]["decision"].as_str().map(str::to_owned)
}

fn envelopes(messages: &[String]) -> Vec<Value> {
    messages.iter().map(|message| serde_json::from_str(message).unwrap()).collect()
}

/// One of the examples in the provider's documentation.
#[derive(Deserialize)]
struct Example {
    name: String,
    path: String,
    body: String,
}

#[tokio::test]
async fn the_providers_examples_arrive_each_once_and_byte_for_byte() {
    for (version, text) in [
        ("2025-04-19", include_str!("../../examples/umaaas-2025-04-19.json")),
        ("2026-03-24", include_str!("../../examples/umaaas-2026-03-24.json")),
    ] {
        let examples: Vec<Example> = serde_json::from_str(text).unwrap();
        let deployment = Deployment::start().await;
        let host = Host::start().await;
        let _function = deployment.function(&host, UMAAAS);
        for example in &examples {
            let event = umaaas_event(&example.path, &example.body);
            let reply = host.invoke(event).await.unwrap();
            println!("{version} {:<24} {} {}", example.name, reply.status, reply.body);
            assert!(matches!(reply.status, 200 | 403 | 409), "{version} {}: {}", example.name, reply.status);
        }
        let messages = deployment.messages(UMAAAS, examples.len()).await;
        let mut arrived: Vec<Vec<u8>> = messages.iter().map(|message| provider_bytes(message)).collect();
        let mut sent: Vec<Vec<u8>> =
            examples.iter().map(|example| example.body.clone().into_bytes()).collect();
        arrived.sort();
        sent.sort();
        assert_eq!(arrived, sent, "{version}");
        let ids: BTreeSet<String> = envelopes(&messages)
            .iter()
            .map(|envelope| format!("{} {} {}", envelope["source"], envelope["type"], envelope["id"]))
            .collect();
        assert_eq!(ids.len(), examples.len(), "{version}: every example has a different id");
        // delivering all examples again adds no message
        for example in &examples {
            let again = host.invoke(umaaas_event(&example.path, &example.body)).await.unwrap();
            assert_eq!(again.status, 409, "{version} {}", example.name);
        }
        host.idle(1).await;
        assert!(deployment.messages(UMAAAS, 0).await.is_empty(), "{version}");
    }
}

#[tokio::test]
async fn retries_with_a_new_timestamp_are_one_event() {
    let deployment = Deployment::start().await;
    let host = Host::start().await;
    let function = deployment.function(&host, UMAAAS);
    let id = unique();
    let body = |time: &str| {
        format!(
            r#"{{"webhookId":"{id}","timestamp":{time},"type":"OUTGOING_PAYMENT","transaction":{{"status":"FAILED"}}}}"#
        )
    };
    let times = [
        r#""2026-11-02T09:15:00Z""#,
        r#""2026-11-02T09:45:00Z""#,
        r#""2026-11-02T10:15:00.5+00:00""#,
        "1793613600",
    ];
    let answers = deliver(&host, &times.map(body)).await;
    assert_eq!(statuses(&answers), [200, 409, 409, 409]);
    assert_eq!(deployment.messages(UMAAAS, 1).await.len(), 1);
    let records = deployment.records(&format!("umaaas#OUTGOING_PAYMENT#{id}")).await;
    assert_eq!(records.len(), 1, "no retry leaves a record");
    let log = function.log();
    assert_eq!(log.matches(r#""outcome":"restamped""#).count(), 3, "{log}");
    assert!(
        log.contains("sent again with the time 2026-11-02T09:45:00Z instead of 2026-11-02T09:15:00Z"),
        "{log}"
    );

    // contents A, B, and B with another timestamp: two events
    let id = unique();
    let body = |status: &str, second: u8| {
        format!(
            r#"{{"webhookId":"{id}","timestamp":"2026-11-02T09:15:0{second}Z","type":"BULK_UPLOAD","jobId":"j","status":"{status}"}}"#
        )
    };
    let bodies = [body("SUCCESS", 0), body("FAILED", 0), body("FAILED", 1)];
    assert_eq!(statuses(&deliver(&host, &bodies).await), [200, 409, 409]);
    let messages = envelopes(&deployment.messages(UMAAAS, 2).await);
    assert_eq!(messages.len(), 2);
    let conflict = messages.iter().find(|message| message.get("conflictof").is_some()).unwrap();
    assert_eq!((&conflict["conflictof"], &conflict["reply"]), (&json!(id), &json!(409)));
    assert!(conflict["id"].as_str().unwrap().starts_with(&format!("{id}#")));
    assert_eq!(conflict["data"]["status"], "FAILED");
    let records = deployment.records(&format!("umaaas#BULK_UPLOAD#{id}")).await;
    let replies: Vec<&str> =
        records.values().map(|record| record["reply"].as_n().unwrap().as_str()).collect();
    assert_eq!(replies, ["200", "409"], "the records have the replies");
}

#[tokio::test]
async fn a_payment_is_decided_after_a_question_and_only_once() {
    let deployment = Deployment::start().await;
    let host = Host::start().await;
    let _function = deployment.function(&host, UMAAAS);
    let id = unique();
    let ask = payment(&id, &json!({"FULL_NAME": "Ada"})).to_string();
    let more = payment(&id, &json!({"FULL_NAME": "Ada", "BIRTH_DATE": "1985-06-15"})).to_string();
    let restricted =
        payment(&id, &json!({"FULL_NAME": "Ada", "BIRTH_DATE": "1985-06-15", "NATIONALITY": "KP"}));
    let mut completed = payment(&id, &json!({}));
    completed["transaction"]["status"] = json!("COMPLETED");
    let bodies = [ask.clone(), more.clone(), restricted.to_string(), completed.to_string(), more, ask];
    let answers = deliver(&host, &bodies).await;
    assert_eq!(statuses(&answers), [422, 200, 409, 409, 409, 409]);
    let decisions: Vec<Option<String>> = answers[2..].iter().map(decision).collect();
    let approve = Some("approve".to_owned());
    assert_eq!(decisions, [approve.clone(), None, approve.clone(), approve], "COMPLETED needs no decision");

    let messages = envelopes(&deployment.messages(UMAAAS, 4).await);
    let mut seen: Vec<String> = messages
        .iter()
        .map(|message| {
            let conflict =
                message.get("conflictof").map_or("first", |of| if *of == *id { "conflict" } else { "?" });
            format!("{conflict} {} {}", message["reply"], message["decision"])
        })
        .collect();
    seen.sort();
    assert_eq!(
        seen,
        [
            "conflict 200 \"approve\"",
            "conflict 409 null",
            "conflict 409 null",
            "first 422 \"request_information\""
        ]
    );
    let records = deployment.records(&format!("umaaas#INCOMING_PAYMENT#{id}")).await;
    let (_, base) = records.iter().next().unwrap();
    assert!(base["decided_later"].as_s().unwrap().contains(r#""outcome":"approve""#));
    let told: BTreeMap<&str, usize> = records.values().fold(BTreeMap::new(), |mut told, record| {
        *told.entry(record["reply"].as_n().unwrap().as_str()).or_default() += 1;
        told
    });
    assert_eq!(told, BTreeMap::from([("200", 1), ("409", 2), ("422", 1)]));
}

#[tokio::test]
async fn fifty_at_once() {
    let deployment = Deployment::start().await;
    let host = Host::start().await;
    let _functions: Vec<_> = (0..4).map(|_| deployment.function(&host, UMAAAS)).collect();
    host.idle(4).await;

    // two bodies with the same id
    let id = unique();
    let body = |status: &str| {
        format!(
            r#"{{"webhookId":"{id}","timestamp":"t","type":"BULK_UPLOAD","jobId":"j","status":"{status}"}}"#
        )
    };
    let deliveries =
        (0..50).map(|n| umaaas_event("/umaaas", &body(if n % 2 == 0 { "SUCCESS" } else { "FAILED" })));
    let replies = join_all(deliveries.map(|event| host.invoke(event))).await;
    let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
    for reply in replies {
        *counts.entry(reply.unwrap().status).or_default() += 1;
    }
    assert_eq!(counts, BTreeMap::from([(200, 1), (409, 49)]));
    host.idle(4).await;
    let messages = envelopes(&deployment.messages(UMAAAS, 2).await);
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert_eq!(messages.iter().filter(|message| message.get("conflictof").is_some()).count(), 1);

    // first the reply asks for information; then two different bodies with the information arrive, ten times
    // each
    let id = unique();
    let ask = payment(&id, &json!({"FULL_NAME": "Ada"})).to_string();
    assert_eq!(host.invoke(umaaas_event("/umaaas", &ask)).await.unwrap().status, 422);
    let approved = payment(&id, &json!({"FULL_NAME": "Ada", "BIRTH_DATE": "1985-06-15"})).to_string();
    let rejected =
        payment(&id, &json!({"FULL_NAME": "Ada", "BIRTH_DATE": "1985-06-15", "NATIONALITY": "KP"}))
            .to_string();
    let deliveries = (0..20).map(|n| umaaas_event("/umaaas", if n % 2 == 0 { &approved } else { &rejected }));
    let answers = join_all(deliveries.map(|event| host.invoke(event))).await;
    let answers: Vec<Answer> = answers.into_iter().map(Result::unwrap).collect();
    let finals: Vec<u16> = statuses(&answers).into_iter().filter(|status| *status != 409).collect();
    assert_eq!(finals.len(), 1, "exactly one final decision: {finals:?}");
    let decided = if finals[0] == 200 { "approve" } else { "reject" };
    for answer in answers.iter().filter(|answer| answer.status == 409) {
        assert_eq!(decision(answer).as_deref(), Some(decided));
    }
    host.idle(4).await;
    assert_eq!(deployment.messages(UMAAAS, 3).await.len(), 3);
}

#[tokio::test]
async fn weavrs_event_at_another_path_is_held_and_can_be_released() {
    let deployment = Deployment::start().await;
    let (corporates, others, scheduled) = (Host::start().await, Host::start().await, Host::start().await);
    let _corporates = deployment.function(&corporates, "weavr-corporates");
    let others_function = deployment.function(&others, "weavr-other");
    let _reconciler = deployment.function(&scheduled, "reconciler");
    let body = format!(r#"{{"emailAddress":"{}@example.com","actionDoneBy":"ADMIN"}}"#, unique());
    let genuine = signed_event("weavr", "/weavr/corporates/corporate_deactivated/watch", &body);
    let mut elsewhere = genuine.clone();
    let path = "/weavr/auth/users/user_deactivated/watch";
    elsewhere["rawPath"] = json!(path);
    elsewhere["requestContext"]["http"]["path"] = json!(path);

    assert_eq!(corporates.invoke(genuine).await.unwrap().status, 200);
    for _ in 0..2 {
        assert_eq!(others.invoke(elsewhere.clone()).await.unwrap().status, 200);
    }
    others.idle(1).await;
    let [message] = &envelopes(&deployment.messages("weavr", 1).await)[..] else { panic!("one message") };
    assert_eq!(message["type"], "weavr.corporates.deactivated");
    assert!(message["publishedat"].is_string());
    let id = message["id"].as_str().unwrap();
    let log = others_function.log();
    assert_eq!(log.matches(r#""outcome":"conflict""#).count(), 1, "the alarm counts one conflict: {log}");
    assert_eq!(log.matches(r#""outcome":"duplicate""#).count(), 1, "{log}");

    let mut records = deployment.records(&format!("weavr#{id}#")).await;
    let (key, held) = records.pop_first().unwrap();
    assert!(records.is_empty());
    assert_eq!(held["state"], AttributeValue::S("conflict".into()));
    for absent in ["expires_at", "due_at", "pending_shard"] {
        assert!(!held.contains_key(absent), "{absent}");
    }
    deployment.pass_time().await;
    scheduled.invoke_raw(json!({})).await.unwrap();
    assert!(
        deployment.messages("weavr", 0).await.is_empty(),
        "a held conflict is not forwarded automatically"
    );

    // a person releases the record, as `cargo webhooks conflicts release` does
    let stack = &deployment.aws.stack;
    let table = records::Records::new(&local_stack::stack::config(&stack.endpoint), stack.table.clone());
    assert_eq!(table.release(&key, Timestamp::now()).await.unwrap(), records::Changed::Yes);
    scheduled.invoke_raw(json!({})).await.unwrap();
    let [message] = &envelopes(&deployment.messages("weavr", 1).await)[..] else { panic!("one message") };
    assert!(message["id"].as_str().unwrap().starts_with(&format!("{id}#")), "{message}");
    assert_eq!((&message["conflictof"], &message["path"]), (&json!(id), &json!(path)));
    assert_eq!((&message["type"], &message["replyconfirmed"]), (&json!("weavr.unknown"), &json!(false)));
    // a redelivery of the released event is no conflict
    assert_eq!(others.invoke(elsewhere).await.unwrap().status, 200);
    assert!(deployment.messages("weavr", 0).await.is_empty());
}

#[tokio::test]
async fn a_message_says_whether_its_reply_is_known_to_have_left() {
    let deployment = Deployment::start().await;
    let (host, scheduled) = (Host::start().await, Host::start().await);
    let _function = deployment.function(&host, UMAAAS);
    let _reconciler = deployment.function(&scheduled, "reconciler");
    let event = |request_ago: i64| {
        let body = json!({"webhookId": unique(), "type": "TEST", "timestamp": "2026-11-02T09:15:00Z"});
        let mut event = umaaas_event("/umaaas", &body.to_string());
        let at = Timestamp::now().as_millisecond() - request_ago;
        event["requestContext"]["timeEpoch"] = json!(at);
        event
    };
    let confirmed = async |expected: bool, what: &str| {
        let messages = envelopes(&deployment.messages(UMAAAS, 1).await);
        assert_eq!(messages.len(), 1, "{what}");
        assert_eq!(messages[0]["replyconfirmed"], expected, "{what}");
        let id = messages[0]["id"].as_str().unwrap();
        let records = deployment.records(&format!("umaaas#TEST#{id}")).await;
        let record = records.values().next().unwrap();
        assert_eq!(record["reply_confirmed"], AttributeValue::Bool(expected), "{what}");
    };

    for (what, request_ago, expected) in [
        ("in time", 0, true),
        ("in time, after a cold start", 2_000, true),
        // with too much clock skew, whether the reply left in time is not known
        ("our clock is behind the gateway's", -310_000, false),
        ("our clock is ahead of the gateway's", 310_000, false),
    ] {
        assert_eq!(host.invoke(event(request_ago)).await.unwrap().status, 200, "{what}");
        host.idle(1).await;
        confirmed(expected, what).await;
    }

    host.refuse_answers(true);
    assert_eq!(host.invoke(event(0)).await.unwrap().status, 200);
    host.idle(1).await;
    host.refuse_answers(false);
    confirmed(false, "Lambda refused the response").await;
    assert_eq!(host.invoke(event(0)).await.unwrap().status, 200);
    host.idle(1).await;
    confirmed(true, "the next delivery").await;

    deployment.proxy.set([Rule { operation: "SendMessage", fault: Fault::Drop, times: None }]);
    assert_eq!(host.invoke(event(0)).await.unwrap().status, 200);
    host.idle(1).await;
    deployment.proxy.set([]);
    deployment.pass_time().await;
    scheduled.invoke_raw(json!({})).await.unwrap();
    confirmed(false, "the reconciler sends the message").await;
}

#[tokio::test]
async fn facts_about_the_receiver_come_from_the_directory() {
    const SLOW: Duration = Duration::from_secs(3);
    let deployment = Deployment::start().await;
    let dynamodb = &deployment.aws.stack.dynamodb;
    let directory = format!("directory-{}", unique());
    local_stack::stack::create_directory(dynamodb, &directory).await.unwrap();
    let attribute = |text: &str| AttributeValue::S(text.to_owned());
    let put = dynamodb.put_item().table_name(&directory).item("platformUserId", attribute("user-1"));
    let put = put.item("NATIONALITY", attribute("DE")).item("BIRTH_DATE", attribute("1990-01-02"));
    put.item("TAX_ID", attribute("never asked for")).send().await.unwrap();

    let host = Host::start().await;
    let function = deployment.function_with(&host, UMAAAS, &[("RECEIVER_DIRECTORY_TABLE", &directory)]);
    let asking = |fields: Value, user: &str| {
        let id = unique();
        let mut body = payment(&id, &json!({"FULL_NAME": "Ada", "BIRTH_DATE": "1985-06-15"}));
        body["requestedReceiverUserInfoFields"] = fields;
        body["transaction"]["platformUserId"] = json!(user);
        (id, umaaas_event("/umaaas", &body.to_string()))
    };
    let field = |name: &str, mandatory: bool| json!({"name": name, "mandatory": mandatory});
    let unavailable = json!("receiver_info_unavailable");
    for (what, fields, user, fault, status, info) in [
        (
            "all required facts are known",
            json!([field("NATIONALITY", true), field("BIRTH_DATE", false)]),
            "user-1",
            None,
            200,
            json!({"NATIONALITY": "DE", "BIRTH_DATE": "1990-01-02"}),
        ),
        (
            "an optional fact is missing",
            json!([field("NATIONALITY", true), field("EMAIL", false)]),
            "user-1",
            None,
            200,
            json!({"NATIONALITY": "DE"}),
        ),
        ("a mandatory fact is missing", json!([field("EMAIL", true)]), "user-1", None, 403, Value::Null),
        ("an unknown user", json!([field("NATIONALITY", true)]), "user-2", None, 403, Value::Null),
        (
            "an unknown user, nothing mandatory",
            json!([field("NATIONALITY", false)]),
            "user-2",
            None,
            200,
            Value::Null,
        ),
        (
            "the directory fails",
            json!([field("NATIONALITY", true)]),
            "user-1",
            Some(Fault::Fail),
            403,
            Value::Null,
        ),
        (
            "the directory does not answer",
            json!([field("NATIONALITY", true)]),
            "user-1",
            Some(Fault::Hang),
            403,
            Value::Null,
        ),
        (
            "the directory is slow",
            json!([field("NATIONALITY", false)]),
            "user-1",
            Some(Fault::Delay(SLOW)),
            200,
            Value::Null,
        ),
    ] {
        let (id, event) = asking(fields, user);
        deployment.proxy.set(fault.map(|fault| Rule { operation: "GetItem", fault, times: None }));
        let answer = host.invoke(event).await.unwrap();
        println!("{what}: {} after {:?} {}", answer.status, answer.took, answer.body);
        assert_eq!(answer.status, status, "{what}");
        assert!(answer.took < Duration::from_secs(4), "{what}: {:?}", answer.took);
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        assert_eq!(body.get("receiverUserInfo").unwrap_or(&Value::Null), &info, "{what}");
        if status == 403 {
            assert_eq!((&body["reason"], &body["details"]["reason"]), (&unavailable, &unavailable), "{what}");
        }
        let records = deployment.records(&format!("umaaas#INCOMING_PAYMENT#{id}")).await;
        let record = format!("{:?}", records.values().next().unwrap());
        assert!(!record.contains("1990-01-02") && !record.contains("never asked"), "{what}: {record}");
    }
    deployment.proxy.set([]);
    host.idle(1).await;
    let log = function.log();
    assert!(log.contains("the receiver directory did not answer") && !log.contains("1990-01-02"), "{log}");
    // the directory is not read for a payment that is not approved
    deployment.proxy.take_calls();
    let mut body = payment(&unique(), &json!({}));
    body["requestedReceiverUserInfoFields"] = json!([field("NATIONALITY", true)]);
    assert_eq!(host.invoke(umaaas_event("/umaaas", &body.to_string())).await.unwrap().status, 422);
    host.idle(1).await;
    let mut calls = deployment.proxy.take_whole_calls();
    // The switch that stops decisions is read every now and then.
    calls.retain(|call| call.parameters["Key"]["pk"]["S"] != "control#decisions");
    let calls: Vec<&str> = calls.iter().map(Call::operation).collect();
    assert_eq!(calls, ["PutItem", "SendMessage", "UpdateItem"]);
}
