//! What CloudFormation says of a stack: its outputs and its parameters.

use std::collections::HashMap;

use anyhow::{Context, Result, anyhow, ensure};
use aws_types::SdkConfig;

use crate::aws_call::{self, Query, below, field, fields};

/// A stack that is deployed.
#[derive(Clone, Debug, Default)]
pub(crate) struct StackDescription {
    /// Its name, with which the names of its alarms begin.
    pub name: String,
    /// Its outputs, as in `TableName`.
    pub outputs: HashMap<String, String>,
    /// Its parameters, as in `RetentionDays`.
    pub parameters: HashMap<String, String>,
}

/// Reads it.
///
/// # Errors
/// There is no such stack, or CloudFormation does not answer.
pub(crate) async fn read(config: &SdkConfig, stack: &str) -> Result<StackDescription> {
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '-';
    ensure!(stack.chars().all(valid), "{stack} is no name of a stack");
    let query = Query {
        service: "cloudformation",
        version: "2010-05-15",
        action: "DescribeStacks",
        parameters: &[("StackName", stack)],
    };
    let answer = query.call(config).await.with_context(|| format!("cannot read the stack {stack}"))?;
    described(stack, &answer).with_context(|| format!("cannot read the stack {stack}"))
}

/// `DescribeStacksResponse/DescribeStacksResult/Stacks/member/{Outputs,Parameters}/member`.
fn described(name: &str, answer: &str) -> Result<StackDescription> {
    let mut stack = StackDescription { name: name.to_owned(), ..StackDescription::default() };
    aws_call::at(answer, &["DescribeStacksResult", "Stacks", "member"], &mut |member| {
        while let Some(mut list) = member.next_tag() {
            let (pairs, key, value) = match list.start_el().local() {
                "Outputs" => (&mut stack.outputs, "OutputKey", "OutputValue"),
                "Parameters" => (&mut stack.parameters, "ParameterKey", "ParameterValue"),
                _ => continue,
            };
            below(&mut list, &["member"], &mut |pair| {
                let known = fields(pair)?;
                pairs.extend(field(&known, key).zip(field(&known, value)));
                Ok(())
            })?;
        }
        Ok(())
    })?;
    ensure!(!stack.outputs.is_empty(), "it has no outputs");
    Ok(stack)
}

/// What the output or the parameter of a provider is called, as in `UmaaasQueueUrl`.
///
/// # Errors
/// The provider has no name.
pub(crate) fn name(provider: &str, what: &str) -> Result<String> {
    let (first, rest) = provider.split_at_checked(1).ok_or_else(|| anyhow!("a provider without a name"))?;
    Ok(format!("{}{rest}{what}", first.to_uppercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_and_parameters() {
        let answer = r#"<DescribeStacksResponse xmlns="http://cloudformation.amazonaws.com/doc/2010-05-15/">
            <DescribeStacksResult><Stacks><member><StackName>s</StackName><Outputs>
              <member><OutputKey>TableName</OutputKey><OutputValue>a&amp;b</OutputValue></member>
              <member><Description>d</Description><OutputKey>UmaaasQueueUrl</OutputKey><OutputValue>u</OutputValue></member>
            </Outputs><Parameters>
              <member><ParameterKey>RetentionDays</ParameterKey><ParameterValue>90</ParameterValue></member>
              <member><ParameterKey>AlarmEmail</ParameterKey><ParameterValue></ParameterValue></member>
              <member><OutputKey>no</OutputKey></member></Parameters></member></Stacks>
            </DescribeStacksResult></DescribeStacksResponse>"#;
        let stack = described("s", answer).unwrap();
        assert_eq!((stack.outputs.len(), &*stack.outputs["TableName"]), (2, "a&b"));
        assert_eq!(stack.outputs[&name("umaaas", "QueueUrl").unwrap()], "u");
        assert_eq!((stack.parameters.len(), &*stack.parameters["RetentionDays"]), (2, "90"));
        let nothing = "<DescribeStacksResponse><DescribeStacksResult/></DescribeStacksResponse>";
        assert!(described("s", nothing).unwrap_err().to_string().contains("no outputs"));
    }
}
