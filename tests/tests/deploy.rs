//! The SAM template: without findings, with a route for every documented webhook, and deployed to an
//! emulated AWS with the built functions as its Lambda functions.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use local::deployment::{Deployment, Options};
use local::ministack::Ministack;
use local::providers::PROVIDERS;
use local::sam::Sam;
use local::samples;
use local::tools::Tools;
use local::watch;
use serde_json::Value;
use tests::{binaries, valid_envelope};

#[tokio::test]
async fn the_template_has_no_findings() {
    Sam::install().await.unwrap().lint().await.unwrap();
}

#[tokio::test]
async fn signed_webhooks_go_through_the_deployed_template() {
    let tools = Tools::install().await.unwrap();
    watch::build().await.unwrap();
    let ministack = Ministack::start(&tools, 0).await.unwrap();
    let options = Options {
        binaries: &binaries(),
        // the samples' timestamps are older than any tolerance
        parameters: &[("ApprovalPolicy", "sample"), ("UmaaasToleranceSeconds", "0")],
        functions_endpoint: None,
    };
    let deployment = Deployment::create(&tools, &ministack, &options).await.unwrap();
    for provider in PROVIDERS {
        let queue = deployment.queue(provider).unwrap();
        let rows = samples::run(provider, &deployment.url, &queue).await.unwrap();
        println!("{}", samples::table(&rows));
        assert!(rows.len() > provider.samples.len() && rows.iter().all(samples::Row::is_as_documented));
        for message in rows.iter().flat_map(samples::Row::messages) {
            valid_envelope(message).unwrap();
        }
    }
}

#[tokio::test]
async fn bad_parameters_are_refused_with_the_reason() {
    const LAYER: (&str, &str) = ("PolicyLayerArn", "arn:aws:lambda:eu-central-1:000000000000:layer:policy:1");
    const NO_POLICY: (&str, &str) = ("ApprovalPolicy", "");
    let cases: [(&[(&str, &str)], &str); 6] = [
        (&[], "ApprovalPolicy"),
        (&[("ApprovalPolicy", "smaple")], "the path of a file below /opt/"),
        (&[("ApprovalPolicy", "/opt/policy.cedar")], "has to name the layer"),
        (&[NO_POLICY, LAYER], "ApprovalPolicy names no file"),
        (&[NO_POLICY, ("DomainName", "webhooks.example.com")], "belong together"),
        // longer than the shortest retention
        (&[NO_POLICY, ("WeavrToleranceSeconds", "2592001")], "WeavrToleranceSeconds"),
    ];
    let tools = Tools::install().await.unwrap();
    watch::build().await.unwrap();
    let ministack = Ministack::start(&tools, 0).await.unwrap();
    for (parameters, reason) in cases {
        let options = Options { binaries: &binaries(), parameters, functions_endpoint: None };
        let error = Deployment::create(&tools, &ministack, &options).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{parameters:?}: {error}");
    }
}

/// Every documented path, and the function that has it.
#[tokio::test]
async fn every_documented_webhook_has_its_route() {
    let mut documented: BTreeMap<String, String> = umaaas::KINDS
        .iter()
        .map(|kind| kind.path)
        .chain(["/umaaas"])
        .map(|path| (path.to_owned(), "umaaas".to_owned()))
        .collect();
    documented
        .extend(weavr::KINDS.iter().map(|kind| (kind.path.to_owned(), kind.family.binary().to_owned())));
    documented.insert("/weavr/{proxy+}".to_owned(), "weavr-other".to_owned());

    let template = transformed(&[]).await;
    let api = &template["Resources"]["Api"]["Properties"]["Body"]["paths"];
    let mut routes = BTreeMap::new();
    for (path, methods) in api.as_object().unwrap() {
        assert_eq!(methods.as_object().unwrap().keys().collect::<Vec<_>>(), ["post"], "{path}");
        let uri = &methods["post"]["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"];
        let (_, function) = uri.as_str().unwrap().split_once("/functions/${").unwrap();
        let function = function.split(['.', '}']).next().unwrap();
        routes.insert(path.clone(), binary(&template, function));
    }
    assert_eq!(routes, documented);
}

/// For the emulator the transformation changes what it says, and nothing else.
#[tokio::test]
async fn the_emulator_gets_the_same_template() {
    let plain = transformed(&[]).await;
    let mut emulated = transformed(&["--for-emulator", "http://127.0.0.1:1"]).await;

    let paths = plain["Resources"]["Api"]["Properties"]["Body"]["paths"].as_object().unwrap();
    let mut routes = BTreeSet::new();
    let mut changed = BTreeSet::new();
    for (name, resource) in emulated["Resources"].as_object_mut().unwrap() {
        let original = &plain["Resources"][name];
        let kind = resource["Type"].as_str().unwrap().to_owned();
        match kind.as_str() {
            "AWS::ApiGatewayV2::Route" => {
                routes.insert(resource["Properties"]["RouteKey"].as_str().unwrap().to_owned());
                continue;
            }
            "AWS::ApiGatewayV2::Integration" => continue,
            "AWS::ApiGatewayV2::Api" => {}
            "AWS::CloudWatch::Alarm" if original["Properties"].get("Metrics").is_some() => {}
            "AWS::Lambda::Function" => {
                let variables = resource["Properties"]["Environment"]["Variables"].as_object_mut().unwrap();
                assert_eq!(variables.remove("AWS_ENDPOINT_URL").unwrap(), "http://127.0.0.1:1");
                assert!(resource == original, "{name} differs");
            }
            _ => assert!(resource == original, "{name} differs"),
        }
        changed.insert(name.clone());
    }
    assert_eq!(routes, paths.keys().map(|path| format!("POST {path}")).collect());
    assert_eq!(changed, plain["Resources"].as_object().unwrap().keys().cloned().collect());
}

/// The template in plain CloudFormation.
async fn transformed(arguments: &[&str]) -> Value {
    let tools = Tools::install().await.unwrap();
    let output = Command::new(tools.program("python"))
        .arg("-B")
        .arg(local::root().join("infra/local/transform.py"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What `sam build` makes of a function: its archive is named after it.
fn binary(template: &Value, function: &str) -> String {
    let properties = &template["Resources"][function]["Properties"];
    if let Some(of_alias) = properties["FunctionName"]["Ref"].as_str() {
        return binary(template, of_alias);
    }
    let code = &properties["Code"]["S3Key"];
    code.as_str().unwrap().trim_end_matches(".zip").to_owned()
}
