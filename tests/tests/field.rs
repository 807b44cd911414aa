//! What reaches a function in the field, on the built functions: clocks and credentials that AWS refuses.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{Deployment, Fault, Host, Rule, umaaas_event, unique, wait_for};

const WITHIN: Duration = Duration::from_secs(20);

fn delivery() -> Value {
    let body = json!({"webhookId": unique(), "type": "TEST", "timestamp": "2026-11-02T09:15:00Z"});
    umaaas_event("/umaaas", &body.to_string())
}

fn refuse(operation: &'static str, error: &'static str, times: Option<usize>) -> Rule {
    Rule { operation, fault: Fault::Refuse { error, holding: "" }, times }
}

#[tokio::test]
async fn a_signature_refused_for_its_time_is_made_again() {
    let deployment = Deployment::start().await;
    let host = Host::start().await;
    let _function = deployment.function(&host, "umaaas");
    host.idle(1).await;
    for error in ["InvalidSignatureException", "RequestTimeTooSkewed", "RequestExpired"] {
        for operation in ["PutItem", "SendMessage", "UpdateItem"] {
            deployment.proxy.take_calls();
            deployment.proxy.set([refuse(operation, error, Some(2))]);
            assert_eq!(host.invoke(delivery()).await.unwrap().status, 200, "{operation} {error}");
            host.idle(1).await;
            let calls = deployment.proxy.take_calls();
            let tries = calls.iter().filter(|call| *call == operation).count();
            assert_eq!((tries, calls.len()), (3, 5), "{operation} {error}: {calls:?}");
            assert_eq!(deployment.messages("umaaas", 1).await.len(), 1, "{operation} {error}");
        }
    }
    // a refusal that stays is 503 within the budget
    deployment.proxy.set([refuse("PutItem", "InvalidSignatureException", None)]);
    let answer = host.invoke(delivery()).await.unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.took < Duration::from_secs(2), "{:?}", answer.took);
    // and any other refusal is not tried again
    deployment.proxy.take_calls();
    deployment.proxy.set([refuse("PutItem", "AccessDeniedException", None)]);
    assert_eq!(host.invoke(delivery()).await.unwrap().status, 503);
    assert_eq!(deployment.proxy.take_calls(), ["PutItem"]);
}

#[tokio::test]
async fn expired_credentials_end_the_process_after_the_reply() {
    let deployment = Deployment::start().await;
    for (operation, status) in [("PutItem", 503), ("SendMessage", 200), ("UpdateItem", 200)] {
        let host = Host::start().await;
        let mut function = deployment.function(&host, "umaaas");
        host.idle(1).await;
        assert_eq!(host.invoke(delivery()).await.unwrap().status, 200);
        host.idle(1).await;
        deployment.proxy.set([refuse(operation, "ExpiredTokenException", None)]);
        assert_eq!(host.invoke(delivery()).await.unwrap().status, status, "{operation}");
        wait_for("the process ends", WITHIN, async || function.exited().is_some()).await;
        assert!(!function.exited().unwrap().success());
        let log = function.log();
        assert!(log.contains("the credentials have expired") && log.contains("\"outcome\":"), "{log}");
        deployment.proxy.set([]);
        // the next one has new credentials
        let host = Host::start().await;
        let _function = deployment.function(&host, "umaaas");
        assert_eq!(host.invoke(delivery()).await.unwrap().status, 200, "{operation}");
    }
}
