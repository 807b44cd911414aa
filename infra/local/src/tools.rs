//! Installs the tools of the local stack into `.venv`: `ministack` and `cargo-lambda`. Both are wheels on
//! PyPI, so they need only Python. The tools of the deployment go into `.venv-deploy`.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::process::Program;
use crate::progress;
use crate::python::python;

/// The pinned tools of the local stack.
pub const REQUIREMENTS: &str = include_str!("../requirements.txt");

/// The pinned tools of the deployment.
pub const DEPLOY_REQUIREMENTS: &str = include_str!("../deploy-requirements.txt");

/// Installed tools.
#[derive(Clone, Debug)]
pub struct Tools {
    environment: PathBuf,
}

impl Tools {
    /// Installs the tools, unless they are installed. Processes that install at the same time wait for each
    /// other.
    ///
    /// # Errors
    /// Python is missing or too old, or pip fails; the error says what to do.
    pub async fn install() -> Result<Self> {
        Self::install_into(&crate::root().join(".venv"), REQUIREMENTS).await
    }

    /// Installs the tools of the deployment, in the same way.
    ///
    /// # Errors
    /// The errors of [`install`](Self::install).
    pub async fn install_for_deployment() -> Result<Self> {
        Self::install_into(&crate::root().join(".venv-deploy"), DEPLOY_REQUIREMENTS).await
    }

    /// Installs other packages into another virtual environment, in the same way.
    ///
    /// # Errors
    /// The errors of [`install`](Self::install).
    pub async fn install_into(environment: &Path, requirements: &str) -> Result<Self> {
        let stamp = Stamp::new(environment, requirements, &python()?.version);
        if !stamp.is_valid() {
            let _lock = lock(&crate::scratch()).await?;
            // Another process may have installed the tools while this one waited for the lock.
            if !stamp.is_valid() {
                fill(environment, requirements, &stamp).await?;
            }
        }
        Ok(Self { environment: environment.to_owned() })
    }

    /// The folder of the installed programs.
    pub fn programs(&self) -> PathBuf {
        self.environment.join("bin")
    }

    /// The path of an installed program.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs().join(name)
    }
}

/// A file that marks a complete installation. It contains the Python version and the installed packages. It
/// is written last, so an interrupted installation has no stamp and is repeated.
#[derive(Debug)]
struct Stamp {
    path: PathBuf,
    content: String,
}

impl Stamp {
    fn new(environment: &Path, requirements: &str, python_version: &str) -> Self {
        Self {
            path: environment.join("installed"),
            content: format!("# Python {python_version}\n{requirements}"),
        }
    }

    fn is_valid(&self) -> bool {
        std::fs::read_to_string(&self.path).is_ok_and(|found| found == self.content)
    }

    fn write(&self) -> std::io::Result<()> {
        std::fs::write(&self.path, &self.content)
    }

    fn remove(&self) {
        // An error is ignored: the file may not exist, which is the wanted state.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn fill(environment: &Path, requirements: &str, stamp: &Stamp) -> Result<()> {
    stamp.remove();
    progress::step(format!("making {}", environment.display()));
    let log = crate::scratch().join("install.log");
    Program::new(&python()?.executable)
        .args(["-m", "venv", "--clear"])
        .arg(environment)
        .log(&log)
        .run("making a virtual environment")
        .await
        .context("Python's venv does not work; on Debian and Ubuntu it is the package python3-venv")?;

    progress::step("installing the tools with pip (a minute and some 100 MB the first time)");
    let pinned = environment.join("requirements.txt");
    std::fs::write(&pinned, requirements)?;
    Program::new(environment.join("bin").join("python"))
        .args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"])
        .arg("--requirement")
        .arg(&pinned)
        .log(&log)
        .run("pip install")
        .await
        .context("the tools could not be installed")?;
    stamp.write().with_context(|| format!("cannot write {}", stamp.path.display()))?;
    progress::step("tools installed");
    Ok(())
}

/// Takes the lock for an installation. One process at a time holds it. The operating system releases it when
/// that process ends for any reason.
async fn lock(directory: &Path) -> Result<File> {
    let path = directory.join("install.lock");
    let file = std::fs::create_dir_all(directory)
        .and_then(|()| File::create(&path))
        .with_context(|| format!("cannot write {}", path.display()))?;
    let mut said = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {
                if !said {
                    progress::step("waiting for another process that installs the tools");
                    said = true;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_valid_for_the_same_tools_and_python_only() {
        let environment = temporary("stamp");
        let stamp = Stamp::new(&environment, "tool==1\n", "3.11.7");
        assert!(!stamp.is_valid(), "nothing is installed");
        stamp.write().unwrap();
        assert!(stamp.is_valid());
        assert!(!Stamp::new(&environment, "tool==2\n", "3.11.7").is_valid(), "other tools");
        assert!(!Stamp::new(&environment, "tool==1\n", "3.12.0").is_valid(), "another Python");
        stamp.remove();
        assert!(!stamp.is_valid());
        std::fs::remove_dir_all(environment).unwrap();
    }

    #[tokio::test]
    async fn a_failed_installation_is_not_taken_for_finished() {
        let environment = temporary("failed").join("venv");
        let requirements = "./no-such-package\n";
        let error = Tools::install_into(&environment, requirements).await.unwrap_err();
        assert!(format!("{error:#}").contains("no-such-package"), "{error:#}");
        assert!(environment.join("bin").exists(), "half of it is there");
        assert!(!Stamp::new(&environment, requirements, &python().unwrap().version).is_valid());
        std::fs::remove_dir_all(environment.parent().unwrap()).unwrap();
    }

    #[tokio::test]
    async fn the_lock_is_held_by_one() {
        let directory = temporary("lock");
        let held = lock(&directory).await.unwrap();
        let waiting = tokio::time::timeout(Duration::from_millis(300), lock(&directory)).await;
        assert!(waiting.is_err());
        drop(held);
        lock(&directory).await.unwrap();
        std::fs::remove_dir_all(directory).unwrap();
    }

    fn temporary(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("local-tools-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        directory
    }
}
