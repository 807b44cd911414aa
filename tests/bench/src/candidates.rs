//! The candidates that are compared: this project's functions, and other implementations of the same
//! function.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use local_stack::process::Program;
use local_stack::senders::{SENDERS, Sample, Sender};
use local_stack::stack::{ACCESS_KEY, REGION};
use local_stack::tools::Tools;
use local_stack::watch;
use tests::{post, unique};

use crate::artifact::Artifact;

/// The function that all others are compared to.
pub const OURS: &str = "umaaas";

/// The placeholder for the endpoint's address in a candidate's environment.
pub const ENDPOINT: &str = "{endpoint}";

/// One implementation of a function.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The name in tables.
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// The environment variables, with [`ENDPOINT`] in place of the endpoint's address.
    pub environment: Vec<(String, String)>,
    /// The deployed files.
    pub artifact: Artifact,
    provider: &'static Sender,
    sample: &'static Sample,
}

/// The folder with the built binaries.
#[derive(Clone, Debug)]
pub struct Binaries {
    directory: PathBuf,
}

impl Binaries {
    /// Builds the functions and the Rust baselines with a cargo profile.
    pub async fn build(profile: &str) -> Result<Self> {
        let ours = SENDERS.iter().flat_map(|provider| provider.binaries).copied();
        let binaries: Vec<&str> = ours.chain(["reconciler", "bench-floor", "bench-plain"]).collect();
        watch::build_binaries(&binaries, profile).await?;
        let ours = std::env::current_exe()?;
        let target = ours.ancestors().nth(2).context("cargo's target folder is two folders above")?;
        Ok(Self::in_directory(&target.join(if profile == "dev" { "debug" } else { profile })))
    }

    /// The binaries in a folder, which are already built.
    pub fn in_directory(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    fn path(&self, name: &str) -> Result<PathBuf> {
        let path = self.directory.join(name);
        ensure!(path.exists(), "{} is not there", path.display());
        Ok(path.canonicalize()?)
    }

    /// A binary as a candidate. Its events are webhooks like a sample of the provider.
    fn candidate(&self, binary: &str, provider: &'static Sender, file: &str) -> Result<Candidate> {
        let path = self.path(binary)?;
        let sample = provider.samples.iter().find(|sample| sample.file.starts_with(file));
        Ok(Candidate {
            name: binary.to_owned(),
            command: vec![path.clone().into()],
            environment: environment(provider),
            artifact: Artifact::Binary(path),
            provider,
            sample: sample.with_context(|| format!("no sample for {binary}"))?,
        })
    }

    /// The reconciler, which handles no webhooks.
    pub fn reconciler(&self) -> Result<Candidate> {
        let mut candidate = self.candidate("reconciler", umaaas(), "test")?;
        let queue = ("UMAAAS_QUEUE_URL".to_owned(), queue_url(umaaas()));
        candidate.environment.retain(|(name, _)| name != "QUEUE_URL");
        candidate.environment.push(queue);
        Ok(candidate)
    }

    /// This project's function for UMAaaS.
    pub fn umaaas(&self) -> Result<Candidate> {
        self.candidate(OURS, umaaas(), "test")
    }

    /// This project's functions.
    pub fn functions(&self) -> Vec<Result<Candidate>> {
        let mut functions = vec![self.umaaas()];
        functions.push(self.umaaas().map(|mut with_policy| {
            with_policy.environment.push(("APPROVAL_POLICY".into(), "sample".into()));
            with_policy.named("sample policy")
        }));
        let grid = SENDERS.iter().filter(|provider| provider.name == "grid");
        functions.extend(grid.map(|grid| self.candidate("grid", grid, "test")));
        let weavr = SENDERS.iter().filter(|provider| provider.name == "weavr");
        for (weavr, binary) in
            weavr.flat_map(|weavr| weavr.binaries.iter().map(move |binary| (weavr, binary)))
        {
            let family = binary.trim_start_matches("weavr-").replace('-', "_");
            let file = if family == "other" { "unknown".to_owned() } else { format!("{family}.") };
            functions.push(self.candidate(binary, weavr, &file));
        }
        functions
    }

    /// All candidates for whose name `chosen` returns true. A candidate that cannot be built or installed is
    /// left out, and the reason is printed.
    pub async fn candidates(&self, chosen: impl Fn(&str) -> bool) -> Result<Vec<Candidate>> {
        let mut candidates = self.functions();
        candidates.push(self.candidate("bench-floor", umaaas(), "test"));
        candidates.push(self.candidate("bench-plain", umaaas(), "test"));
        if chosen("powertools-python") {
            candidates.push(powertools_python().await.context("powertools-python"));
        }
        if chosen("powertools-typescript") {
            candidates.push(powertools_typescript().await.context("powertools-typescript"));
        }
        let mut there = Vec::new();
        for candidate in candidates {
            match candidate {
                Ok(candidate) if chosen(&candidate.name) => there.push(candidate),
                Ok(_) => {}
                Err(error) => eprintln!("left out: {error:#}"),
            }
        }
        ensure!(!there.is_empty(), "nothing to measure");
        Ok(there)
    }
}

impl Candidate {
    /// The same candidate with a name that describes the difference.
    pub fn named(mut self, difference: &str) -> Self {
        self.name = format!("{}, {difference}", self.name);
        self
    }

    /// A new signed webhook, as API Gateway passes it on.
    pub fn event(&self) -> Result<Bytes> {
        self.gateway_event(self.sample.path, self.provider.body(self.sample)?)
    }

    /// A new signed webhook with a long list in its body, of about this many bytes.
    pub fn event_of(&self, bytes: usize) -> Result<Bytes> {
        let path = if self.provider.name == umaaas().name { "/umaaas" } else { self.sample.path };
        self.gateway_event(path, body_of(bytes))
    }

    fn gateway_event(&self, path: &str, body: String) -> Result<Bytes> {
        let delivery = self.provider.delivery(path, body.clone(), &self.provider.signing_key());
        let mut headers = delivery.headers;
        // other headers that a gateway passes on
        headers.insert("content-type", "application/json".parse()?);
        headers.insert("host", "abc123.execute-api.eu-central-1.amazonaws.com".parse()?);
        headers.insert("user-agent", "webhooks".parse()?);
        headers.insert("x-forwarded-for", "203.0.113.7".parse()?);
        headers.insert("x-forwarded-proto", "https".parse()?);
        Ok(post(path, &headers, &body).to_string().into())
    }
}

/// A body of UMAaaS of about this many bytes. All its rows are different, so it compresses like a real list.
pub fn body_of(bytes: usize) -> String {
    let mut body = format!(
        r#"{{"webhookId":"Webhook:{}","type":"BULK_UPLOAD","timestamp":"2026-11-02T09:20:41Z","jobId":"job_7730912","status":"PARTIAL_SUCCESS","progress":{{"total":1200,"processed":1200,"successful":1199,"failed":1}},"errors":["#,
        unique()
    );
    let mut row = 0_u64;
    while body.len() + 170 < bytes {
        // the high bits of this product are random enough
        let noise = row.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let comma = if row == 0 { "" } else { "," };
        body += &format!(
            r#"{comma}{{"correlationId":"row_{row}_{noise:06x}","error":{{"code":"invalid_csv_format","message":"Row {row} has no UMA address","details":{{"reason":"missing_required_column"}}}}}}"#
        );
        row += 1;
    }
    body + "]}"
}

fn umaaas() -> &'static Sender {
    &SENDERS[0]
}

fn queue_url(provider: &Sender) -> String {
    format!("{ENDPOINT}/000000000000/{}.fifo", provider.name)
}

fn environment(provider: &Sender) -> Vec<(String, String)> {
    let queue_url = queue_url(provider);
    let secret = provider.secret();
    let mut variables = vec![
        ("EVENTS_TABLE", "webhook-events"),
        ("QUEUE_URL", &queue_url),
        (provider.keys_variable, secret.as_str()),
        ("AWS_ENDPOINT_URL", ENDPOINT),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", ACCESS_KEY),
    ];
    variables.extend(provider.variables.iter().filter(|(name, _)| *name != "APPROVAL_POLICY"));
    variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Installs the Python candidate into cargo's target folder.
async fn powertools_python() -> Result<Candidate> {
    let source = here().join("powertools-python");
    let requirements = std::fs::read_to_string(source.join("requirements.txt"))?;
    let installed = Tools::install_into(&workshop("powertools-python"), &requirements).await?;
    let mut environment = environment(umaaas());
    environment.push(("PYTHONPATH".into(), source.to_string_lossy().into_owned()));
    // As on Lambda, whose file system is read-only: no bytecode is written at run time.
    environment.push(("PYTHONDONTWRITEBYTECODE".into(), "1".into()));
    Ok(Candidate {
        name: "powertools-python".into(),
        command: vec![
            installed.program("python").into(),
            "-m".into(),
            "awslambdaric".into(),
            "handler.handler".into(),
        ],
        environment,
        artifact: Artifact::python(&workshop("powertools-python"), &source)?,
        provider: umaaas(),
        sample: &umaaas().samples[0],
    })
}

/// Installs and bundles the TypeScript candidate in cargo's target folder.
async fn powertools_typescript() -> Result<Candidate> {
    let source = here().join("powertools-typescript");
    let workshop = workshop("powertools-typescript");
    let lock = std::fs::read_to_string(source.join("package-lock.json"))?;
    for program in ["node", "npm"] {
        if Command::new(program).arg("--version").output().is_err() {
            bail!("{program} was not found: install Node.js 20 or newer");
        }
    }
    std::fs::create_dir_all(&workshop)?;
    for file in ["package.json", "package-lock.json", "handler.ts", "runtime.mjs"] {
        std::fs::copy(source.join(file), workshop.join(file))?;
    }
    let stamp = workshop.join("installed");
    let npm = |arguments: &[&str]| {
        let program = Program::new("npm").arg("--prefix").arg(&workshop).args(arguments);
        program.log(local_stack::scratch().join("npm.log"))
    };
    if std::fs::read_to_string(&stamp).ok().as_ref() != Some(&lock) {
        // Without install scripts: the one of esbuild only avoids one start of Node.js.
        npm(&["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).run("npm ci").await?;
        std::fs::write(&stamp, lock)?;
    }
    npm(&["run", "bundle"]).run("esbuild").await?;
    let bundle = workshop.join("dist/handler.js");
    Ok(Candidate {
        name: "powertools-typescript".into(),
        command: vec!["node".into(), workshop.join("runtime.mjs").into(), bundle.clone().into()],
        environment: environment(umaaas()),
        artifact: Artifact::Files(vec![bundle]),
        provider: umaaas(),
        sample: &umaaas().samples[0],
    })
}

fn here() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A folder for a candidate's installation, which git ignores.
fn workshop(name: &str) -> PathBuf {
    local_stack::root().join("target/bench").join(name)
}
