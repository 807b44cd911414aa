//! The approval policy: rules in Cedar, checked once at start-up, and from the rules that fit a
//! payment to the answer, by annotation. `policies/README.md` is the guide for those who write them.

use std::collections::BTreeSet;

use cedar_policy::{
    Authorizer, Decision as Effective, Effect, PolicyId, PolicySet, Response, ValidationMode,
    ValidationWarning, Validator,
};
use ingest::{Decision, POLICY_ERROR, Verdict, sha256_hex};
use miette::Diagnostic;

use crate::policy_literals;
use crate::policy_request::{Model, Payment};

/// The sample, which decides nothing unless `APPROVAL_POLICY` says so.
const SAMPLE: &str = include_str!("../policies/sample.cedar");

/// What a rule may ask for: the names of both versions of the API.
const VOCABULARY: [&str; 20] = [
    // CounterpartyFieldDefinition of 2025-04-19
    "FULL_NAME",
    "ADDRESS",
    "DATE_OF_BIRTH",
    "TAX_ID",
    "REGISTRATION_NUMBER",
    "ACCOUNT_NUMBER",
    // UserInfoFieldName of 2026-03-24
    "BIRTH_DATE",
    "NATIONALITY",
    "PHONE_NUMBER",
    "EMAIL",
    "POSTAL_ADDRESS",
    "USER_TYPE",
    "COUNTRY_OF_RESIDENCE",
    "ACCOUNT_IDENTIFIER",
    "FI_LEGAL_ENTITY_NAME",
    "FI_ADDRESS",
    "PURPOSE_OF_PAYMENT",
    "ULTIMATE_INSTITUTION_COUNTRY",
    "IDENTIFIER",
    "BUSINESS_TYPE",
];

/// The longest id and reason, and the longest message. They go into every record and message.
const MAX_CODE_BYTES: usize = 64;
const CODE: &str = "1 to 64 letters, digits, '-', '_' or '.'";
const MAX_MESSAGE_BYTES: usize = 500;

/// How many deciding rules are kept with a decision; the first is the one that answered.
const MAX_DECIDING: usize = 20;

/// Several times what the deepest rule needs that Cedar evaluates on a function's own stack of 8 MiB. Only what
/// is used of it is ever there.
const READER_STACK_BYTES: usize = 64 << 20;

/// How many problems of a file are told at once.
const MAX_PROBLEMS: usize = 5;

/// A policy file that is right in itself and fits the schema.
#[derive(Debug)]
pub struct Policy {
    hash: String,
    /// In the file's order.
    rules: Vec<Rule>,
    set: PolicySet,
    model: Model,
    warnings: Vec<String>,
}

/// One `permit` or `forbid`, and the answer when it decides.
#[derive(Debug)]
struct Rule {
    id: String,
    verdict: Verdict,
}

/// A policy file that cannot be used, and why, for the person who wrote it.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {}", problems.join("; "))]
pub struct PolicyError {
    file: String,
    problems: Vec<String>,
}

impl Policy {
    /// The sample.
    ///
    /// # Errors
    /// None; a test checks the sample.
    pub fn sample() -> Result<Self, PolicyError> {
        Self::parse("sample.cedar", SAMPLE)
    }

    /// A deployer's own file.
    ///
    /// # Errors
    /// [`PolicyError`] as [`Policy::parse`], and for a file that cannot be read.
    pub fn load(file: &str) -> Result<Self, PolicyError> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| PolicyError { file: file.to_owned(), problems: vec![error.to_string()] })?;
        // Some editors put a byte order mark before a text, which is no part of it.
        Self::parse(file, text.strip_prefix('\u{feff}').unwrap_or(&text))
    }

    /// Checks a policy file's text. What it says has to fit the schema, and an annotation that would
    /// have no effect counts as a mistake.
    ///
    /// # Errors
    /// [`PolicyError`], which names `file`, with the first few problems.
    pub fn parse(file: &str, text: &str) -> Result<Self, PolicyError> {
        Self::checked(text).map_err(|mut problems| {
            problems.truncate(MAX_PROBLEMS);
            PolicyError { file: file.to_owned(), problems }
        })
    }

    fn checked(text: &str) -> Result<Self, Vec<String>> {
        let parsed: PolicySet = text.parse().map_err(|errors: cedar_policy::ParseErrors| {
            errors.iter().map(|error| problem(text, error)).collect::<Vec<_>>()
        })?;
        let mut problems = Vec::new();
        if parsed.templates().next().is_some() {
            problems.push("a template (?principal, ?resource) decides nothing here".to_owned());
        } else if parsed.is_empty() {
            problems.push("there is no rule in it".to_owned());
        }

        let (mut rules, mut set) = (Vec::new(), PolicySet::new());
        for policy in parsed.policies() {
            match Rule::new(policy) {
                Ok(rule) => {
                    if set.add(policy.new_id(PolicyId::new(&rule.id))).is_err() {
                        problems.push(format!("two rules have the id `{}`", rule.id));
                    }
                    rules.push(rule);
                }
                Err(wrong) => problems.push(wrong),
            }
        }

        let model = Model::new();
        let checked = Validator::new(model.schema.clone()).validate(&set, ValidationMode::Strict);
        problems.extend(checked.validation_errors().map(|error| problem(text, error)));
        // A rule that never fits is a mistake too. The other warnings are about odd letters.
        problems.extend(
            checked
                .validation_warnings()
                .filter(|warning| matches!(warning, ValidationWarning::ImpossiblePolicy(_)))
                .map(|warning| problem(text, warning)),
        );
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut policy = Self { hash: sha256_hex(text.as_bytes()), rules, set, model, warnings: Vec::new() };
        // No rule may fail for the barest payment, because of its depth, say, which Cedar bounds by the stack.
        if let Some(response) = policy.evaluate(&Payment::bare()) {
            problems.extend(response.diagnostics().errors().map(|error| problem(text, error)));
        }
        if problems.is_empty() {
            (problems, policy.warnings) = policy.read_as_json();
        }
        if problems.is_empty() { Ok(policy) } else { Err(problems) }
    }

    /// What is wrong with the literals in the rules, and what is worth a warning. A rule that is nested as deep
    /// as Cedar allows is read on a stack of its own size.
    fn read_as_json(&self) -> (Vec<String>, Vec<String>) {
        let read = || {
            let (mut problems, mut names) = (Vec::new(), BTreeSet::new());
            for rule in &self.rules {
                let policy = self.set.policy(&PolicyId::new(&rule.id));
                let Some(json) = policy.and_then(|policy| policy.to_json().ok()) else {
                    problems.push(format!("rule `{}`: it cannot be read as JSON", rule.id));
                    continue;
                };
                let wrong = policy_literals::problems(&json);
                problems.extend(wrong.iter().map(|wrong| format!("rule `{}`: {wrong}", rule.id)));
                let attributes = ["countries", "countriesUnread"];
                names.extend(attributes.into_iter().filter(|name| policy_literals::reads(&json, name)));
            }
            (problems, warnings(&names))
        };
        std::thread::scope(|scope| {
            let reader = std::thread::Builder::new().stack_size(READER_STACK_BYTES).spawn_scoped(scope, read);
            let failed = || (vec!["the rules cannot be read as JSON".to_owned()], Vec::new());
            reader.ok().and_then(|reader| reader.join().ok()).unwrap_or_else(failed)
        })
    }

    /// Hex SHA-256 of the file.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// What its author should think about, although the policy can be used.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// A rule as it stands in the file.
    #[must_use]
    pub fn rule(&self, id: &str) -> Option<String> {
        self.set.policy(&PolicyId::new(id)).map(ToString::to_string)
    }

    /// Decides about a payment.
    pub(crate) fn decide(&self, payment: &Payment) -> Decision {
        let (verdict, deciding) = self.verdict(payment);
        let policies = deciding.iter().take(MAX_DECIDING).map(|rule| rule.id.clone()).collect();
        Decision { policies, policy_hash: Some(self.hash.clone()), ..Decision::new(verdict) }
    }

    /// The table of answers: from the rules that fit to the one that counts.
    fn verdict(&self, payment: &Payment) -> (Verdict, Vec<&Rule>) {
        let Some(response) = self.evaluate(payment) else { return (policy_error(), vec![]) };
        let mut errors = response.diagnostics().errors().peekable();
        if errors.peek().is_some() {
            // Cedar goes on without a rule that fails; but that rule may have been the one to forbid.
            let failed = errors
                .map(|cedar_policy::AuthorizationError::PolicyEvaluationError(error)| error.policy_id());
            return (policy_error(), self.rules(failed));
        }
        let fitting = self.rules(response.diagnostics().reason());
        if response.decision() == Effective::Allow {
            return (Verdict::Approve, fitting);
        }
        let asks = |rule: &&Rule| matches!(rule.verdict, Verdict::RequestInformation { .. });
        let (asking, rejecting): (Vec<_>, Vec<_>) = fitting.into_iter().partition(asks);
        if let Some(first) = rejecting.first() {
            return (first.verdict.clone(), rejecting);
        }
        if asking.is_empty() {
            return (reject("not_permitted", "No rule permits the payment."), vec![]);
        }
        (Verdict::RequestInformation { required_fields: missing(payment, &asking) }, asking)
    }

    /// What Cedar makes of a payment. `None` when the payment does not fit the schema.
    fn evaluate(&self, payment: &Payment) -> Option<Response> {
        let (request, entities) = self.model.request(payment)?;
        Some(Authorizer::new().is_authorized(&request, &self.set, &entities))
    }

    /// The rules with these ids, in the file's order.
    fn rules<'a>(&self, ids: impl Iterator<Item = &'a PolicyId>) -> Vec<&Rule> {
        let ids: BTreeSet<&str> = ids.map(AsRef::as_ref).collect();
        self.rules.iter().filter(|rule| ids.contains(rule.id.as_str())).collect()
    }
}

/// What is worth a warning about a policy that reads these attributes.
fn warnings(read: &BTreeSet<&str>) -> Vec<String> {
    let unread = "the policy reads `principal.countries` and never `principal.countriesUnread`: a country that is \
                  not sent as a code of two letters is not among `countries`";
    let warned = read.contains("countries") && !read.contains("countriesUnread");
    warned.then(|| unread.to_owned()).into_iter().collect()
}

/// The fields to ask for: of each rule those that are missing; or all of them, when none is and the
/// rule wants another value.
fn missing(payment: &Payment, asking: &[&Rule]) -> Vec<String> {
    let mut fields = Vec::new();
    for rule in asking {
        let Verdict::RequestInformation { required_fields } = &rule.verdict else { continue };
        let missing: Vec<&String> = required_fields.iter().filter(|field| !payment.has(field)).collect();
        let wanted = if missing.is_empty() { required_fields.iter().collect() } else { missing };
        for field in wanted {
            if !fields.contains(field) {
                fields.push(field.clone());
            }
        }
    }
    fields
}

impl Rule {
    /// The rule's id and answer, from its annotations; or what is wrong with them.
    fn new(policy: &cedar_policy::Policy) -> Result<Self, String> {
        let id = policy.annotation("id").unwrap_or_else(|| policy.id().as_ref()).to_owned();
        let wrong = |what: &str| Err(format!("rule `{id}`: {what}"));
        if !is_code(&id) {
            return wrong(&format!("an @id has {CODE}"));
        }
        for (name, _) in policy.annotations() {
            if !["id", "reason", "message", "requires"].contains(&name) {
                return wrong(&format!("@{name} is not one of @id, @reason, @message, @requires"));
            }
        }
        let [reason, message, requires] =
            ["reason", "message", "requires"].map(|name| policy.annotation(name));
        let verdict = match (policy.effect(), requires) {
            (Effect::Permit, None) if reason.is_none() && message.is_none() => Verdict::Approve,
            (Effect::Permit, _) => return wrong("a permit has no annotation but @id"),
            (Effect::Forbid, None) => {
                let reason = reason.unwrap_or("forbidden");
                let message = message.unwrap_or("The payment is not accepted.");
                if !is_code(reason) {
                    return wrong(&format!("a @reason has {CODE}"));
                }
                if message.trim().is_empty() || message.len() > MAX_MESSAGE_BYTES {
                    return wrong(&format!("a @message has 1 to {MAX_MESSAGE_BYTES} bytes"));
                }
                reject(reason, message)
            }
            (Effect::Forbid, Some(_)) if reason.is_some() || message.is_some() => {
                return wrong("@requires asks for information, which has no @reason and no @message");
            }
            (Effect::Forbid, Some(fields)) => {
                let fields: Vec<String> = fields.split(',').map(|field| field.trim().to_owned()).collect();
                if let Some(unknown) = fields.iter().find(|field| !VOCABULARY.contains(&field.as_str())) {
                    let known = VOCABULARY.join(", ");
                    return wrong(&format!("@requires: `{unknown}` is not one of {known}"));
                }
                Verdict::RequestInformation { required_fields: fields }
            }
        };
        Ok(Self { id, verdict })
    }
}

/// Whether a text is fit to be an id or a reason: it goes into lists, logs and replies as it is.
fn is_code(text: &str) -> bool {
    (1..=MAX_CODE_BYTES).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// A rejection.
pub(crate) fn reject(reason: &str, message: &str) -> Verdict {
    Verdict::Reject { reason: reason.to_owned(), message: message.to_owned() }
}

fn policy_error() -> Verdict {
    reject(POLICY_ERROR, "The approval policy could not be evaluated.")
}

/// What Cedar finds wrong, with the line and Cedar's advice.
fn problem(text: &str, found: &impl Diagnostic) -> String {
    let label = found.labels().and_then(|mut labels| labels.next());
    let line = label
        .and_then(|label| text.get(..label.offset()))
        .map(|before| format!("line {}: ", before.matches('\n').count() + 1));
    let advice = found.help().map(|help| format!(" ({help})"));
    format!("{}{found}{}", line.unwrap_or_default(), advice.unwrap_or_default())
}
