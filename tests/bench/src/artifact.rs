//! What is deployed, and how large it is.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use tests::unique;

/// What is deployed.
#[derive(Clone, Debug)]
pub enum Artifact {
    /// One binary; its symbols are not deployed.
    Binary(PathBuf),
    /// Files.
    Files(Vec<PathBuf>),
}

/// In bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Size {
    /// As it is.
    pub plain: usize,
    /// As a zip file has it: every file deflated.
    pub zipped: usize,
}

impl Artifact {
    /// A Python function: its source and what it installed, without what Lambda has (its runtime's client
    /// and what that needs, pip).
    pub fn python(environment: &Path, source: &Path) -> Result<Self> {
        const OF_LAMBDA: &[&str] =
            &["pip", "setuptools", "awslambdaric", "runtime_client", "simplejson", "snapshot_restore_py"];
        let mut files = vec![source.join("handler.py")];
        for version in std::fs::read_dir(environment.join("lib"))? {
            for package in std::fs::read_dir(version?.path().join("site-packages"))? {
                let package = package?.path();
                let name = package.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if !OF_LAMBDA.iter().any(|known| name.starts_with(known)) && !name.starts_with('_') {
                    collect(&package, &mut files)?;
                }
            }
        }
        Ok(Self::Files(files))
    }

    /// Measures it.
    pub fn size(&self) -> Result<Size> {
        match self {
            Self::Binary(path) => {
                let stripped = std::env::temp_dir().join(format!("stripped-{}", unique()));
                let strip = Command::new("strip").arg("-o").arg(&stripped).arg(path).status();
                let size = size(if strip.is_ok_and(|status| status.success()) { &stripped } else { path });
                let _ = std::fs::remove_file(stripped);
                size
            }
            Self::Files(files) => {
                let mut sum = Size::default();
                for file in files {
                    let Size { plain, zipped } = size(file)?;
                    sum = Size { plain: sum.plain + plain, zipped: sum.zipped + zipped };
                }
                Ok(sum)
            }
        }
    }
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if path.file_name().is_some_and(|name| name == "__pycache__") {
        return Ok(());
    }
    if path.is_dir() {
        for entry in std::fs::read_dir(path)? {
            collect(&entry?.path(), files)?;
        }
    } else {
        files.push(path.to_owned());
    }
    Ok(())
}

fn size(path: &Path) -> Result<Size> {
    let mut content = Vec::new();
    File::open(path)?.read_to_end(&mut content)?;
    let mut deflated = DeflateEncoder::new(Vec::new(), Compression::default());
    deflated.write_all(&content)?;
    Ok(Size { plain: content.len(), zipped: deflated.finish()?.len() })
}
