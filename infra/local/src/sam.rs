//! Checks and builds the SAM template with the tools that deploy it, without calls to AWS.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::process::Program;
use crate::senders::SENDERS;
use crate::stack;
use crate::tools::Tools;
use crate::watch::cargo_environment;

/// SAM CLI and cfn-lint.
#[derive(Clone, Debug)]
pub struct Sam {
    tools: Tools,
    builders: Tools,
    path: OsString,
    settings: PathBuf,
}

impl Sam {
    /// Installs the tools that are missing.
    ///
    /// # Errors
    /// The errors of [`Tools::install`].
    pub async fn install() -> Result<Self> {
        let tools = Tools::install_for_deployment().await?;
        // SAM calls cargo lambda, which finds the linker Zig in its own directory.
        let builders = Tools::install().await?;
        let ours = std::env::var_os("PATH").unwrap_or_default();
        let path =
            std::env::join_paths([builders.programs()].into_iter().chain(std::env::split_paths(&ours)))?;
        let settings = crate::scratch().join("sam");
        std::fs::create_dir_all(&settings)
            // SAM looks for a newer version once a week; with a last check in the year 2100 it does not.
            .and_then(|()| {
                std::fs::write(settings.join("metadata.json"), r#"{"lastVersionCheck": 4102444800.0}"#)
            })
            .with_context(|| format!("cannot write {}", settings.display()))?;
        Ok(Self { tools, builders, path, settings })
    }

    /// Checks the template with `cfn-lint` and `sam validate --lint`.
    ///
    /// # Errors
    /// What the tools found, warnings included.
    pub async fn lint(&self) -> Result<()> {
        let cfn_lint =
            self.program("cfn-lint").args(["--non-zero-exit-code", "informational", "template.yaml"]);
        cfn_lint.log(self.settings.join("cfn-lint.log")).run("cfn-lint").await?;
        let validate = self.program("sam").args(["validate", "--lint"]);
        validate.log(self.settings.join("validate.log")).run("sam validate").await
    }

    /// Builds every function for Lambda and shows the progress of cargo and SAM. SAM builds one function
    /// after the other, and linking takes most of the time. So `cargo lambda build` builds all functions
    /// first, and links them in parallel.
    ///
    /// # Errors
    /// A function does not build.
    pub async fn build(&self) -> Result<()> {
        let binaries = SENDERS.iter().flat_map(|provider| provider.binaries).chain(&["reconciler"]);
        cargo_environment(Program::new(self.builders.program("cargo-lambda")))
            .envs([("PATH", self.path.as_os_str())])
            .args(["lambda", "build", "--release", "--arm64"])
            .args(binaries.flat_map(|binary| ["--bin", binary]))
            .run("cargo lambda build")
            .await?;
        self.program("sam").arg("build").run("sam build").await
    }

    /// Where [`build`](Self::build) puts its results: a folder per function, named as in the template.
    pub fn built() -> PathBuf {
        crate::root().join("infra").join(".aws-sam").join("build")
    }

    fn program(&self, name: &str) -> Program {
        cargo_environment(Program::new(self.tools.program(name)))
            .envs([
                ("PATH", self.path.as_os_str()),
                ("SAM_CLI_TELEMETRY", "0".as_ref()),
                ("__SAM_CLI_APP_DIR", self.settings.as_os_str()),
                // `sam validate` requires a region.
                ("AWS_DEFAULT_REGION", stack::REGION.as_ref()),
            ])
            // the folder of samconfig.toml
            .directory(crate::root().join("infra"))
    }
}
