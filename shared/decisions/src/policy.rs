//! The approval policy: rules in Cedar. The function checks the rules once at start-up. For each payment, the
//! annotations of the matching rules give the decision. `policies/README.md` is the guide for policy authors.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cedar_policy::{
    Authorizer, Decision as Effective, Effect, Entities, PolicyId, PolicySet, Request, Response,
    ValidationMode, ValidationWarning, Validator,
};
use ingest::{Counting, Decision, POLICY_ERROR, Totals, Verdict, sha256_hex};
use jiff::tz::TimeZone;
use miette::Diagnostic;

use crate::bundle::{self, Bundle, RULES};
use crate::derived;
use crate::limits::Limits;
use crate::lists::{Kind, List};
use crate::policy_literals;
use crate::policy_request::{Model, Needs, Payment, Undecidable, undecidable};
use crate::rates::Rates;
use crate::spelling::canonical;

/// The sample policy. It is used only if `APPROVAL_POLICY` says so.
const SAMPLE: &str = include_str!("../policies/sample.cedar");

/// The names that `@requires` may list: those of both versions of the API.
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

/// The longest id and the longest reason, in bytes. Records and messages contain them.
const MAX_CODE_BYTES: usize = 64;
const CODE: &str = "1 to 64 letters, digits, '-', '_' or '.'";
/// The longest `@message`, in bytes. Records contain it.
const MAX_MESSAGE_BYTES: usize = 500;

/// How many deciding rules a decision keeps. The first one gave the answer.
const MAX_DECIDING: usize = 20;

/// The stack of the thread that converts rules to JSON: several times what a rule needs if it is nested as
/// deeply as Cedar can evaluate on the function's own stack of 8 MiB. Unused stack takes no memory.
const READER_STACK_BYTES: usize = 64 << 20;

/// How many problems of a file one error reports.
const MAX_PROBLEMS: usize = 5;

/// A policy that has passed all checks and fits the schema.
#[derive(Debug)]
pub struct Policy {
    hash: String,
    /// The rules, in the file's order.
    pub(crate) rules: Vec<Rule>,
    /// The rules as they are evaluated: literals that are compared with folded attributes are folded.
    set: PolicySet,
    model: Model,
    needs: Needs,
    currencies: BTreeSet<String>,
    warnings: Vec<String>,
}

/// What a list of a policy is, for its author to check.
#[derive(Clone, Copy, Debug)]
pub struct ListSummary<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its kind, as in `bundle.json`.
    pub kind: &'static str,
    /// How many entries it has.
    pub entries: usize,
    /// The first entry, as it is written.
    pub first: &'a str,
}

/// One `permit` or `forbid`, and the verdict when this rule decides.
#[derive(Debug)]
pub(crate) struct Rule {
    pub id: String,
    verdict: Verdict,
    /// The rule as it is written.
    pub written: cedar_policy::Policy,
}

/// A policy that cannot be used, and the reasons, written for its author.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {}", problems.join("; "))]
pub struct PolicyError {
    file: String,
    problems: Vec<String>,
}

impl Policy {
    /// The sample policy.
    ///
    /// # Errors
    /// None, because a test checks the sample.
    pub fn sample() -> Result<Self, PolicyError> {
        Self::parse("sample.cedar", SAMPLE)
    }

    /// The policy that a setting names: `sample`, or the path of a folder or of a file with rules.
    ///
    /// # Errors
    /// As for [`Policy::load`].
    pub fn named(name: &str) -> Result<Self, PolicyError> {
        match name.trim() {
            "sample" => Self::sample(),
            file => Self::load(file),
        }
    }

    /// Loads a policy of the deployer: a folder, or a file with nothing but rules.
    ///
    /// # Errors
    /// [`PolicyError`] as for [`Policy::parse`], when a file cannot be read, and when the lists, rates or settings of a
    /// folder are wrong.
    pub fn load(path: &str) -> Result<Self, PolicyError> {
        if Path::new(path).is_dir() {
            let policy = Bundle::read(Path::new(path)).and_then(|bundle| {
                let given = Given {
                    zone: bundle.zone,
                    rates: bundle.rates,
                    lists: bundle.lists,
                    limits: bundle.limits,
                };
                let policy = Self::checked(&bundle.rules, given);
                let in_rules = |wrong| format!("{RULES}: {wrong}");
                let policy = policy.map_err(|wrong| wrong.into_iter().map(in_rules).collect::<Vec<String>>());
                Ok(Self { hash: bundle.hash, ..policy? })
            });
            return policy.map_err(|problems| PolicyError::new(path, problems));
        }
        let text =
            std::fs::read_to_string(path).map_err(|error| PolicyError::new(path, vec![error.to_string()]))?;
        // Some editors write a byte order mark before the text. It is not part of the policy.
        Self::parse(path, text.strip_prefix('\u{feff}').unwrap_or(&text))
    }

    /// The files of a policy's folder by their paths in it, in the order of the paths: everything that its hash covers.
    ///
    /// # Errors
    /// [`PolicyError`] when there is a file that a policy does not have, or one cannot be read.
    pub fn files(folder: &str) -> Result<BTreeMap<String, Vec<u8>>, PolicyError> {
        bundle::files(Path::new(folder)).map_err(|problems| PolicyError::new(folder, problems))
    }

    /// Checks the text of a policy file. The rules must fit the schema, and an annotation that would have no
    /// effect is a mistake.
    ///
    /// # Errors
    /// [`PolicyError`], which names `file` and lists the first few problems.
    pub fn parse(file: &str, text: &str) -> Result<Self, PolicyError> {
        Self::checked(text, Given::default()).map_err(|problems| PolicyError::new(file, problems))
    }

    fn checked(text: &str, mut given: Given) -> Result<Self, Vec<String>> {
        let parsed: PolicySet = text.parse().map_err(|errors: cedar_policy::ParseErrors| {
            errors.iter().map(|error| problem(text, error)).collect::<Vec<_>>()
        })?;
        let mut problems = Vec::new();
        if parsed.templates().next().is_some() {
            problems.push("a template (?principal, ?resource) is not supported".to_owned());
        } else if parsed.is_empty() {
            problems.push("the file has no rule".to_owned());
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

        let model = Model::new(&given.limits);
        let checked = Validator::new(model.schema.clone()).validate(&set, ValidationMode::Strict);
        problems.extend(checked.validation_errors().map(|error| problem(text, error)));
        // A rule that can match no payment is a mistake too. Cedar's other warnings are about unusual
        // characters.
        problems.extend(
            checked
                .validation_warnings()
                .filter(|warning| matches!(warning, ValidationWarning::ImpossiblePolicy(_)))
                .map(|warning| problem(text, warning)),
        );
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut policy = Self {
            hash: sha256_hex(text.as_bytes()),
            rules,
            set,
            model,
            needs: Needs { limits: std::mem::take(&mut given.limits), ..Needs::default() },
            currencies: BTreeSet::new(),
            warnings: Vec::new(),
        };
        // Evaluate the rules once with the smallest payment. A rule that fails here would fail for real
        // payments too, for example because it is nested deeper than Cedar can evaluate on this stack.
        if let Ok(Some(response)) = policy.evaluate(&Payment::bare(), &Totals::new()) {
            problems.extend(response.diagnostics().errors().map(|error| problem(text, error)));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let Read { problems: wrong, attributes, currencies, lists, limits: read_limits, folded, warnings } =
            policy.read_as_json();
        policy.currencies = currencies;
        problems.extend(wrong);
        let Given { zone, rates, lists: mut given, .. } = given;
        if attributes.contains("local") && zone.is_none() {
            problems.push("a rule reads `context.local`, but the policy names no time zone".to_owned());
        }
        if attributes.contains("baseAmount") && rates.is_none() {
            problems.push("a rule reads `context.baseAmount`, but the policy has no rates.json".to_owned());
        }
        problems.extend(lists.iter().filter_map(|used| used.problem(&given)));
        if !problems.is_empty() {
            return Err(problems);
        }
        let reads_list = |name: &str| lists.iter().any(|used| used.name == name);
        policy.warnings = warnings;
        for (name, list) in &given {
            let of_the_list = |warning| format!("list `{name}`: {warning}");
            policy.warnings.extend(list.warnings.iter().map(of_the_list));
        }
        policy.warnings.extend(warning_about_countries(&attributes, &lists, &given));
        policy.warnings.extend(
            given
                .keys()
                .filter(|name| !reads_list(name))
                .map(|name| format!("no rule reads the list `{name}`")),
        );
        let mut limits = std::mem::take(&mut policy.needs.limits);
        policy
            .warnings
            .extend(limits.unread(&read_limits).map(|name| format!("no rule reads the limit `{name}`")));
        limits.retain(&read_limits);
        if rates.is_some() && !attributes.contains("baseAmount") {
            policy.warnings.push("no rule reads `context.baseAmount`, for which rates.json is".to_owned());
        }
        if zone.is_some() && !attributes.contains("local") {
            policy.warnings.push("no rule reads `context.local`, for which the time zone is".to_owned());
        }
        given.retain(|name, _| reads_list(name));
        policy.needs = Needs { reads: attributes, zone, rates, lists: given, limits };
        let without = Payment::lists_without_their_first_entry(&policy.needs);
        if !without.is_empty() {
            let wrong = |name| format!("the list `{name}` does not match a payment by its own first entry");
            return Err(without.into_iter().map(wrong).collect());
        }
        if let Some(set) = folded {
            policy.set = set;
        }
        Ok(policy)
    }

    /// Reads the rules in Cedar's JSON format, on a thread with a larger stack, because a rule can be nested as deeply as
    /// Cedar allows.
    fn read_as_json(&self) -> Read {
        std::thread::scope(|scope| {
            let reader = std::thread::Builder::new().stack_size(READER_STACK_BYTES);
            let reader = reader.spawn_scoped(scope, || Read::of(&self.rules, &self.set, &self.needs.limits));
            reader.ok().and_then(|reader| reader.join().ok()).unwrap_or_else(|| Read {
                problems: vec!["the rules cannot be converted to JSON".to_owned()],
                ..Read::default()
            })
        })
    }

    /// Hex SHA-256 of the policy's text; of a folder, of the names and contents of all its files.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Possible mistakes that the author should check. The policy can be used in spite of them.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The ids of the rules, in the order of the file.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| rule.id.as_str())
    }

    /// The currencies that rules compare a payment's currency with.
    #[must_use]
    pub fn currencies(&self) -> &BTreeSet<String> {
        &self.currencies
    }

    /// The lists that the rules read.
    pub fn lists(&self) -> impl Iterator<Item = ListSummary<'_>> {
        self.needs.lists.iter().map(|(name, list)| ListSummary {
            name,
            kind: list.kind.name(),
            entries: list.count,
            first: &list.first,
        })
    }

    /// The text of the rule with this id.
    #[must_use]
    pub fn rule(&self, id: &str) -> Option<String> {
        self.rules.iter().find(|rule| rule.id == id).map(|rule| rule.written.to_string())
    }

    /// Whether the rules read limits.
    #[must_use]
    pub fn has_limits(&self) -> bool {
        !self.needs.limits.is_empty()
    }

    /// What a payment counts as, if it is approved and the rules read limits.
    pub(crate) fn counting(&self, payment: &Payment) -> Option<Counting> {
        self.has_limits().then(|| payment.counting(&self.needs.limits))
    }

    /// Decides about a payment. `totals`: what was counted before it; `None` when that cannot be read.
    pub(crate) fn decide(&self, payment: &Payment, totals: Option<&Totals>) -> Decision {
        let (verdict, deciding) = match totals {
            Some(totals) => self.verdict(payment, totals),
            None => (undecided(&undecidable("the limits", "cannot be read")), vec![]),
        };
        let policies = deciding.iter().take(MAX_DECIDING).map(|rule| rule.id.clone()).collect();
        Decision { policies, policy_hash: Some(self.hash.clone()), ..Decision::new(verdict) }
    }

    /// The verdict, and the rules that gave it. `policies/README.md` has this as a table.
    fn verdict(&self, payment: &Payment, totals: &Totals) -> (Verdict, Vec<&Rule>) {
        let response = match self.evaluate(payment, totals) {
            Ok(Some(response)) => response,
            Ok(None) => return (policy_error(), vec![]),
            Err(undecidable) => return (undecided(&undecidable), vec![]),
        };
        let mut errors = response.diagnostics().errors().peekable();
        if errors.peek().is_some() {
            // Cedar ignores a rule that fails. But the failed rule may be the one that forbids the payment.
            let failed = errors
                .map(|cedar_policy::AuthorizationError::PolicyEvaluationError(error)| error.policy_id());
            return (policy_error(), self.with_ids(failed));
        }
        let fitting = self.with_ids(response.diagnostics().reason());
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

    /// What Cedar is asked about a payment. `Ok(None)` when the payment does not fit the schema.
    pub(crate) fn request(
        &self,
        payment: &Payment,
        totals: &Totals,
    ) -> Result<Option<(Request, Entities)>, Undecidable> {
        self.model.request(payment, totals, &self.needs)
    }

    /// The rule with this id as it is evaluated.
    pub(crate) fn evaluated(&self, id: &str) -> Option<&cedar_policy::Policy> {
        self.set.policy(&PolicyId::new(id))
    }

    /// Whether a rule reads this computed attribute.
    pub(crate) fn reads(&self, attribute: &str) -> bool {
        self.needs.reads.contains(attribute)
    }

    /// Evaluates all rules for a payment. `Ok(None)` when the payment does not fit the schema.
    fn evaluate(&self, payment: &Payment, totals: &Totals) -> Result<Option<Response>, Undecidable> {
        let request = self.request(payment, totals)?;
        Ok(request.map(|(request, entities)| Authorizer::new().is_authorized(&request, &self.set, &entities)))
    }

    /// The rules with these ids, in the file's order.
    fn with_ids<'a>(&self, ids: impl Iterator<Item = &'a PolicyId>) -> Vec<&Rule> {
        let ids: BTreeSet<&str> = ids.map(AsRef::as_ref).collect();
        self.rules.iter().filter(|rule| ids.contains(rule.id.as_str())).collect()
    }
}

/// What a policy has beside its rules.
#[derive(Debug, Default)]
struct Given {
    zone: Option<TimeZone>,
    rates: Option<Rates>,
    lists: BTreeMap<String, List>,
    limits: Limits,
}

/// What the rules have, in Cedar's JSON format.
#[derive(Default)]
struct Read {
    problems: Vec<String>,
    /// The attributes that rules read: those that are computed, and those about countries.
    attributes: BTreeSet<String>,
    currencies: BTreeSet<String>,
    lists: Vec<UsedList>,
    limits: BTreeSet<String>,
    /// The rules with folded literals, if a rule has one.
    folded: Option<PolicySet>,
    warnings: Vec<String>,
}

/// A list that a rule reads.
struct UsedList {
    rule: String,
    /// Which variable of the rule must be on the list.
    variable: Option<String>,
    name: String,
}

impl UsedList {
    fn problem(&self, lists: &BTreeMap<String, List>) -> Option<String> {
        let Self { rule, variable, name } = self;
        let Some(list) = lists.get(name) else {
            return Some(format!("rule `{rule}`: the policy has no list `{name}`"));
        };
        match variable.as_deref() {
            Some("principal") => None,
            Some("resource") => matches!(list.kind, Kind::Name | Kind::Country).then(|| {
                format!("rule `{rule}`: a receiver is on no list of names or countries, such as `{name}`")
            }),
            _ => Some(format!(
                "rule `{rule}`: a list is only at the right of `principal in` or `resource in`, as in \
                 `principal in List::{name:?}`"
            )),
        }
    }
}

impl Read {
    fn of(rules: &[Rule], set: &PolicySet, limits: &Limits) -> Self {
        let mut read = Self::default();
        let (mut folded, mut any) = (PolicySet::new(), false);
        for rule in rules {
            let id = &rule.id;
            let policy = set.policy(&PolicyId::new(id));
            let Some((policy, mut json)) = policy.and_then(|policy| Some((policy, policy.to_json().ok()?)))
            else {
                read.problems.push(format!("rule `{id}`: it cannot be converted to JSON"));
                continue;
            };
            let mut wrong = policy_literals::problems(&json);
            let mut attributes = BTreeSet::new();
            policy_literals::attributes(&json, &mut attributes);
            let computed = derived::computed().chain(["countries", "countriesUnread"]);
            let computed = computed.filter(|name| attributes.contains(name));
            read.attributes.extend(computed.map(str::to_owned));
            policy_literals::currencies(&json, &mut read.currencies);
            limits.read_by(&json, &mut read.limits);
            let lists = policy_literals::lists(&json);
            if lists.is_empty() {
                // Which fields a list looks up is not known here.
                read.warnings.extend(rule.untested(&attributes));
            }
            let used = |(variable, name)| UsedList { rule: id.clone(), variable, name };
            read.lists.extend(lists.into_iter().map(used));
            let policy = if policy_literals::fold(&mut json, &mut wrong) {
                any = true;
                cedar_policy::Policy::from_json(Some(policy.id().clone()), json).ok()
            } else {
                Some(policy.clone())
            };
            if policy.is_none_or(|policy| folded.add(policy).is_err()) {
                wrong.push("its literals cannot be folded".to_owned());
            }
            read.problems.extend(wrong.iter().map(|wrong| format!("rule `{id}`: {wrong}")));
        }
        read.folded = any.then_some(folded);
        read
    }
}

/// The warning for a policy that reads these attributes and lists.
fn warning_about_countries(
    read: &BTreeSet<String>,
    used: &[UsedList],
    lists: &BTreeMap<String, List>,
) -> Option<String> {
    let of_countries = |used: &UsedList| lists.get(&used.name).is_some_and(|list| list.kind == Kind::Country);
    let what = if read.contains("countries") {
        "`principal.countries`"
    } else if used.iter().any(of_countries) {
        "a list of countries"
    } else {
        return None;
    };
    let unread = format!(
        "the policy reads {what} but not `principal.countriesUnread`: `countries` has no country that is sent in \
         another form than a two-letter code"
    );
    (!read.contains("countriesUnread")).then_some(unread)
}

/// The fields to ask for: for each rule, its fields that the payment lacks. If the payment has all fields of
/// a rule, the rule wants another value, so all its fields are asked for.
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
    /// Reads the rule's id and verdict from its annotations. The error says which annotation is wrong.
    fn new(policy: &cedar_policy::Policy) -> Result<Self, String> {
        let id = policy.annotation("id").unwrap_or_else(|| policy.id().as_ref()).to_owned();
        let wrong = |what: &str| Err(format!("rule `{id}`: {what}"));
        if !is_code(&id) {
            return wrong(&format!("an @id must have {CODE}"));
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
            (Effect::Permit, _) => return wrong("a permit can have no annotation except @id"),
            (Effect::Forbid, None) => {
                let reason = reason.unwrap_or("forbidden");
                let message = message.unwrap_or("The payment is not accepted.");
                if !is_code(reason) {
                    return wrong(&format!("a @reason must have {CODE}"));
                }
                if message.trim().is_empty() || message.len() > MAX_MESSAGE_BYTES {
                    return wrong(&format!(
                        "a @message must have 1 to {MAX_MESSAGE_BYTES} bytes and must not be blank"
                    ));
                }
                reject(reason, message)
            }
            (Effect::Forbid, Some(_)) if reason.is_some() || message.is_some() => {
                return wrong("a rule with @requires cannot have @reason or @message");
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
        Ok(Self { id, verdict, written: policy.clone() })
    }
}

impl Rule {
    /// The warnings about fields that the rule requires and does not test: a payment that has such a field would be asked
    /// for it again.
    fn untested(&self, attributes: &BTreeSet<&str>) -> Vec<String> {
        let Verdict::RequestInformation { required_fields } = &self.verdict else { return vec![] };
        let is_tested = |field: &&String| {
            canonical(field)
                .is_some_and(|attribute| derived::of(attribute).any(|name| attributes.contains(name)))
        };
        let untested = required_fields.iter().filter(|field| !is_tested(field));
        untested
            .map(|field| {
                let attribute = canonical(field).unwrap_or_default();
                format!(
                    "rule `{}`: @requires names {field}, but the rule does not test `{attribute}`",
                    self.id
                )
            })
            .collect()
    }
}

impl PolicyError {
    fn new(file: &str, mut problems: Vec<String>) -> Self {
        problems.truncate(MAX_PROBLEMS);
        Self { file: file.to_owned(), problems }
    }
}

/// Whether a text can be an id or a reason. Lists, logs and replies contain these texts without escaping.
pub(crate) fn is_code(text: &str) -> bool {
    (1..=MAX_CODE_BYTES).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// A rejection.
pub(crate) fn reject(reason: &str, message: &str) -> Verdict {
    Verdict::Reject { reason: reason.to_owned(), message: message.to_owned() }
}

/// The rejection of a payment that a policy cannot decide.
pub(crate) fn undecided(undecidable: &Undecidable) -> Verdict {
    reject("undecidable", &format!("{undecidable}."))
}

fn policy_error() -> Verdict {
    reject(POLICY_ERROR, "The approval policy could not be evaluated.")
}

/// A problem that Cedar found, with the line number and Cedar's advice.
fn problem(text: &str, found: &impl Diagnostic) -> String {
    let label = found.labels().and_then(|mut labels| labels.next());
    let line = label
        .and_then(|label| text.get(..label.offset()))
        .map(|before| format!("line {}: ", before.matches('\n').count() + 1));
    let advice = found.help().map(|help| format!(" ({help})"));
    format!("{}{found}{}", line.unwrap_or_default(), advice.unwrap_or_default())
}
