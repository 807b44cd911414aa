//! The deployed files of a candidate, and their size.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use tests::unique;

/// The deployed files of a candidate.
#[derive(Clone, Debug)]
pub enum Artifact {
    /// One binary, which is deployed without its symbols.
    Binary(PathBuf),
    /// Several files.
    Files(Vec<PathBuf>),
}

/// A size in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Size {
    /// Uncompressed.
    pub plain: usize,
    /// With every file deflated, as in a zip file.
    pub zipped: usize,
}

impl Artifact {
    /// A Python function: its source and the installed packages, without the packages that Lambda provides
    /// (the client of the Runtime API, its dependencies, and pip).
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

    /// Measures the size of the files.
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
